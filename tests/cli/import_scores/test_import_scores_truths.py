"""``vadbench import-scores``: the ground truths that count."""

import json

import numpy as np
import pytest

from filmed_plugin import POSITIVES, TEST, by_frame, drawn
from imported_scores import carrying, label_rows, moved, notes, truth_file, value
from literal_metrics import of_frames

NAMES = list(TEST)


def test_the_agreement_with_the_truth_in_the_file_is_said(load, tmp_path):
    record = load(carrying(tmp_path / "same.json"))
    assert "the ground truth in the files agrees with this one in all 12 videos" in record["notes"]
    record = load(carrying(tmp_path / "late.json", later=8), name="late")
    (note,) = notes(record, "differs")
    # 8 frames at each end of a segment, but for what is at the end of its video or its neighbour.
    differing = [int((m != t).sum()) for (_, m), (_, t) in zip(moved(drawn(), 8), by_frame(drawn()), strict=True)]
    named = ", ".join(f"{n} ({c})" for n, c in [(n, c) for n, c in zip(NAMES, differing, strict=True) if c][:3])
    assert f"differs in {sum(differing)} frames of 6 of 12 videos: {named}; --truth" in note
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(drawn()))["AUC"], abs=1e-7), "the data set's counts"


@pytest.mark.parametrize("form", ["variant", "file", "carried", "set"])
def test_another_truth_counts(load, tmp_path, save, form):
    path = carrying(tmp_path / "late.json", later=8)
    given = {
        "variant": ("--truth", "late"),
        "set": ("--set", "protocol.truth=late"),
        "file": ("--truth", truth_file(tmp_path / "truth.json", 8)),
        "carried": ("--truth", path),
    }[form]
    record = load(path, *given)
    assert value(record, "AUC") == pytest.approx(of_frames(moved(drawn(), 8))["AUC"], abs=1e-7)
    own = load(path)
    assert own["key"] == record["key"] and own["evaluation"] != record["evaluation"]
    name = {"file": "truth.json@", "carried": "late.json@"}.get(form, "late")
    assert record["protocol"]["truth"].startswith(name) and str(tmp_path) not in json.dumps(record["notes"])
    assert record["changed"] == ["protocol.truth"]
    assert len(list((tmp_path / "runs").rglob("result.json"))) == 2


def test_a_truth_may_demand_its_tail(load, save):
    scores = drawn(2, rows=lambda frames, stride: frames // stride)
    record = load(save(scores), "--truth", "rows")
    assert record["protocol"]["tail"] == "rows"
    assert record["data"]["test"]["frames"] == 16 * sum(map(len, scores.values()))


def test_carried_truth_is_found_by_the_names_of_videos(load, tmp_path):
    plain = load(carrying(tmp_path / "plain.json", later=8), "--truth", tmp_path / "plain.json")
    content = json.loads((tmp_path / "plain.json").read_text())["videos"]
    (tmp_path / "named.json").write_text(json.dumps({f"videos/{n}.mp4_pred": entry for n, entry in content.items()}))
    named = load(tmp_path / "named.json", "--truth", tmp_path / "named.json", name="named")
    assert named["metrics"] == plain["metrics"]


def test_spans_that_end_a_frame_too_far_are_cut_and_named(load, refused, tmp_path):
    """An annotation that ends two frames past its video, its last frame taken for part of it."""
    entry = {"frames": 352, "scores": [0.5] * 22}
    path = carrying(tmp_path / "x.json", **{"Fire003_x264": {**entry, "spans_inclusive": [[300, 354]]}})
    record = load(path, "--truth", path)
    (note,) = notes(record, "cut there")
    assert note.endswith("a segment of 'Fire003_x264' ends at frame 355, past its 352 frames; cut there")
    assert str(tmp_path) not in note
    assert record["data"]["test"]["positives"] == POSITIVES
    path = carrying(tmp_path / "y.json", **{"Fire003_x264": {**entry, "spans_inclusive": [[300, 355]]}})
    assert "ends at frame 356, past its 352 frames" in refused(path, "--truth", path)


def test_labels_of_rows_are_compared_where_rows_begin(load, tmp_path):
    path, _, _ = label_rows(tmp_path / "all.csv")
    assert notes(load(path), "agrees with this one in all 12 videos")
    path, _, labels = label_rows(tmp_path / "late.csv", later=16)
    differing = {
        n: int((own != np.pad(by_frame({n: own})[0][1], (0, 16))[: 16 * len(own) : 16]).sum())
        for n, own in labels.items()
    }
    (note,) = notes(load(path, name="late"), "differs")
    assert f"differs in {sum(differing.values())} rows of {sum(map(bool, differing.values()))} of 12 videos" in note


def test_labels_of_rows_are_a_truth_at_the_distance_of_the_rows(load, tmp_path):
    path, scores, labels = label_rows(tmp_path / "all.csv")
    record = load(path, "--truth", path)
    frames = [
        (own, np.repeat(labels[name], 16)[: len(own)])
        for (name, _), (own, _) in zip(scores.items(), by_frame(scores), strict=True)
    ]
    assert value(record, "AUC") == pytest.approx(of_frames(frames)["AUC"], abs=1e-7)
    assert record["data"]["test"]["positives"] == sum(int(truth.sum()) for _, truth in frames)


def test_labels_of_rows_need_a_known_distance(refused, load, tmp_path):
    path, _, _ = label_rows(tmp_path / "all.csv")
    assert "give --stride FRAMES" in refused(path, "--truth", path, dataset="unmeasured")
    tail = ("--set", "protocol.tail=rows", "--stride", 16)
    own, carried = (load(path, *tail, *more, dataset="unmeasured") for more in ([], ["--truth", path]))
    assert carried["data"]["test"]["positives"] % 16 == 0 and own["evaluation"] != carried["evaluation"]


def test_a_file_without_truth_is_none(refused, save, tmp_path):
    path = save()
    assert "carries no ground truth; name another file with --truth" in refused(path, "--truth", path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"calm": None}, "lacks 1 of 12 videos, the first is 'calm'"),
        ({"calm": {"frames": 300, "segments": []}}, "'calm' has 300 frames there, 320 by the data set"),
        ({"calm": {"frames": 320, "segments": [["Riot", 0, 400]]}}, "ends at frame 400, past its 320 frames"),
        ({"calm": {"frames": 320, "segments": [["Riot", 5, 3]]}}, "segment must have 0 <= first < end"),
        ({"calm": {"frames": 320, "segments": [["Riots", 5, 9]]}}, "did you mean 'Riot'"),
        ({"calm": []}, "expected an entry as in"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(refused, save, tmp_path, changes, said):
    line = refused(save(), "--truth", truth_file(tmp_path / "truth.json", **changes))
    assert said in line and "truth.json" in line


def test_a_truth_of_other_lengths_than_the_scores_is_refused(refused, save, tmp_path):
    content = carrying(tmp_path / "x.json", **{"calm": {"frames": 200, "spans_inclusive": [], "scores": [0.5] * 20}})
    assert "'calm' has 200 frames" in refused(content)
    assert "'calm' has 200 frames" in refused(content, "--truth", content)
    assert "no such" in refused(save(), "--truth", "lat").casefold() or "did you mean 'late'" in refused(
        save(), "--truth", "lat"
    )
