"""``vadbench compare`` and ``vadbench rescore`` as a user types them, on runs of the tiny data set."""

import json
import shutil

import numpy as np
import pytest

import vadbench as package
from command_line import heavy_imports
from places import PLUGIN

CLIP = ["--clip-weights", "random:0", "--clip", "small", "--device", "cpu", "--plugin", str(PLUGIN)]
NOTE = (
    "note: 'tiny/linear' stands for runs of recipe.epochs=8, recipe.learning_rate=0.1 (seeds 0, 1): none is of default"
    " settings\n"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory, prepare, tiny_cache):
    """Runs made once: two seeds trained well, two hardly, one evaluated under another protocol as well."""
    out = tmp_path_factory.mktemp("made") / "runs"
    cache = shutil.copytree(tiny_cache, out.parent / "cache")
    there = {"VADBENCH_CACHE": cache, "TINY_TEST": 10}  # every second one abnormal: as few as can be told apart
    good = ["-m", "linear", "--set", "recipe.epochs=8", "--set", "recipe.learning_rate=0.1"]
    for arguments in (good, ["-m", "random"]):
        prepare("run", *CLIP, "-d", "tiny", "--seeds", "0-1", "--out", out, "--json", *arguments, **there)
    first = min(out.glob("tiny/linear/*"))
    prepare("run", *CLIP[-2:], "--from", first, "-d", "tiny", "--protocol", "vadclip", "--out", out, **there)
    return out


@pytest.fixture
def out(made, tmp_path):
    return shutil.copytree(made, tmp_path / "runs")


@pytest.fixture
def vadbench(vadbench, out):
    return lambda *arguments, status=0: vadbench(*arguments, "--out", out, status=status)


def table(text):
    """Rows of a printed table by their first cell."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("---"))
    columns = [len(part) for part in lines[start].split("  ")]
    rows = {}
    for line in lines[start + 1 :]:
        cells, at = [], 0
        for width in columns:
            cells.append(line[at : at + width].strip())
            at += width + 2
        rows[cells[0]] = cells[1:]
    return rows


def test_two_methods_side_by_side(vadbench, out):
    text, err = vadbench("compare", "tiny/linear", "tiny/random")
    assert err == NOTE
    assert text.splitlines()[:2] == [
        "A: linear recipe.epochs=8 recipe.learning_rate=0.1 on tiny, protocol native, seeds 0, 1",
        "B: random on tiny, protocol native, seeds 0, 1",
    ]
    rows = table(text)
    assert list(rows) == ["AUC", "AUC/within", "AUC/flattened", "AP", "AnoAUC", "mAUC", "mAP", "mAP@IoU", "FAR"]
    stored = {m: [json.loads(p.read_text())["metrics"]["AUC"]["value"] for p in out.glob(f"tiny/{m}/*/result.json")]
              for m in ("linear", "random")}  # fmt: skip
    auc = {method: np.mean(values) for method, values in stored.items()}
    a, b, difference, interval, p, words = rows["AUC"]
    assert (a, b) == (f"{100 * auc['linear']:.2f}", f"{100 * auc['random']:.2f}")
    assert float(difference) == pytest.approx(100 * (auc["linear"] - auc["random"]), abs=0.0051)
    low, high = map(float, interval.strip("[]").split(","))
    assert 0 < low <= float(difference) <= high
    assert float(p) < 0.01 and words == "A is better"


def test_the_same_for_a_program(vadbench, out):
    text, err = vadbench("compare", "tiny/linear", "tiny/random", "--metrics", "AUC, FAR", "--json")
    found = json.loads(text)
    assert err == NOTE and list(found["metrics"]) == ["AUC", "FAR"]
    assert (found["resamples"], found["notes"]) == (5000, [])
    assert sorted(found["A"]["folders"]) == sorted(str(p.resolve()) for p in out.glob("tiny/linear/*"))
    auc = found["metrics"]["AUC"]
    assert auc["difference"] == pytest.approx(auc["A"] - auc["B"])
    assert auc["low"] <= auc["difference"] <= auc["high"] and auc["p"] <= auc["p_holm"] <= 2 * auc["p"]
    assert auc["verdict"] == "A is better"


def test_a_run_against_itself_is_identical(vadbench, out):
    key = min(p.name for p in out.glob("tiny/linear/*"))
    rows = table(vadbench("compare", key, key)[0])
    assert {tuple(r[2:]) for r in rows.values()} == {("+0.00", "[+0.00, +0.00]", "1.0000", "identical")}


def test_with_four_abnormal_videos_nothing_is_told_apart(vadbench, out):
    for path in out.rglob("scores.npz"):
        with np.load(path) as file:
            arrays = dict(file)
        first = arrays["runs"][0, 0]
        kept = {name: arrays[name][arrays[name][:, 0] != first] for name in ("runs", "segments")}
        np.savez(path, **arrays | kept)
    few = "too few videos to tell: 4 abnormal videos, fewer than 5"
    rows = table(vadbench("compare", "tiny/linear", "tiny/random")[0])
    # Its normal videos are enough for the false-alarm rate.
    assert rows.pop("FAR")[-1] != few and rows
    mixed = few.replace("abnormal videos", "videos with frames of both kinds")
    for name, (_, _, difference, interval, p, words) in rows.items():
        said = mixed if name == "AUC/within" else few
        assert difference[0] in "+-" and (interval, p, words) == ("-", "-", said)
    found = vadbench("compare", "tiny/linear", "tiny/random", "--json").json["metrics"]
    assert found.pop("FAR")["p"] is not None
    for name, metric in found.items():
        assert metric["verdict"] == (mixed if name == "AUC/within" else few)
        assert [metric[name] for name in ("low", "high", "p", "p_holm")] == [None] * 4


def test_a_class_may_be_asked_for_in_either_spelling(vadbench):
    found = json.loads(
        vadbench("compare", "tiny/linear", "tiny/random", "--metrics", "AUC/Square,AP[Square]", "--json")[0]
    )
    assert list(found["metrics"]) == ["AUC[Square]", "AP[Square]"]


def test_another_protocol_is_noted_and_compared(vadbench, out):
    (other,) = out.glob("tiny/linear/*/evaluations/*")
    _, err = vadbench("compare", other, "tiny/random")
    assert err.startswith("note: protocols differ: name (vadclip, native)") and len(err.splitlines()) == 1


def test_a_damaged_seed_is_noted_and_left_out(vadbench, out):
    bad = max(out.glob("tiny/random/*"))
    (bad / "result.json").write_text("{")
    text, err = vadbench("compare", "tiny/linear", "tiny/random")
    assert "\nnote: left out: " in err and str(bad) in err
    assert "B: random on tiny, protocol native, seed" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tiny/linear", "nothing"], "no single run called 'nothing'"),
        (["tiny/linear", "tiny"], "no runs in"),
        (["tiny/linear", "tiny/random", "--metrics", "AUCC"], "did you mean 'AUC'"),
        (["tiny/linear", "tiny/random", "--metrics", ""], "unknown metric"),
        (["tiny/linear"], "Missing argument 'B'"),
    ],
)
def test_bad_input_ends_with_one_line(vadbench, arguments, words):
    _, err = vadbench("compare", *arguments, status=2)
    assert words in err.splitlines()[-1]


def test_neither_command_imports_torch(out):
    first = min(out.glob("tiny/linear/*"))
    for arguments in (["compare", "tiny/linear", "tiny/random"], ["rescore", str(first)]):
        assert heavy_imports(*arguments, "--out", out) <= {"numpy"}


# Measuring again.


def records(out):
    return {p.parent: p.read_bytes() for p in out.rglob("result.json")}


def spoil(folder, **metrics):
    """Change figures of a record, as if other code had computed them."""
    content = json.loads((folder / "result.json").read_text())
    for name, value in metrics.items():
        if value is None:
            del content["metrics"][name]
        else:
            content["metrics"].setdefault(name, {"low": None, "high": None, "reason": None}).update(value)
    (folder / "result.json").write_text(json.dumps(content))


def test_what_has_not_changed_is_not_written(vadbench, out):
    before = records(out)
    assert len(before) == 5
    text, err = vadbench("rescore", out)
    assert records(out) == before and err == ""
    assert sorted(line.split(": ")[0] for line in text.splitlines()) == sorted(map(str, before))
    assert all(": unchanged, " in line for line in text.splitlines())


def test_old_and_new_figures_are_shown_and_the_record_is_mended(vadbench, out):
    before = records(out)
    first = max(out.glob("tiny/linear/*"))
    good = json.loads(before[first])
    spoil(first, AUC={"value": 0.123, "low": 0.1}, FAR={"value": good["metrics"]["FAR"]["value"] + 1e-14}, mAP=None,
          old={"value": 0.5})  # fmt: skip
    text, _ = vadbench("rescore", first.name)
    assert f"{first}: 3 of {len(good['metrics'])} metrics changed" in text
    rows = table(text)
    assert list(rows) == ["AUC", "old", "mAP"]
    assert rows["AUC"][0].startswith("12.30 [10.00, ") and rows["old"] == ["50.00", "absent"]
    assert rows["mAP"][0] == "absent"
    mended = json.loads((first / "result.json").read_text())
    note = f"metrics computed again with vadbench {package.__version__}"
    assert mended == good | {"notes": [*good["notes"], note]}
    after = records(out)
    assert {f for f in after if after[f] != before[f]} == {first}
    spoil(first, AUC={"value": 0.5})
    vadbench("rescore", first)
    assert json.loads((first / "result.json").read_text())["notes"].count(note) == 1


def test_other_evaluations_of_a_run_are_measured_too(vadbench, out):
    (other,) = out.glob("tiny/linear/*/evaluations/*")
    good = (other / "result.json").read_text()
    spoil(other, AP={"value": 0.9})
    found = vadbench("rescore", other.parent.parent.name, "--json").json
    assert [(f["folder"], list(f["changed"])) for f in found] == [
        (str(other.parent.parent), []),
        (str(other), ["AP"]),
    ]
    assert found[1]["changed"]["AP"]["old"]["value"] == 0.9
    assert found[1]["changed"]["AP"]["new"] == json.loads(good)["metrics"]["AP"]


def test_damage_is_named_and_the_others_go_on(vadbench, out):
    a, b, *_ = sorted(out.glob("tiny/*/*"))
    spoil(a, AUC={"value": 0.1})
    (b / "scores.npz").write_bytes(b"PK")
    c = max(out.glob("tiny/random/*"))
    (c / "result.json").write_text('{"schema_version": 99}')
    text, err = vadbench("rescore", out, status=1)
    assert f"{a}: 1 of" in text
    lines = err.splitlines()
    assert len(lines) == 2 and all(line.startswith("vadbench: ") for line in lines)
    assert f"cannot read {b}/scores.npz" in err and "schema 99" in err
    found = vadbench("rescore", out, "--json", status=1).json
    assert [f["folder"] for f in found if "error" in f] == sorted(map(str, (b, c)))
    assert json.loads((a / "result.json").read_text())["metrics"]["AUC"]["value"] != 0.1


def test_a_failed_run_has_nothing_to_measure(vadbench, out):
    first = max(out.glob("tiny/random/*"))
    content = json.loads((first / "result.json").read_text()) | {"status": "failed", "error": "no"}
    (first / "result.json").write_text(json.dumps(content))
    _, err = vadbench("rescore", first)
    assert "not finished, nothing to measure" in err
    assert json.loads((first / "result.json").read_text()) == content


def test_a_run_in_use_is_left_alone(vadbench, out, held_by_another_process):
    (other,) = out.glob("tiny/linear/*/evaluations/*")
    spoil(other, AUC={"value": 0.1})
    before = records(out)
    with held_by_another_process(other.parent.parent):
        _, err = vadbench("rescore", other, status=1)
    assert "in use by another process" in err and records(out) == before


def test_a_folder_without_runs_is_refused(vadbench, tmp_path):
    _, err = vadbench("rescore", tmp_path / "runs" / "tiny" / "none", status=2)
    assert "no single run called" in err
    (tmp_path / "empty").mkdir()
    _, err = vadbench("rescore", tmp_path / "empty", status=2)
    assert "no result.json in" in err
