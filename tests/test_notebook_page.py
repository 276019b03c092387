"""The notebook of the documentation runs as it is shown."""

import json
import re
import sys

import pytest

from places import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def shown(notebook):
    """What each cell of code shows, by kind."""
    return [[sorted(o.get("data", {})) for o in cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]


def test_it_holds_no_path_of_a_machine_and_no_error():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert not re.findall(r"(?<![\w<.])/(?:tmp|home|root|work|usr)/\S*", text)
    outputs = [o for cell in json.loads(text)["cells"] if cell["cell_type"] == "code" for o in cell["outputs"]]
    assert outputs and {o["output_type"] for o in outputs} == {"execute_result"}


@pytest.mark.slow
def test_its_cells_show_what_the_page_has(monkeypatch, tmp_path, shared_folder, away_from_home):
    monkeypatch.setenv("VADBENCH_CACHE", str(shared_folder / "cache-of-synthetic"))
    import nbformat  # of what the documentation needs, with which alone the notebook is run

    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.syspath_prepend(ROOT / "docs")
    from execute import executed

    page, again = nbformat.read(NOTEBOOK, as_version=4), executed(tmp_path)
    assert shown(again) == shown(page)
    (checked,) = [c for c in again.cells if "roc_auc_score(truth" in c.source]
    of_sklearn, ours = map(float, re.findall(r"[\d.]+", checked.outputs[0].data["text/plain"]))
    assert of_sklearn == pytest.approx(ours, abs=1e-6) and ours > 0.9
    sys.modules.pop("execute")


@pytest.mark.slow
def test_the_example_of_the_readme_runs(monkeypatch, tmp_path, shared_folder, away_from_home):
    monkeypatch.setenv("VADBENCH_CACHE", str(shared_folder / "cache-of-synthetic"))
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(import vadbench\n\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names = {}
    exec(code, names)
    assert names["run"].record.status == "finished" and (tmp_path / "roc.png").stat().st_size > 10_000
