"""Divisions and ground truths of a data set in commands: keys, marks, tables and what is refused."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from divided_plugin import Divided
from places import DIVIDED, PLUGIN

pytestmark = pytest.mark.usefixtures("quick_runs")
BASE = ("--plugin", DIVIDED, "--plugin", PLUGIN, "--device", "cpu")
CLIP = ("--clip", "small", "--clip-weights", "random:0")
LINEAR = ("-m", "linear", "--set", "recipe.epochs=1", "-d", "divided", *CLIP)
ZERO = ("-m", "zero-shot", "-d", "divided", *CLIP)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def run(vadbench, out):
    """Run and return the record, or the message where it must be refused."""

    def call(*arguments, status=0):
        found = vadbench("run", *BASE, "--json", "--out", out, *arguments, status=status)
        return found.json[0] if status == 0 else found.err

    return call


@pytest.fixture
def truth_file(tmp_path):
    """Write a ground truth of the test videos, a frame later than their own, with other entries; its path."""

    def call(name="mine.json", **entries):
        videos = {
            v.name: {"frames": v.frames, "segments": [[s.label, s.start + 1, s.end + 1] for s in v.segments]}
            for v in Divided(tmp_path).videos("test")
        } | entries
        (tmp_path / name).write_text(json.dumps({"videos": {k: v for k, v in videos.items() if v is not None}}))
        return tmp_path / name

    return call


def keys(record):
    return record["key"], record["group"], record["evaluation"]


def written(out):
    return sorted(p for p in out.rglob("*") if p.is_file())


# --- keys ----------------------------------------------------------------------------------------------------------


def test_another_truth_is_one_more_evaluation_of_the_same_training(run, truth_file, out):
    own = run(*LINEAR)
    other = run("--from", own["key"], "--truth", truth_file(), *CLIP)
    assert keys(other)[:2] == keys(own)[:2] and other["evaluation"] != own["evaluation"]
    assert (other["protocol"] | {"truth": ""}) == own["protocol"]
    assert other["protocol"]["truth"].startswith("mine.json@")
    assert other["changed"] == [*own["changed"], "protocol.truth"]
    assert other["metrics"]["AUC"] != own["metrics"]["AUC"]
    assert other["data"]["test"]["positives"] == own["data"]["test"]["positives"] == 80
    assert [p.name for p in out.rglob("checkpoint.safetensors")] == ["checkpoint.safetensors"]
    assert keys(run(*LINEAR, "--truth", truth_file("same.json")))[:2] == keys(own)[:2], "a run finds the training too"
    assert len(list(out.rglob("checkpoint.safetensors"))) == 1


def test_the_key_of_an_evaluation_knows_a_file_by_what_it_says(run, truth_file):
    first = run(*ZERO, "--truth", truth_file())
    assert keys(run(*ZERO, "--truth", truth_file())) == keys(first)
    changed = run(*ZERO, "--truth", truth_file(**{"test-0": {"frames": 30, "segments": [["Square", 3, 9]]}}))
    assert changed["key"] == first["key"] and changed["evaluation"] != first["evaluation"]


def test_a_division_is_part_of_a_training_through_its_videos_alone(run):
    own, short, wide = run(*LINEAR), run(*LINEAR, "--partition", "short"), run(*LINEAR, "--partition", "wide")
    assert keys(short)[:2] == keys(own)[:2], "trained on the same videos"
    assert wide["key"] != own["key"] and wide["group"] != own["group"]
    assert len({r["evaluation"] for r in (own, short, wide)}) == 3
    assert [r["data"]["test"]["videos"] for r in (own, short, wide)] == [16, 12, 18]
    assert [r["data"]["train"]["videos"] for r in (own, short, wide)] == [10, 10, 8]
    assert not [n for r in (own, short, wide) for n in r["notes"] if n.startswith("incomplete")]


def test_a_division_may_have_other_splits(run):
    assert "divided has no train split" in run(*LINEAR, "--partition", "alone", status=2)
    record = run(*ZERO, "--partition", "alone")
    assert list(record["data"]) == ["test"] and record["data"]["test"]["videos"] == 26


def test_a_training_is_not_tested_on_videos_that_it_saw_in_another_division(run):
    own, wide = run(*LINEAR), run(*LINEAR, "--partition", "wide")
    assert run("--from", own["key"], "--partition", "short", *CLIP)["key"] == own["key"]
    assert run("--from", wide["key"], "--partition", "short", *CLIP)["key"] == wide["key"]
    said = run("--from", own["key"], "--partition", "wide", *CLIP, status=2)
    assert "the training saw 2 of the 18 test videos, the first is 'train-0'" in said
    assert "on divided in its own division, and is to be tested in partition wide; train again in" in said
    said = run("--from", wide["key"], "--partition", "alone", *CLIP, status=2)
    assert "the training saw 8 of the 26 test videos" in said and "in partition wide, and is to be" in said
    assert run("--from", wide["key"], "--partition", "wide", *CLIP)["key"] == wide["key"]


def test_a_set_field_and_an_option_make_the_same_run(run):
    found = [
        run(*ZERO, "--truth", "late", "--partition", "short"),
        run(*ZERO, "--set", "protocol.truth=late", "--set", "protocol.partition=short"),
    ]
    assert keys(found[0]) == keys(found[1])
    assert keys(run(*ZERO, "--set", "protocol.truth=", "--set", "protocol.partition=")) == keys(run(*ZERO))


def test_weights_selected_on_the_test_split_depend_on_its_truth(run):
    own, late = (run(*LINEAR, "--selection", "best-on-test", *more) for more in ((), ("--truth", "late")))
    assert own["key"] != late["key"]


def test_a_dry_run_says_under_what_it_would_be(vadbench, out, run):
    run(*ZERO)
    asked = ("run", *BASE, *ZERO, "--out", out, "--dry-run", "--truth", "rows", "--partition", "short")
    plan = vadbench(*asked, "--json").json
    assert (plan["truth"], plan["partition"]) == ("rows", "short")
    assert plan["changed"] == ["protocol.tail", "protocol.truth", "protocol.partition"]
    assert [r["state"] for r in plan["runs"]] == ["to evaluate"]
    assert "zero-shot on divided, protocol native, truth rows, partition short, changed: " in vadbench(*asked).out


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--truth", "lat"), "unknown ground truth of divided, or file, 'lat'; did you mean 'late'?"),
        (("--partition", "wid"), "unknown partition of divided 'wid'; did you mean 'wide'?"),
        (("--set", "protocol.truht=late"), "the protocol has no field 'truht' to set; did you mean 'truth'"),
        (("--set", "protocol.truth=late", "--truth", "rows"), "both give protocol.truth; leave one out"),
    ],
)
def test_a_wrong_name_is_one_line_and_nothing_is_written(refused, out, options, words):
    assert words in refused("run", *BASE, *ZERO, "--out", out, *options)
    assert written(out) == []


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"test-3": None}, "lacks 1 of 16 videos, the first is 'test-3'"),
        ({"test-3": {"frames": 40, "segments": []}}, "'test-3' has 40 frames there, 30 by the data set"),
        ({"test-2": {"frames": 30, "segments": [["Square", 9, 99]]}}, "ends at frame 99, past its 30 frames"),
        ({"test-2": {"frames": 30, "segments": [["Squares", 9, 12]]}}, "unknown class 'Squares'"),
        ({"test-2": []}, "expected an entry as in"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line_and_nothing_is_written(refused, out, truth_file, entries, words):
    said = refused("run", *BASE, *ZERO, "--out", out, "--truth", truth_file(**entries))
    assert words in said and "mine.json" in said
    assert written(out) == []


def test_a_damaged_file_is_one_line_and_more_videos_are_fine(refused, run, out, truth_file):
    path = truth_file(elsewhere={"frames": 3, "segments": []})
    assert run(*ZERO, "--truth", path)["status"] == "finished"
    path.write_text(path.read_text()[:-9])
    assert str(path) in refused("run", *BASE, *ZERO, "--out", out, "--truth", path)


# --- tables --------------------------------------------------------------------------------------------------------


def test_runs_under_other_truths_or_in_other_divisions_are_never_ranked_together(run, vadbench, out):
    for more in ((), ("--truth", "late"), ("--partition", "short"), ("--truth", "rows", "--partition", "wide")):
        run(*ZERO, *more)
        run("-m", "random", "-d", "divided", *CLIP, *more)
    tables = vadbench("leaderboard", "--out", out, "--json").json["tables"]
    titles = ["divided", "divided, partition short", "divided, truth late", "divided, truth rows, partition wide"]
    assert sorted(t["title"] for t in tables) == titles
    assert all(len([r for r in t["rows"] if r["rank"]]) == 2 for t in tables)
    assert len({t["group"] for t in tables}) == 4
    notes = {t["title"]: t["note"] for t in tables}
    assert "Protocol native with tail rows, truth rows, partition wide." in notes[titles[3]]
    assert "18 test videos, 10 of them abnormal" in notes[titles[3]]


def test_a_comparison_under_two_truths_is_refused_and_one_of_equal_truths_is_warned_of(run, vadbench, out, truth_file):
    own, late = run(*ZERO), run(*ZERO, "--truth", "late")
    said = vadbench("compare", own["folder"], late["folder"], "--out", out, status=2).err
    assert "is anomalous in frames [[10, 20]] and [[15, 25]]" in said.replace("(", "[").replace(")", "]")
    assert "truth (none, late)" in said
    # The same frames under another name: the figures are comparable, and the reader is told.
    same = {
        v.name: {"frames": 30, "segments": [[s.label, s.start, s.end] for s in v.segments]}
        for v in Divided(Path()).videos("test")
    }
    again = run(*ZERO, "--truth", truth_file(**same))
    found = vadbench("compare", own["folder"], again["folder"], "--out", out, "--metrics", "AUC")
    assert "note: protocols differ: truth (none, mine.json@" in found.err
    assert "identical" in found.out
    in_short = run(*ZERO, "--partition", "short")
    assert "lacks 4 of the videos" in vadbench("compare", own["folder"], in_short["folder"], "--out", out, status=2).err


def test_every_table_is_marked(run, vadbench, out):
    record = run(*ZERO, "--truth", "late", "--partition", "wide")
    marked = "zero-shot on divided (truth late, partition wide)"
    assert marked in vadbench("run", *BASE, *ZERO, "--out", out, "--truth", "late", "--partition", "wide").out
    assert marked in vadbench("show", "run", record["folder"]).out
    said = vadbench("compare", record["folder"], record["folder"], "--out", out, "--metrics", "AUC").out
    assert "on divided (truth late, partition wide)" in said


def test_a_page_names_them_and_has_thumbnails_of_the_division(run, vadbench, out, tmp_path, monkeypatch):
    record = run(*ZERO, "--truth", "late", "--partition", "wide")
    seen = []

    def strips(dataset, frames, progress):
        seen.append(({v.name for v in dataset.videos("test")}, set(frames)))
        return {}, []

    monkeypatch.setattr("vadbench.report.thumbnails.make_strips", strips)
    vadbench("report", record["folder"], "--out", out, "--plugin", DIVIDED, "--output", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "truth late, partition wide" in page
    ((of_dataset, of_run),) = seen
    assert of_dataset == of_run and {"train-0", "train-2"} < of_dataset


def test_scenarios_are_shown_and_classes_are_said_to_be_unannotated(run, vadbench, out):
    record = run("-m", "zero-shot", "-d", "unclassed", *CLIP)
    assert {name: found["abnormal"] for name, found in record["scenarios"].items()} == {"mall": 6, "park": 2}
    assert record["metrics"]["mAP"] == {
        "value": None, "low": None, "high": None, "reason": "the data set annotates no classes",
    }  # fmt: skip
    assert record["diagnostics"] == {}
    shown = vadbench("show", "run", record["folder"])
    table = [line.split() for line in shown.out.splitlines()]
    mall = next(line for line in table if line[:2] == ["mall", "6"])
    auc = record["scenarios"]["mall"]["metrics"]["AUC"]
    assert mall[2:5] == [f"{100 * auc['value']:.2f}", f"[{100 * auc['low']:.2f},", f"{100 * auc['high']:.2f}]"]
    park = next(line for line in table if line[:2] == ["park", "2"])
    assert len(park) == 4, "no interval of two videos"
    assert "undefined, since the data set annotates no classes: mAUC, mAP" in shown.err
    folder = Path(record["folder"])
    assert vadbench("rescore", folder, "--json").json[0]["changed"] == {}
    beside = vadbench("compare", folder, folder, "--out", out)
    assert "note: not compared: mAUC, mAP, mAP@IoU, since the data set annotates no classes" in beside.err
    drawn = vadbench("plot", folder, "--out", out, "--output", out / "figures", "--kind", "per-class").err
    assert "no per-class: the data set annotates no classes" in drawn
    (table,) = vadbench("leaderboard", "--out", out, "--json").json["tables"]
    assert "undefined: the data set annotates no classes" in json.dumps(table)
    seeds = vadbench("run", *BASE, "-m", "zero-shot", "-d", "unclassed", *CLIP, "--out", out, "--seeds", "0-1").out
    assert [line for line in seeds.splitlines() if line.startswith("park") and "±" in line]


def test_a_truth_without_classes_leaves_those_of_the_data_set_unmeasured(run, vadbench):
    record = run(*ZERO, "--truth", "nameless")
    assert record["metrics"]["mAUC"]["reason"] == "the data set annotates no classes"
    assert run(*ZERO)["metrics"]["mAUC"]["value"] is not None
    assert record["metrics"]["AUC"] == run(*ZERO)["metrics"]["AUC"]
    assert vadbench("rescore", record["folder"], "--json").json[0]["changed"] == {}


# --- other commands ------------------------------------------------------------------------------------------------


def test_show_dataset_tells_of_divisions_truths_and_remarks(vadbench):
    said = vadbench("show", "dataset", "divided", "--plugin", DIVIDED).out
    assert "partition wide: two abnormal training videos are tested (8 train, 18 test)" in said
    assert "truth late: every anomaly five frames later\n" in said
    assert "truth rows: the same by rows (tail rows)" in said
    assert "remark: Scenarios of normal videos are unknown" in said
    assert "not annotated" not in said
    found = vadbench("show", "dataset", "unclassed", "--plugin", DIVIDED, "--json").json
    assert [p["name"] for p in found["partitions"]] == ["wide", "short", "alone"]
    assert found["partitions"][0]["videos"] == {"train": 8, "test": 18}
    assert {"name": "rows", "about": "the same by rows", "tail": "rows"} in found["truths"]
    assert found["by_class"] is False and len(found["remarks"]) == 1
    assert "classes of anomalies are not annotated" in vadbench("show", "dataset", "unclassed", "--plugin", DIVIDED).out
    plain = vadbench("show", "dataset", "synthetic", "--json").json
    assert (plain["partitions"], plain["truths"], plain["remarks"], plain["by_class"]) == ([], [], [], True)


def test_rescore_keeps_the_rules(run, vadbench):
    record = run(*ZERO, "--truth", "late", "--partition", "wide")
    path = Path(record["folder"]) / "result.json"
    stored = json.loads(path.read_text())
    stored["metrics"].pop("AUC")
    path.write_text(json.dumps(stored))
    assert list(vadbench("rescore", record["folder"], "--json").json[0]["changed"]) == ["AUC"]
    again = json.loads(path.read_text())
    assert again["protocol"] == record["protocol"]
    assert again["metrics"]["AUC"] == record["metrics"]["AUC"]


def test_data_check_reads_the_division_and_the_truth(run, vadbench, truth_file):
    run(*ZERO)
    run(*ZERO, "--partition", "wide")
    check = ("data", "check", "divided", "--plugin", DIVIDED, "--device", "cpu", *CLIP, "--json")
    rows = ("--features", Path(os.environ["VADBENCH_CACHE"]) / "datasets" / "divided")
    own = vadbench(*check, *rows, status=None).json
    wide = vadbench(*check, *rows, "--partition", "wide", "--truth", "late", status=None).json
    for report, train, test in ((own, 10, 16), (wide, 8, 18)):
        assert [report["splits"][s]["videos"]["expected"] for s in ("train", "test")] == [train, test]
        assert [report["splits"][s]["listed"] for s in ("train", "test")] == [train, test]
    assert [(r["partition"], r["truth"]) for r in (own, wide)] == [("", ""), ("wide", "late")]
    said = vadbench(*check[:-1], *rows, "--partition", "wide", "--truth", "late", status=None).out
    assert said.splitlines()[-1].startswith("divided, partition wide, truth late in ")
    assert own["splits"]["test"]["positive_frames"] == 80
    short = truth_file(**{"test-0": {"frames": 30, "segments": [["Square", 1, 3]]}})
    under = vadbench(*check, *rows, "--truth", short, status=None).json
    assert under["splits"]["test"]["positive_frames"] == 72
    lacking = vadbench(*check, *rows, "--truth", truth_file(**{"test-3": None}), status=2).json
    assert [p["kind"] for p in lacking["problems"]] and "lacks 1 of 16 videos" in json.dumps(lacking["problems"])
    assert "did you mean 'wide'" in vadbench(*check, "--partition", "wid", status=2).err


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def findings(vadbench, out):
    """Change the records of a submission and check it; what must be fixed."""

    def call(change=lambda record: None):
        for path in out.rglob("result.json"):
            record = json.loads(path.read_text())
            record["environment"]["commit"] = COMMIT
            change(record)
            path.write_text(json.dumps(record))
        found = vadbench("results", "check", out, "--plugin", DIVIDED, "--plugin", PLUGIN, "--json", status=None).json
        return [f["finding"] for f in found]

    return call


def test_a_submission_in_a_division_is_measured_by_its_sizes(run, findings, truth_file):
    run(*LINEAR, "--partition", "wide", "--truth", "late")
    assert findings() == []
    assert findings(lambda r: r["data"]["test"].update(expected=16)) == [
        "data: a complete test split of divided has 18 videos, the record says 16",
        "data: 18 of 16 test videos, and no note begins with 'incomplete'",
    ]


def test_a_submission_may_be_trained_in_another_division_and_tested_under_a_file(run, findings, truth_file):
    own = run(*LINEAR)
    run("--from", own["key"], "--partition", "short", "--truth", "rows", *CLIP)
    run("--from", own["key"], "--truth", truth_file(), *CLIP)
    assert findings() == []
    assert any("a complete train split of divided has 8 or 10 videos" in f for f in findings(of_train(9)))


def of_train(expected):
    return lambda record: record["data"]["train"].update(expected=expected)


def test_a_submission_names_what_the_data_set_has(run, findings):
    run(*ZERO, "--partition", "short", "--truth", "late")
    assert "protocol: unknown partition of divided 'shrt'; did you mean 'short'?" in findings(
        lambda r: r["protocol"].update(partition="shrt")
    )
    assert "protocol: unknown ground truth of divided 'lte'; did you mean 'late'?" in findings(
        lambda r: r["protocol"].update(partition="short", truth="lte")
    )
    without_digest = findings(lambda r: r["protocol"].update(truth="mine.json"))
    assert any(f.startswith("protocol: unknown ground truth of divided 'mine.json'") for f in without_digest)
    assert findings(lambda r: r["protocol"].update(truth="mine.json@0123456789ab")) == []


def test_a_submission_with_other_figures_of_a_scenario_is_found_out(run, findings):
    run("-m", "zero-shot", "-d", "unclassed", *CLIP)
    assert findings() == []

    def better(record):
        record["scenarios"]["park"]["metrics"]["AUC"]["value"] = 0.99

    (found,) = findings(better)
    assert found.startswith("metrics: AUC in park has value 0.99, its scores give")


# --- what is allowed -------------------------------------------------------------------------------------------------


def test_videos_that_a_truth_lacks_can_be_left_out_and_the_result_says_so(run, truth_file, out):
    path = truth_file(**{"test-3": None, "test-4": None})
    assert "go on without them with --allow-incomplete" in run(*ZERO, "--truth", path, status=2)
    found = run(*ZERO, "--truth", path, "--allow-incomplete")
    assert found["data"]["test"]["videos"] == 14 and "incomplete: 14 of 16 test videos" in found["notes"]
    path.write_text(json.dumps({"videos": {"another": {"frames": 30, "segments": []}}}))
    assert "lacks 16 of 16 videos" in run(*ZERO, "--truth", path, "--allow-incomplete", status=2)


def test_rows_that_end_early_suit_only_a_truth_that_was_cut_at_rows(run, tmp_path, truth_file):
    features = tmp_path / "features"
    Divided(features).prepare()
    rows = np.load(features / "test-3.npy")
    np.save(features / "test-3.npy", rows[:20])
    given = (*ZERO, "--features", features, "--features-layout", "anomalyclip")
    said = run(*given, "--truth", truth_file(), "--set", "protocol.tail=rows", status=2)
    assert "test-3: 20 feature rows of 1 frames each do not fit a video of" in said
    assert any("1 videos of doubtful length" in note for note in run(*given, "--truth", "rows")["notes"])
