"""``vadbench import-scores``: what it measures."""

import csv
import json

import numpy as np
import pytest

from filmed_plugin import ABNORMAL, FRAMES, POSITIVES, TEST, by_frame, drawn
from imported_scores import carrying, notes, out_of, value
from literal_metrics import of_frames
from vadbench.base.text import spaced
from vadbench.records.scores import load_split

NAMES = list(TEST)


def test_every_figure_is_that_of_a_loop_over_frames(load, save):
    record = load(save())
    hours = [frames / 25 / 3600 for frames, _ in TEST.values()]
    expected = of_frames(by_frame(drawn()), hours)
    for key, number in expected.items():
        found = value(record, key)
        assert (found is None) == (number is None), key
        assert number is None or found == pytest.approx(number, abs=1e-9), key
    test = record["data"]["test"]
    assert (test["videos"], test["expected"], test["abnormal"]) == (len(TEST), len(TEST), ABNORMAL)
    assert (test["frames"], test["positives"]) == (FRAMES, POSITIVES)
    assert "a score every 16 frames, found from the lengths of 12 videos" in record["notes"]
    assert record["metrics"]["AUC"]["low"] < value(record, "AUC") < record["metrics"]["AUC"]["high"]


@pytest.mark.parametrize("stride", [1, 4, 8, 16, 24, 30, 11])
@pytest.mark.parametrize("count", ["ceil", "floor"])
def test_the_distance_of_rows_is_found_from_lengths(load, save, stride, count):
    rows = (lambda f, s: -(-f // s)) if count == "ceil" else (lambda f, s: f // s)
    scores = drawn(1, stride, rows)
    record = load(save(scores))
    assert notes(record, f"a score {spaced(stride)}, found from")
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(scores, stride))["AUC"], abs=1e-12)


@pytest.mark.parametrize("tail", ["hold", "zero", "rows"])
def test_the_protocol_says_what_the_last_frames_count(load, save, tail):
    scores = drawn(2, rows=lambda frames, stride: max(frames // stride - 1, 1))
    rules = [] if tail == "hold" else ["--set", f"protocol.tail={tail}"]
    record = load(save(scores), "--stride", 16, "--tolerance", 32, *rules)
    expected = of_frames(by_frame(scores, tail=tail))
    assert value(record, "AUC") == pytest.approx(expected["AUC"], abs=1e-12)
    assert value(record, "AP") == pytest.approx(expected["AP"], abs=1e-12)
    frames = 16 * sum(len(values) for values in scores.values()) if tail == "rows" else FRAMES
    assert record["data"]["test"]["frames"] == frames
    assert record["protocol"]["tail"] == tail
    assert record["changed"] == ([] if tail == "hold" else ["protocol.tail"])


def test_lengths_that_are_not_known_are_those_of_the_rows(load, save, refused):
    scores = drawn()
    assert "give --stride FRAMES" in refused(save(scores), dataset="unmeasured")
    line = refused(save(scores), "--stride", 16, dataset="unmeasured")
    assert "the number of frames of 12 videos is not known" in line and "protocol.tail=rows" in line
    record = load(save(scores), "--stride", 16, "--set", "protocol.tail=rows", dataset="unmeasured")
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(scores, tail="rows"))["AUC"], abs=1e-12)
    assert "a score every 16 frames, as was said" in record["notes"]


def test_lengths_may_be_stated_by_the_file(load, tmp_path):
    scores = drawn()
    entries = {name: {"frames": TEST[name][0], "scores": values.tolist()} for name, values in scores.items()}
    (tmp_path / "all.json").write_text(json.dumps({"videos": entries}))
    record = load(tmp_path / "all.json", "--stride", 16, dataset="unmeasured")
    assert record["data"]["test"]["frames"] == FRAMES
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(scores))["AUC"], abs=1e-7)


def test_post_processing_is_that_of_the_authors(load, save):
    logits = {name: (np.log(v / (1 - v)) * 3).astype(np.float64) for name, v in drawn().items()}
    record = load(save(logits), "--post", "logistic, round(2)")
    after = {name: np.round(1 / (1 + np.exp(-v)), 2) for name, v in logits.items()}
    expected = of_frames(by_frame(after))
    assert value(record, "AUC") == pytest.approx(expected["AUC"], abs=1e-12)
    assert value(record, "distinct") == expected["distinct"]
    assert record["protocol"]["post"] == record["method_post"] == "logistic, round(2)"
    assert record["changed"] == []
    assert not record["unit_scores"] and value(record, "FAR") is not None, "a logistic is between 0 and 1"
    assert value(load(save(logits), name="raw"), "FAR") is None


def test_classes_are_measured_where_there_are_probabilities(load, tmp_path):
    scores = drawn()
    rng = np.random.default_rng(4)
    riot = {name: rng.random(len(values)) / 2 for name, values in scores.items()}
    fire = {name: rng.random(len(values)) / 2 for name, values in scores.items()}
    entries = {
        name: {"scores": v.tolist(), "classes": {"g": riot[name].tolist(), "Fire": fire[name].tolist()}}
        for name, v in scores.items()
    }
    (tmp_path / "all.json").write_text(json.dumps(entries))
    record = load(tmp_path / "all.json")
    frames = by_frame(fire)
    truth = []
    for length, segments in TEST.values():
        mask = np.zeros(length, bool)
        for label, start, end in segments:
            mask[start:end] |= label == "Fire"
        truth.append(mask)
    expected = of_frames([(own, mask) for (own, _), mask in zip(frames, truth, strict=True)])
    assert value(record, "AUC[Fire]") == pytest.approx(expected["AUC"], abs=1e-12)
    assert value(record, "mAUC") is not None and value(record, "mAP@IoU") is not None
    split = load_split(out_of(record))
    assert split.given[0].classes.sum(1) == pytest.approx(1), "the normal class has the rest"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Explosion": [0.5] * 7}, "no class is called 'Explosion'; known: Fire, Normal, Riot"),
        ({"Riott": [0.5] * 7}, "no class is called 'Riott'; did you mean 'Riot'?"),
        ({"Riot": [0.5] * 7, "G": [0.5] * 7}, "'Riot' is there under two names"),
        ({"Riot": [0.5] * 6}, "expected 7 probabilities of each class"),
        (None, "no class probabilities, which other videos have"),
    ],
)
def test_classes_that_do_not_fit_are_refused(refused, tmp_path, change, said):
    entries = {n: {"scores": v.tolist(), "classes": {"Fire": [0.5] * len(v)}} for n, v in drawn().items()}
    if change is None:
        del entries[NAMES[0]]["classes"]
    else:
        entries[NAMES[0]]["classes"] = change
    (tmp_path / "all.json").write_text(json.dumps(entries))
    assert said in refused(tmp_path / "all.json")


def test_scores_stay_in_their_precision(load, save):
    narrow, wide = load(save()), load(save({n: v.astype(np.float64) for n, v in drawn().items()}))
    for record, kind in ((narrow, np.float32), (wide, np.float64)):
        assert {s.anomaly.dtype.type for s in load_split(out_of(record)).given} == {kind}
    assert narrow["key"] != wide["key"]


def test_all_forms_give_the_same_figures(load, save, tmp_path):
    scores = {name: values.astype(np.float64) for name, values in drawn(3).items()}
    expected = load(save(scores))
    (tmp_path / "each").mkdir()
    for name, values in scores.items():
        np.save(tmp_path / "each" / f"{name}_pred.npy", values)
    (tmp_path / "all.json").write_text(json.dumps({f"{n}.mp4": v.tolist() for n, v in scores.items()}))
    by = {n: {str(16 * i): float(x) for i, x in enumerate(v)} for n, v in scores.items()}
    (tmp_path / "frames.json").write_text(json.dumps({"videos": by}))
    spans = {
        n: {"segments": [[16 * i, min(16 * i + 15, TEST[n][0] - 1), float(x)] for i, x in enumerate(v)]}
        for n, v in scores.items()
    }
    (tmp_path / "segments.json").write_text(json.dumps({"videos": spans}))
    with (tmp_path / "all.csv").open("w", newline="") as file:
        rows = [(n, repr(float(x))) for n, v in scores.items() for x in v]
        csv.writer(file).writerows([("video_id", "score"), *rows])
    np.save(tmp_path / "joined.npy", np.concatenate(list(scores.values())))
    (tmp_path / "lengths.json").write_text(json.dumps({n: len(v) for n, v in scores.items()}))
    for paths in (["each"], ["all.json"], ["all.csv"], ["joined.npy", "lengths.json"]):
        record = load(None, *(tmp_path / path for path in paths))
        assert record["key"] == expected["key"] and record["metrics"] == expected["metrics"], paths
    for path in ("frames.json", "segments.json"):
        record = load(tmp_path / path, name=path.partition(".")[0])
        assert {k: m["value"] for k, m in record["metrics"].items() if "delay" not in k} == pytest.approx(
            {k: m["value"] for k, m in expected["metrics"].items() if "delay" not in k}, abs=1e-12
        ), path
        assert notes(record, "as the files say")


@pytest.mark.parametrize("frames", [True, False], ids=["their number is stated", "it is not"])
def test_frames_that_no_segment_covers_are_0(load, tmp_path, frames):
    rng, entries, scores = np.random.default_rng(9), {}, {}
    for name, (length, _) in TEST.items():
        segments = [[int(a), int(a) + 9, float(rng.random())] for a in rng.integers(0, length - 40, 5)]
        entries[name] = {"segments": segments} | ({"frames": length} if frames else {})
        scores[name] = np.zeros(length)
        for first, last, score in segments:
            scores[name][first : last + 1] = score
    (tmp_path / "all.json").write_text(json.dumps({"videos": entries}))
    record = load(tmp_path / "all.json")
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(scores, 1))["AUC"], abs=1e-12)
    assert record["data"]["test"]["frames"] == FRAMES and not notes(record, "further off")


def test_other_names_of_a_video_are_found(load, save, tmp_path):
    expected = load(save())
    assert load(save({"quiet_pred" if n == "calm" else n: v for n, v in drawn().items()})) == expected
    content = json.loads(carrying(tmp_path / "x.json").read_text())["videos"]
    (tmp_path / "x.json").write_text(json.dumps({"quiet" if n == "calm" else n: v for n, v in content.items()}))
    assert load(tmp_path / "x.json", "--truth", tmp_path / "x.json")["data"]["test"]["positives"] == POSITIVES
