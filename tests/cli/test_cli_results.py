"""``vadbench results check``: a good submission passes, and each thing that can be wrong with one is named."""

import json
import shutil

import numpy as np
import pytest

from command_line import status_of
from places import PLUGIN
from vadbench.harness.experiment import open_experiment
from vadbench.harness.request import Request
from vadbench.harness.run import run
from vadbench.plugins.registry import Registry

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_cache):
    """Two seeds of a run on the tiny data set, as a stranger with a clean checkout would have them."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VADBENCH_CACHE", str(tiny_cache))
        request = Request(
            "linear", "tiny", clip_model="small", clip_weights="random:0", device="cpu", out=folder / "runs"
        )
        experiment = open_experiment(request, Registry(files=[PLUGIN]))
        for seed in (0, 1):
            run(experiment, seed)
    for path in (folder / "runs").rglob("result.json"):
        edit(path, lambda record: record["environment"].update(commit=COMMIT))
    return folder / "runs"


@pytest.fixture
def runs(made, tmp_path):
    """A copy to spoil; of the two results, the first by path."""
    shutil.copytree(made, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def check(capsys):
    """The findings by the command's exit status: 0 without any, else 1."""

    def call(folder, *arguments):
        status = status_of("results", "check", folder, "--plugin", PLUGIN, "--json", *arguments)
        found = capsys.readouterr()
        findings = [f["finding"] for f in json.loads(found.out)]
        assert status == (1 if findings else 0), found.err
        return findings

    return call


@pytest.fixture
def lines_of(vadbench):
    """The lines that the command prints for people."""
    return lambda folder, status=1: vadbench(
        "results", "check", folder, "--plugin", PLUGIN, status=status
    ).out.splitlines()


def first(runs):
    return sorted(runs.rglob("result.json"))[0]


def edit(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def test_a_good_submission_passes(runs, check, lines_of):
    assert check(runs) == []
    assert "2 results checked, nothing to fix" in lines_of(runs, status=0)


def test_findings_are_lines_with_the_file_in_front(runs, lines_of):
    edit(first(runs), lambda r: r["environment"].update(commit="unknown"))
    lines = lines_of(runs)
    assert lines[0].startswith(f"{first(runs)}: environment: expected the git commit")
    assert lines[-1] == "2 results checked, 1 to fix"


def test_a_class_may_be_called_like_a_path(runs, lines_of):
    def change(record):
        record["metrics"]["AUC[/home/x]"] = record["metrics"].pop("AUC[Square]")

    edit(first(runs), change)
    assert not any("path" in line for line in lines_of(runs, status=None))


@pytest.mark.parametrize("folder", ["empty", "absent"])
def test_a_folder_without_results_is_bad_input(tmp_path, vadbench, folder):
    (tmp_path / "empty").mkdir()
    assert "no results under" in vadbench("results", "check", tmp_path / folder, status=2).err


def put(*keys, value):
    def change(record):
        for key in keys[:-1]:
            record = record[key]
        record[keys[-1]] = value

    return change


def drop(*keys):
    def change(record):
        for key in keys[:-1]:
            record = record[key]
        del record[keys[-1]]

    return change


SPOILT = {
    "schema": (put("schema_version", value=99), "has schema 99"),
    "no protocol": (drop("protocol"), "protocol: Field required"),
    "no seed": (drop("seed"), "seed: Field required"),
    "a foreign field": (put("extra", value=1), "extra: Extra inputs are not permitted"),
    "failed": (lambda r: r.update(status="failed", error="out of memory"), "the run failed: out of memory"),
    "above one": (put("metrics", "AP", "value", value=1.5), "AP has value 1.5, expected 0 to 1"),
    "percent": (put("metrics", "AUC", "high", value=99.1), "AUC has high 99.1, expected 0 to 1"),
    "negative": (put("metrics", "FAR", "low", value=-0.1), "FAR has low -0.1, expected 0 to 1"),
    "not a number": (put("metrics", "AUC", "value", value=float("nan")), "AUC has value nan, expected 0 to 1"),
    "infinite": (put("metrics", "AUC", "high", value=float("inf")), "AUC has high inf, expected 0 to 1"),
    "an interval turned round": (
        lambda r: r["metrics"]["AUC"].update(low=0.9, high=0.1),
        "the interval of AUC ends below its start",
    ),
    "a metric of their own": (
        lambda r: r["metrics"].update(F1={"value": 0.5}),
        "F1 is not a metric of vadbench",
    ),
    "undefined without a reason": (
        lambda r: r["metrics"]["AP"].update(value=None, reason=None),
        "AP is undefined and gives no reason",
    ),
    "another value": (
        lambda r: r["metrics"]["AP"].update(value=r["metrics"]["AP"]["value"] + 1e-9),
        "its scores give",
    ),
    "another interval": (
        lambda r: r["metrics"]["AUC"].update(low=r["metrics"]["AUC"]["value"] - 1e-9),
        "AUC has low",
    ),
    "a metric left out": (drop("metrics", "AnoAUC"), "the scores give AnoAUC, the record do not"),
    "no metrics": (put("metrics", value={}), "no metrics"),
    "an unknown protocol": (
        put("protocol", "name", value="mine"),
        "expected one of native, anomalyclip, segments16, vadclip",
    ),
    "a rule that is none": (
        put("protocol", "tail", value="drop"),
        "protocol: tail: Input should be 'hold', 'zero', 'rows' or 'rows-prolonged'",
    ),
    "a change not named": (
        put("protocol", "selection", value="best-on-test"),
        "selection is not that of 'native', and 'changed' does not say so",
    ),
    "a foreign fingerprint": (put("fingerprint", value={"encoder": "x"}), "a fingerprint must have the fields"),
    "an unknown fingerprint": (put("fingerprint", "weights", value="unknown"), "the origin of the features is unknown"),
    "too few videos": (put("data", "train", "videos", value=7), "7 of 8 train videos, and no note begins"),
    "too many videos": (put("data", "train", "videos", value=9), "9 of 8 train videos"),
    "another size": (
        lambda r: r["data"]["train"].update(videos=4, expected=4),
        "a complete train split of tiny has 8 videos, the record says 4",
    ),
    "a split left out": (drop("data", "train"), "the record does not describe the train split"),
    "other videos": (put("data", "test", "videos", value=5), "5 test videos, the scores are of 6"),
    "other frames": (put("data", "test", "frames", value=181), "181 test frames, the scores are of 180"),
    "other positives": (put("data", "test", "positives", value=1), "1 test positives, the scores are of 30"),
    "no commit": (put("environment", "commit", value="unknown"), "expected the git commit of an unchanged vadbench"),
    "a changed checkout": (put("environment", "commit", value=COMMIT + "+changes"), "found '0123456789abcdef"),
    "no environment": (put("environment", value={}), "expected the git commit"),
    "a home folder": (put("notes", value=["features given: /home/me/x, checked"]), "an absolute path, '/home/me/x'"),
    "a home sign": (put("clip", "weights", value="~/clip.pt"), "clip.weights: an absolute path, '~/clip.pt'"),
    "a drive": (put("config", "descriptions", value="C:\\bank.toml"), "config.descriptions: an absolute path"),
    "a share": (put("notes", value=["from \\\\server\\x"]), "an absolute path"),
    "a file address": (put("notes", value=["file:///data/x"]), "an absolute path, 'file:///data/x'"),
    "a key": (lambda r: r["environment"].update({"/data": "x"}), "a key of environment: an absolute path"),
    "an address": (put("notes", value=["ask me@example.org"]), "an address, 'me@example.org'"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_each_thing_that_is_wrong_is_named(runs, check, name):
    change, words = SPOILT[name]
    edit(first(runs), change)
    findings = check(runs)
    assert any(words in f for f in findings), findings


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/a/b",
        "trained on subset all and/or some",
        "tiny/linear/0123",
        "mAP@0.5 of 7/8",
        "30 frames/s",
        "a: b",
        "60 % / 40 %",
    ],
)
def test_harmless_texts_are_left_alone(runs, check, text):
    edit(first(runs), put("notes", value=[text]))
    assert check(runs) == []


def test_what_is_marked_is_accepted(runs, check):
    def incomplete(record):
        record["data"]["train"]["videos"] = 7
        record["notes"].append("incomplete: 7 of 8 train videos, the others lack a file")

    def unknown(record):
        record["fingerprint"].update(weights="unknown:ab12", pooling="unknown")
        record["notes"].append("features given: mine, of unknown origin; a row every 2 frames")

    def changed(record):
        record["protocol"]["selection"] = "best-on-test"
        record["changed"].append("protocol.selection")

    def undefined(record):
        record["fingerprint"]["arithmetic"] = "bf16"

    for change in (incomplete, unknown, changed, undefined):
        edit(first(runs), change)
        assert check(runs) == []


def test_a_mark_for_one_split_does_not_excuse_the_other(runs, check):
    edit(first(runs), lambda r: r["notes"].append("incomplete: 5 of 6 test videos, the others lack a file"))
    edit(first(runs), put("data", "train", "videos", value=7))
    assert [f for f in check(runs) if "7 of 8 train videos" in f]


def test_the_same_seed_twice_is_named(runs, check):
    one, two = sorted(runs.rglob("result.json"))
    shutil.copytree(one.parent, runs / "copy")
    (finding,) = check(runs)
    assert "of linear on tiny is in" in finding
    shutil.rmtree(runs / "copy")
    seed = json.loads(one.read_text())["seed"]
    edit(two, put("seed", value=seed))
    assert [f for f in check(runs) if f"seed {seed} of linear on tiny is in {one} already" in f]


def test_seeds_may_repeat_where_something_else_differs(runs, check):
    one, two = sorted(runs.rglob("result.json"))
    edit(two, put("seed", value=json.loads(one.read_text())["seed"]))
    edit(two, put("config", "width", value=6))
    edit(two, lambda r: r["changed"].append("width"))
    assert check(runs) == []


def test_missing_damaged_and_foreign_scores_are_named(runs, check):
    scores = first(runs).parent / "scores.npz"
    kept = scores.read_bytes()
    scores.unlink()
    assert check(runs) == ["no scores.npz in its folder, which is needed to check the metrics"]
    damaged = bytearray(kept)
    damaged[60:90] = bytes(30)
    scores.write_bytes(damaged)
    (finding,) = check(runs)
    assert finding.startswith("scores.npz: cannot read")
    np.savez(scores, names=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (finding,) = check(runs)
    assert "scores.npz: cannot read" in finding


def test_other_scores_do_not_pass(runs, check):
    path = first(runs).parent / "scores.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays["anomaly"] = arrays["anomaly"][::-1]
    np.savez(path, **arrays)
    assert any("metrics: AUC has value" in f and "its scores give" in f for f in check(runs))


NUMBERS, TEXTS = ["frames", "rows", "anomaly", "classes", "segments"], ["names", "labels", "class_names"]
UNFIT = {"one less": lambda a: a[:-1], "none": lambda a: a[:0], "another axis": lambda a: a[None]}
PAIRS = [*((s, n) for s in UNFIT for n in NUMBERS + TEXTS), *(("texts", n) for n in NUMBERS)]


@pytest.mark.parametrize(("spoil", "name"), PAIRS)
def test_scores_that_do_not_fit_together_are_a_finding(runs, check, spoil, name):
    path = first(runs).parent / "scores.npz"
    with np.load(path) as file:
        arrays = dict(file)
    spoilt = UNFIT.get(spoil, lambda a: a.astype(str))(arrays[name])
    np.savez(path, **arrays | {name: spoilt})
    assert check(runs)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema_version": "two"}'])
def test_a_damaged_record_is_named_and_the_others_are_checked(runs, check, text):
    one, two = sorted(runs.rglob("result.json"))
    one.write_text(text)
    edit(two, put("environment", "commit", value="unknown"))
    findings = check(runs)
    assert len(findings) == 2 and "commit" in findings[1]


def test_looking_at_a_submission_imports_no_torch(runs):
    import subprocess
    import sys

    code = (
        "import sys\nfrom pathlib import Path\nfrom vadbench.plugins.registry import Registry\n"
        "from vadbench.results.submission import check_submission\n"
        "list(check_submission(Path(sys.argv[1]), Registry()))\n"
        "assert not {'torch', 'mlflow', 'open_clip'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(runs)], check=True, capture_output=True)


TRACEBACK = """Traceback (most recent call last):
  File "method.py", line 3, in loss
    raise ZeroDivisionError
ZeroDivisionError: a bug
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda r: r.update(status="failed", error=TRACEBACK),
            "the run failed: ZeroDivisionError: a bug; run it again",
        ),
        (lambda r: r.update(status="failed", error=None), "the run failed: no reason given; run it again"),
        (lambda r: r["environment"].update(commit="x\n\x1b[2J" * 500), "expected the git commit"),
        (
            lambda r: r["protocol"].update(tail="a\nb"),
            "protocol: tail: Input should be 'hold', 'zero', 'rows' or 'rows-prolonged', found",
        ),
        (lambda r: r["metrics"].update({"AUC\nx": {"value": 1}}), "is not a run record: metrics"),
        (lambda r: r.update(seed={"a": ["line\n"] * 900}), "is not a run record: seed"),
    ],
)
def test_each_thing_to_mend_is_one_line(runs, lines_of, change, said):
    edit(first(runs), change)
    *findings, last = lines_of(runs)
    assert last == f"2 results checked, {len(findings)} to fix"
    assert any(said in line for line in findings)
    for line in findings:
        assert line.startswith(f"{first(runs)}: ") and len(line) < len(str(first(runs))) + 310
        assert line.isprintable() and "Traceback" not in line and "File" not in line
