"""``vadbench check``: its table, its JSON and its exit status."""

from functools import partial

import pytest

from broken_datasets import make_root
from places import BROKEN_DATASETS, BROKEN_METHODS


@pytest.fixture
def check(vadbench):
    return partial(vadbench, "check")


def test_a_table_says_what_was_found(check):
    lines = check("method", "random", "--only", "shapes", "--only", "gradients").out.splitlines()
    assert lines[0].split() == ["check", "result", "what", "was", "found"]
    assert lines[2].split()[:2] == ["shapes", "passed"] and "3,000 rows" in " ".join(lines[2:4])
    assert lines[-1].split() == ["gradients", "skipped", "the", "method", "is", "not", "trained"]
    assert max(map(len, lines)) < 110


def test_a_failed_check_is_status_one(check):
    out = check(
        "method", "not-one", "--plugin", BROKEN_METHODS, "--only", "probabilities", "--only", "shapes", status=1
    ).out
    assert "probabilities  FAILED    class probabilities of a row sum to one within 0.1" in out
    assert "shapes         passed" in out


def test_a_program_reads_json(check):
    arguments = [
        "method",
        "not-one",
        "--plugin",
        BROKEN_METHODS,
        "--only",
        "probabilities",
        "--only",
        "settings",
        "--json",
    ]
    settings, found = check(*arguments, status=1).json
    assert settings["check"] == "settings" and settings["result"] == "passed"
    assert found["result"] == "FAILED" and found["asks"].startswith("class probabilities sum to one")
    assert found["found"].endswith("softmax over all classes, the normal one included")


def test_a_data_set_is_checked_where_its_data_is(check, tmp_path):
    root = make_root(tmp_path / "root")
    there = ("--plugin", BROKEN_DATASETS, "--data-root", root)
    out = check("dataset", "sound-set", *there).out
    assert out.count("passed") == 16
    out = check(
        "dataset", "strong", "--plugin", BROKEN_DATASETS, "--data-root", root, "--only", "segments", status=1
    ).out
    assert "1 training videos carry segments: train-1" in out


def test_without_data_the_rest_is_checked(check, tmp_path):
    entries = check("dataset", "ucfcrime", "--data-root", str(tmp_path / "none"), "--json").json
    assert {e["result"] for e in entries} == {"passed", "skipped"}
    assert all(f"no data at {tmp_path / 'none'}" in e["found"] for e in entries if e["result"] == "skipped")
    text = check("dataset", "ucfcrime", "--data-root", str(tmp_path / "none")).out
    assert text.count("no data at") == 1 and all(
        f"\n{e['check']} " in text or f"\n{e['check']}\n" in text for e in entries
    )


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
def test_a_wrong_word_is_one_line_and_status_two(check, arguments, words):
    err = check(*arguments, status=2).err
    assert words in err
    assert "Traceback" not in err


def test_help_names_every_result_and_status(check):
    for kind in ("method", "dataset"):
        text = " ".join(check(kind, "--help").out.split())
        assert "passed" in text and "FAILED" in text and "skipped" in text
        assert "The exit status is 0, 1 if a check failed, 2 for" in text
