"""``vadbench.evaluate``: every metric from arrays and files, against loops over frames, and what it refuses."""

import json
import subprocess
import sys

import numpy as np
import pytest

from filmed_plugin import TEST, by_frame, drawn, inside
from literal_metrics import of_frames
from vadbench import evaluate
from vadbench.base.errors import ConfigError, DataError

MASKS = {name: inside(name) for name in TEST}
SEGMENTS = {name: segments for name, (_, segments) in TEST.items()}
FRAMES = {name: frames for name, (frames, _) in TEST.items()}


def values(found):
    return {key: metric.value for key, metric in found.items()}


def agree(found, expected):
    for key, number in expected.items():
        assert (found[key].value is None) == (number is None), key
        assert number is None or found[key].value == pytest.approx(number, abs=1e-9), key


@pytest.mark.parametrize("form", ["masks", "lists", "ints", "segments", "segments without classes", "arrays"])
def test_every_figure_is_that_of_a_loop_over_frames(form):
    truth, frames = {
        "masks": (MASKS, None),
        "lists": ({n: m.astype(int).tolist() for n, m in MASKS.items()}, None),
        "ints": ({n: m.astype(np.int8) for n, m in MASKS.items()}, None),
        "segments": (SEGMENTS, FRAMES),
        "segments without classes": ({n: [(a, b) for _, a, b in s] for n, s in SEGMENTS.items()}, FRAMES),
        "arrays": ({n: np.array([(a, b) for _, a, b in s]).reshape(-1, 2) for n, s in SEGMENTS.items()}, FRAMES),
    }[form]
    found = evaluate(drawn(), truth, frames=frames, rate=25)
    agree(found, of_frames(by_frame(drawn()), [f / 25 / 3600 for f in FRAMES.values()]))
    assert found["AUC"].low < found["AUC"].value < found["AUC"].high


@pytest.mark.parametrize("tail", ["hold", "zero", "rows", "rows-prolonged"])
@pytest.mark.parametrize("more", [0, 15], ids=["full rows", "begun rows"])
def test_the_last_frames_count_as_the_rule_says(tail, more):
    scores = drawn(2, rows=lambda frames, stride: (frames + more) // stride)
    agree(evaluate(scores, MASKS, tail=tail), of_frames(by_frame(scores, tail=tail)))


def test_without_numbers_of_frames_rows_say_them():
    found = evaluate(drawn(), SEGMENTS, stride=16)
    assert found["AUC"].value == pytest.approx(of_frames(by_frame(drawn(), tail="rows"))["AUC"], abs=1e-9)


def test_post_processing_and_lists_of_numbers():
    logits = {name: np.log(v / (1 - v)).astype(float).tolist() for name, v in drawn().items()}
    after = {name: np.round(1 / (1 + np.exp(-np.array(v))), 2) for name, v in logits.items()}
    agree(evaluate(logits, MASKS, post="logistic, round(2)"), of_frames(by_frame(after)))


def test_classes_are_those_of_the_truth():
    rng = np.random.default_rng(0)
    classes = {n: {"Fire": rng.random(len(v)), "Riot": rng.random(len(v))} for n, v in drawn().items()}
    found = evaluate(drawn(), SEGMENTS, frames=FRAMES, class_scores=classes)
    frames = []
    for name, (length, segments) in TEST.items():
        mask = np.zeros(length, bool)
        for label, start, end in segments:
            mask[start:end] |= label == "Fire"
        frames.append((by_frame({name: classes[name]["Fire"]})[0][0], mask))
    assert found["AUC[Fire]"].value == pytest.approx(of_frames(frames)["AUC"], abs=1e-12)
    assert found["mAUC"].value is not None
    assert evaluate(drawn(), SEGMENTS, frames=FRAMES)["mAUC"].reason


def test_files_are_read_as_well(tmp_path):
    np.savez(tmp_path / "scores.npz", **{f"{name}.mp4": v for name, v in drawn().items()})
    truth = {n: {"frames": f, "segments": [list(s) for s in SEGMENTS[n]]} for n, f in FRAMES.items()}
    (tmp_path / "truth.json").write_text(json.dumps({"videos": truth}))
    expected = values(evaluate(drawn(), SEGMENTS, frames=FRAMES))
    assert values(evaluate(tmp_path / "scores.npz", str(tmp_path / "truth.json"))) == expected
    assert values(evaluate(drawn(), tmp_path / "truth.json")) == expected


def test_only_normal_frames_leave_figures_undefined_with_a_reason():
    found = evaluate({"a": [0.1, 0.2]}, {"a": [0] * 32}, stride=16)
    assert found["AUC"].value is None and found["AUC"].reason
    assert found["FAR"].value == 0


def test_neither_torch_nor_a_plugin_is_imported():
    code = """
import sys
import numpy as np
import vadbench
found = vadbench.evaluate({"a": [0.1, 0.9], "b": [0.2, 0.3]}, {"a": [(16, 32)], "b": []}, stride=16)
assert found["AUC"].value == 1
heavy = {"torch", "mlflow", "open_clip", "vadbench_synthetic", "vadbench_ucfcrime"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


TWO, NONE = {"a": [0.1, 0.9]}, {"a": []}
REFUSED = {
    "no scores": ({}, NONE, {}, "scores of at least one video"),
    "an unknown video": ({**TWO, "b": [1.0]}, NONE, {"stride": 16}, "'b'"),
    "a missing video": (TWO, {**NONE, "b": []}, {"stride": 16}, "have no scores: b"),
    "not finite": ({"a": [0.1, np.nan]}, NONE, {"stride": 16}, "a: score 1 is nan"),
    "two columns": ({"a": np.ones((3, 2))}, NONE, {"stride": 16}, "a: expected one score a row"),
    "several lengths": ({"a": [[1], [1, 2]]}, NONE, {"stride": 16}, "a: expected an array"),
    "text": ({"a": ["x"]}, NONE, {"stride": 16}, "a: expected one score a row"),
    "no distance": (TWO, NONE, {}, "give --stride"),
    "other lengths": (TWO, {"a": [0] * 100}, {"stride": 16}, "do not fit their lengths"),
    "a mask of 2": (TWO, {"a": [0, 2]}, {"stride": 1}, "a: expected a mask of 0 and 1"),
    "a mask of texts": (TWO, {"a": np.array(["a", "b"])}, {"stride": 1}, "a: expected (first, end)"),
    "a mask of dates": (TWO, {"a": np.array([1, 2], "M8[s]")}, {"stride": 1}, "a: expected a mask of 0 and 1"),
    "a ragged mask": (TWO, {"a": [0, [1]]}, {"stride": 1}, "a: expected an array"),
    "no list": (TWO, {"a": 5}, {"stride": 1}, "a: expected a mask or a list of segments"),
    "nothing": (TWO, {"a": None}, {"stride": 1}, "a: expected a mask or a list of segments"),
    "a text": (TWO, {"a": "0,1"}, {"stride": 1}, "a: expected a mask or a list of segments"),
    "an array of nothing": (TWO, {"a": np.array(5)}, {"stride": 1}, "a: expected a mask or a list of segments"),
    "one number": (TWO, {"a": [(1,)]}, {"stride": 1}, "a: expected (first, end)"),
    "four numbers": (TWO, {"a": [(1, 2, 3, 4)]}, {"stride": 1}, "a: expected (first, end)"),
    "parts of frames": (TWO, {"a": [(0.5, 1.5)]}, {"stride": 1}, "whole frames"),
    "texts for frames": (TWO, {"a": [("0", "1")]}, {"stride": 1}, "whole frames"),
    "truth values": (TWO, {"a": [(False, True)]}, {"stride": 1}, "whole frames"),
    "backwards": (TWO, {"a": [(2, 1)]}, {"stride": 1}, "0 <= first < end"),
    "a normal anomaly": (TWO, {"a": [("normal", 0, 1)]}, {"stride": 1}, "of an anomaly"),
    "past the end": (TWO, {"a": [(0, 90)]}, {"stride": 16, "frames": {"a": 32}}, "past its 32 frames"),
    "an unknown class": (
        TWO,
        {"a": [("Riot", 0, 1)]},
        {"stride": 1, "class_scores": {"a": {"Rot": [0.1, 0.2]}}},
        "no class is called 'Rot'; did you mean 'Riot'",
    ),
    "classes of other lengths": (
        TWO,
        NONE,
        {"stride": 1, "class_scores": {"a": {"Anomaly": [0.1]}}},
        "expected 2 prob",
    ),
    "classes of an unknown video": (TWO, NONE, {"stride": 1, "class_scores": {"b": {}}}, "'b', which has no scores"),
    "stride of 0": (TWO, NONE, {"stride": 0}, "stride must be a whole number"),
    "a part of a stride": (TWO, NONE, {"stride": 1.5}, "stride must be a whole number"),
    "no frames": (TWO, NONE, {"stride": 16, "frames": {"a": 0}}, "frames of a must be a whole number"),
    "no rate": (TWO, NONE, {"stride": 16, "rate": 0}, "rate must be frames a second"),
    "a rate in words": (TWO, NONE, {"stride": 16, "rate": "25"}, "rate must be frames a second"),
    "frames of none": (TWO, NONE, {"stride": 16, "frames": 16}, "frames must be a dict"),
    "a tolerance below 0": (TWO, NONE, {"tolerance": -1}, "tolerance must be a whole number from 0 to 100000"),
    "a stride beyond all": (TWO, NONE, {"stride": 10_001}, "stride must be a whole number from 1 to 10000"),
    "a rule in numbers": (TWO, NONE, {"stride": 16, "tail": 5}, "tail must be text"),
    "scores without names": ([0.1, 0.2], NONE, {}, "a dict of scores by the names of videos"),
    "truth without names": (TWO, [0, 1], {}, "a dict of ground truth by the names of videos"),
    "classes without names": (TWO, NONE, {"stride": 1, "class_scores": {"a": [0.1]}}, "by video and class"),
    "a rule that is none": (TWO, NONE, {"stride": 16, "tail": "wag"}, "tail: "),
    "a step that is none": (TWO, NONE, {"stride": 16, "post": "blur(3)"}, "blur"),
    "no file": ("absent.npz", NONE, {}, "no file or folder absent.npz"),
    "no truth": (TWO, "absent.json", {}, "absent.json"),
}


@pytest.mark.parametrize("scores, truth, options, words", REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_one_line(scores, truth, options, words):
    with pytest.raises((DataError, ConfigError)) as error:
        evaluate(scores, truth, **options)
    assert words in str(error.value) and len(str(error.value).splitlines()) == 1


def test_a_stride_that_contradicts_a_file_is_refused(tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps({"a": {"0": 0.1, "16": 0.2}}))
    with pytest.raises(DataError, match="every 16 frames, --stride says 8"):
        evaluate(tmp_path / "scores.json", {"a": [0] * 32}, stride=8)
