"""``vadbench new`` as a user types it."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from command_line import heavy_imports
from vadbench.benchmarks.parser import open_benchmark
from vadbench.benchmarks.schema import Benchmark, ColumnSpec, RowSpec, TableSpec
from vadbench.plugins.registry import installed


@pytest.fixture(autouse=True)
def there(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("kind", "module"), [("method", "method.py"), ("dataset", "dataset.py")])
def test_a_package_is_written_and_what_to_do_next_is_said(vadbench, tmp_path, kind, module):
    out, _ = vadbench("new", kind, "two-stage")
    assert (tmp_path / "vadbench-two-stage" / "vadbench_two_stage" / module).is_file()
    assert f"vadbench_two_stage/{module}" in out
    assert "cd vadbench-two-stage && python -m pip install" in out
    assert f"vadbench check {kind} two-stage" in out
    assert ("--data-root DIR" in out and "&& python -m pytest\n" in out) == (kind == "dataset")


def test_the_report_is_json_with_every_file(vadbench, tmp_path):
    report = vadbench("new", "method", "mine", "--out", tmp_path / "deep" / "er", "--json").json
    folder = Path(report["folder"])
    assert folder == tmp_path / "deep" / "er" / "vadbench-mine"
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert report["files"] == found and len(found) == 7


def test_every_kind_of_method_may_be_chosen(vadbench, tmp_path):
    from vadbench.cli.new import command
    from vadbench.scaffold import METHOD_TEMPLATES

    (option,) = (p for p in command.params if p.name == "kind")
    assert tuple(option.type.choices) == tuple(METHOD_TEMPLATES)
    vadbench("new", "method", "mine", "--kind", "frames")
    assert "frames=True" in (tmp_path / "vadbench-mine" / "vadbench_mine" / "config.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["method", "mine", "--kind", "frame"], "'frame' is not one of"),
        (["dataset", "mine", "--kind", "frames"], "--kind is of a method; leave it out"),
        (["method", "anomalyclip"], "a method called 'anomalyclip' exists already"),
        (["dataset", "synthetic"], "a data set called 'synthetic' exists already"),
        (["method", "../up"], "a name must begin with a letter or digit"),
        (["paper", "mine"], "'paper' is not one of"),
        (["benchmark", "quick"], "a benchmark called 'quick' exists already"),
        (["benchmark", "a/b"], "a name must begin with a letter or digit"),
        (["benchmark", "mine", "--kind", "frames"], "--kind is of a method; leave it out"),
        (["benchmark", "mine", "--out", "file"], "a file stands where a folder is needed"),
        (["method", "mine", "--out", "file"], "a file stands where a folder is needed"),
    ],
)
def test_what_cannot_be_written_is_one_line_and_exit_2(vadbench, tmp_path, arguments, words):
    (tmp_path / "file").write_text("")
    _, err = vadbench("new", *arguments, status=2)
    assert words in err
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_writing_twice_is_refused(vadbench, tmp_path):
    vadbench("new", "method", "mine")
    (tmp_path / "vadbench-mine" / "README.md").write_text("my own words")
    _, err = vadbench("new", "method", "mine", status=2)
    assert "vadbench-mine exists already" in err
    assert (tmp_path / "vadbench-mine" / "README.md").read_text() == "my own words"


def test_a_folder_that_may_not_be_written_is_said(vadbench, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if os.access(closed, os.W_OK):
        pytest.skip("this user may write anywhere")
    _, err = vadbench("new", "method", "mine", "--out", closed, status=2)
    assert "no permission to write there" in err


@pytest.mark.parametrize("arguments", [["new", "method", "mine"], ["new", "--help"], ["results", "check", "--help"]])
def test_nothing_heavy_is_imported(tmp_path, arguments):
    assert not heavy_imports(*arguments, cwd=tmp_path)


def test_a_benchmark_file_runs_as_it_is_and_explains_every_entry(vadbench, tmp_path):
    out, _ = vadbench("new", "benchmark", "mine")
    assert "next: vadbench bench mine.toml --dry-run" in out
    text = (tmp_path / "mine.toml").read_text()
    for model in (Benchmark, TableSpec, ColumnSpec, RowSpec):
        for name in set(model.model_fields) - {"recorded"}:
            assert re.search(rf"\b{name}\b *=|\b{name}\]\]", text), name
    benchmark = open_benchmark(str(tmp_path / "mine.toml"), installed(), check_settings=True)
    assert {cell.name for cell in benchmark.cells() if cell.settings} == {"short"}
    # What stands behind a # is right too.
    uncommented = re.sub(r"(?m)^( *)# (?=[a-z_]+ = |\{)", r"\1", text)
    assert uncommented.count("#") < text.count("#")
    everything = tomllib.loads(uncommented.replace('key = "vadclip"', 'key = "vadclip"'))
    Benchmark.model_validate(everything)
    assert "exists already" in vadbench("new", "benchmark", "mine", status=2).err
