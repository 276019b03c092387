"""``vadbench check``: its table, its JSON and its exit status."""

import json
from pathlib import Path

import pytest

from vadbench.cli import main

TESTING = Path(__file__).resolve().parents[1] / "testing"
METHODS, DATASETS = str(TESTING / "broken_methods.py"), str(TESTING / "broken_datasets.py")


@pytest.fixture
def vadbench(capsys):
    def call(*arguments, status=0):
        with pytest.raises(SystemExit) as end:
            main(["check", *arguments])
        found = capsys.readouterr()
        assert end.value.code == status, found.err
        return found.err if status == 2 else found.out

    return call


def test_a_table_says_what_was_found(vadbench):
    lines = vadbench("method", "random", "--only", "shapes", "--only", "gradients").splitlines()
    assert lines[0].split() == ["check", "result", "what", "was", "found"]
    assert lines[2].split()[:2] == ["shapes", "passed"] and "3,000 rows" in " ".join(lines[2:4])
    assert lines[-1].split() == ["gradients", "skipped", "the", "method", "is", "not", "trained"]
    assert max(map(len, lines)) < 110


def test_a_failed_check_is_status_one(vadbench):
    out = vadbench("method", "not-one", "--plugin", METHODS, "--only", "probabilities", "--only", "shapes", status=1)
    assert "probabilities  FAILED    class probabilities of a row sum to one within 0.1" in out
    assert "shapes         passed" in out


def test_a_program_reads_json(vadbench):
    arguments = ["method", "not-one", "--plugin", METHODS, "--only", "probabilities", "--only", "settings", "--json"]
    settings, found = json.loads(vadbench(*arguments, status=1))
    assert settings["check"] == "settings" and settings["result"] == "passed"
    assert found["result"] == "FAILED" and found["asks"].startswith("class probabilities sum to one")
    assert found["found"].endswith("softmax over all classes, the normal one included")


def test_a_data_set_is_checked_where_its_data_is(vadbench, tmp_path):
    import importlib.util

    spec = importlib.util.spec_from_file_location("maker_of_roots", DATASETS)
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    root = str(maker.make_root(tmp_path / "root"))
    out = vadbench("dataset", "sound-set", "--plugin", DATASETS, "--data-root", root)
    assert out.count("passed") == 13
    out = vadbench("dataset", "strong", "--plugin", DATASETS, "--data-root", root, "--only", "segments", status=1)
    assert "1 training videos carry segments: train-1" in out


def test_without_data_the_rest_is_checked(vadbench, tmp_path):
    entries = json.loads(vadbench("dataset", "ucfcrime", "--data-root", str(tmp_path / "none"), "--json"))
    assert {e["result"] for e in entries} == {"passed", "skipped"}
    assert all(f"no data at {tmp_path / 'none'}" in e["found"] for e in entries if e["result"] == "skipped")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["method", "anomalyclop"], "unknown method 'anomalyclop'; did you mean 'anomalyclip'"),
        (["dataset", "ucfcrim"], "unknown dataset 'ucfcrim'; did you mean 'ucfcrime'"),
        (["method", "random", "--only", "shape"], "unknown check 'shape'; did you mean 'shapes'"),
        (["method", "random", "--plugin", "none.py"], "no such file: none.py"),
        (["model", "random"], "No such command 'model'"),
    ],
)
def test_a_wrong_word_is_one_line_and_status_two(vadbench, arguments, words):
    err = vadbench(*arguments, status=2)
    assert words in err
    assert "Traceback" not in err


def test_help_names_every_result_and_status(vadbench):
    for kind in ("method", "dataset"):
        text = " ".join(vadbench(kind, "--help").split())
        assert "passed" in text and "FAILED" in text and "skipped" in text
        assert "The exit status is 0, 1 where a check failed, 2 for" in text
