"""``vadbench evaluate``: every metric from two files, in a process that imports neither torch nor a data set."""

import json

import numpy as np
import pytest

from command_line import heavy_imports
from filmed_plugin import TEST, by_frame, drawn
from literal_metrics import of_frames


@pytest.fixture
def files(tmp_path):
    """Scores and ground truth in files, as options."""
    np.savez(tmp_path / "scores.npz", **drawn())
    videos = {n: {"frames": f, "segments": [list(s) for s in segments]} for n, (f, segments) in TEST.items()}
    (tmp_path / "truth.json").write_text(json.dumps({"videos": videos}))
    return "--scores", tmp_path / "scores.npz", "--truth", tmp_path / "truth.json"


def test_figures_are_printed_for_programs_and_for_people(vadbench, files):
    found = vadbench("evaluate", *files, "--rate", 25, "--json").json
    expected = of_frames(by_frame(drawn()), [f / 25 / 3600 for f, _ in TEST.values()])
    for key, number in expected.items():
        assert number is None or found[key]["value"] == pytest.approx(number, abs=1e-9), key
    printed = vadbench("evaluate", *files)
    auc = found["AUC"]
    (line,) = [s for s in printed.out.splitlines() if s.startswith("AUC ")]
    assert line.split()[1] == f"{100 * auc['value']:.2f}"
    assert "undefined, since" in printed.err and "mAUC" in printed.err


@pytest.mark.parametrize(
    "options", [("--tail", "zero"), ("--post", "gaussian(1)"), ("--stride", "16"), ("--tolerance", "0")], ids=" ".join
)
def test_options_are_those_of_the_function(vadbench, files, options):
    from vadbench import evaluate

    name, value = options[0].removeprefix("--"), options[1]
    given = {name: int(value) if value.isdigit() else value}
    expected = evaluate(files[1], files[3], **given)
    found = vadbench("evaluate", *files, *options, "--json").json
    assert {key: m["value"] for key, m in found.items()} == {key: m.value for key, m in expected.items()}


def test_nothing_heavy_is_imported_and_nothing_is_written(files, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert heavy_imports("evaluate", *files, cwd=tmp_path) <= {"numpy"}
    assert sorted(tmp_path.rglob("*")) == before


def test_what_does_not_fit_is_one_line(refused, files, tmp_path):
    assert "no file or folder" in refused("evaluate", "--scores", "absent.npz", *files[2:])
    assert "absent.json" in refused("evaluate", *files[:2], "--truth", "absent.json")
    np.savez(tmp_path / "few.npz", calm=np.ones(20))
    assert "11 of 12 test videos of the ground truth have no scores" in refused(
        "evaluate", "--scores", tmp_path / "few.npz", *files[2:]
    )
    assert "--tail" in refused("evaluate", *files, "--tail", "wag")
