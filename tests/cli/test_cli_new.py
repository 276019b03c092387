"""``vadbench new`` as a user types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vadbench.cli import main


@pytest.fixture
def vadbench(capsys, tmp_path, monkeypatch):
    """Run a command in a folder of its own: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, status=0):
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        found = capsys.readouterr()
        assert end.value.code == status, found.err + found.out
        return found.out, found.err

    return call


@pytest.mark.parametrize(("kind", "module"), [("method", "method.py"), ("dataset", "dataset.py")])
def test_a_package_is_written_and_what_to_do_next_is_said(vadbench, tmp_path, kind, module):
    out, _ = vadbench("new", kind, "two-stage")
    assert (tmp_path / "vadbench-two-stage" / "vadbench_two_stage" / module).is_file()
    assert f"vadbench_two_stage/{module}" in out
    assert "cd vadbench-two-stage && python -m pip install" in out
    assert f"vadbench check {kind} two-stage" in out


def test_the_report_is_json_with_every_file(vadbench, tmp_path):
    report = json.loads(vadbench("new", "method", "mine", "--out", tmp_path / "deep" / "er", "--json")[0])
    folder = Path(report["folder"])
    assert folder == tmp_path / "deep" / "er" / "vadbench-mine"
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert report["files"] == found and len(found) == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["method", "anomalyclip"], "a method called 'anomalyclip' exists already"),
        (["dataset", "synthetic"], "a data set called 'synthetic' exists already"),
        (["method", "../up"], "a name must begin with a letter or digit"),
        (["benchmark", "mine"], "'benchmark' is not one of"),
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
    code = (
        "import sys\nfrom vadbench.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'mlflow', 'open_clip', 'numpy', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, cwd=tmp_path)
