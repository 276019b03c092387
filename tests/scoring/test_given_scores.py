"""Scores of one video in an entry of JSON, and how videos are found by the names of files."""

import json

import numpy as np
import pytest

from vadbench.base.errors import DataError
from vadbench.scoring.given_scores import VideoNames, crop_number, from_entry, is_entry, numbers, runs_of

VIDEOS = ["Abuse001_x264", "Bad.Boys.1995__#00-10-00_label_A", "Straße 5", "a", "a_clip", "b__3", "01_0014"]


def entry(content):
    """An entry as it comes from a file."""
    return from_entry("v", json.loads(json.dumps(content)), "scores.json, 'v'")


def refused(content):
    with pytest.raises(DataError) as error:
        entry(content)
    (line,) = str(error.value).splitlines()
    assert line.startswith("scores.json, 'v'")
    return line


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("video", VIDEOS)
@pytest.mark.parametrize(
    "form",
    ["{}", "{}.mp4", "{}.npy", "{}_pred", "{}_PRED", "{}.mp4_pred", "{}_pred.avi", "{}__0", "{}__12", "{}__4_i3d"],
)
def test_a_video_is_found_by_its_name_with_something_behind(video, form):
    assert VideoNames(VIDEOS).find(form.format(video)) == video


@pytest.mark.parametrize("form", ["sub/{}.mp4", "a/b/{}__1_pred.npy", "{}_anomaly_scores", "{}_pred_clip_swin"])
def test_folders_and_several_words_count_nothing(form):
    assert VideoNames(["v"]).find(form.format("v")) == "v"


def test_the_longest_name_that_a_text_begins_with_is_the_video():
    names = VideoNames(VIDEOS)
    assert names.find("a_clip") == names.find("a_clip_pred") == names.find("a_clip__0") == "a_clip"
    assert names.find("a_pred") == names.find("a_i3d_clip") == "a"
    assert names.find("b__3") == names.find("b__3__0") == "b__3"


@pytest.mark.parametrize("text", ["", "A", "b", "b__4", "a_x", "aa", "a__", "a__1234", "_pred", "Abuse001", ".mp4"])
def test_another_name_is_no_video(text):
    assert VideoNames(VIDEOS).find(text) is None


def test_letters_that_are_written_in_two_ways_are_one():
    names = VideoNames(["Caf\u00e9", "E\u0301tude"])
    assert names.find("Cafe\u0301.mp4") == "Caf\u00e9"
    assert names.find("\u00c9tude_pred") == "E\u0301tude"


def test_a_very_long_name_costs_no_time():
    assert VideoNames(["v"]).find("v" + "_pred" * 1_000_000) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("v__0", 0), ("v__12", 12), ("v__7.mp4", 7), ("v__3_pred_i3d", 3), ("v", None), ("v__", None), ("v_1", None)],
)
def test_the_number_of_a_crop(text, number):
    assert crop_number(text) == number


# --- lists and mappings ----------------------------------------------------------------------------------------------


def test_a_list_is_a_row_each_in_float64():
    given = entry([0.1, 1, -2.5, 0])
    assert given.values.tolist() == [0.1, 1.0, -2.5, 0.0] and given.values.dtype == np.float64
    assert (given.name, given.stride, given.frames, given.truth, given.classes) == ("v", None, None, None, None)


def test_scores_by_frame_have_a_step_and_need_no_order():
    given = entry({"32": 0.3, "0": 0.1, "16": 0.2})
    assert given.values.tolist() == [0.1, 0.2, 0.3] and given.stride == 16
    middle = entry({"8": 0.1, "24": 0.2})
    assert middle.values.tolist() == [0.1, 0.2] and middle.stride == 16, "frames in the middle of their rows"
    only = entry({"0": 0.5})
    assert only.values.tolist() == [0.5] and only.stride is None


@pytest.mark.parametrize(
    "content",
    [
        {"0": 1, "16": 1, "33": 1},  # another distance
        {"16": 1, "32": 1},  # the first row lacks
        {"0": 1, "00": 2},  # one frame twice
        {"0": 1, "00": "a", "16": 1},
        {"-16": 1, "0": 1},
        {"0.5": 1, "1.5": 1},
        {"a": 1},
        {},
        {"9999999999": 1},
        "text",
        None,
        7,
        True,
        {"frames": 3},
    ],
)
def test_what_is_no_list_and_no_step_is_refused(content):
    refused(content)


@pytest.mark.parametrize("value", ["0.5", None, True, [0.1], {}, "NaN"])
def test_a_score_must_be_a_number(value):
    assert "expected numbers, found" in refused([0.1, value])
    assert "expected numbers, found" in refused({"0": 0.1, "1": value})


@pytest.mark.parametrize("value", [10**400, -(10**400), 1e308, 10**301], ids=range(4))
def test_giant_numbers_are_no_scores(value):
    assert "score 1 is" in refused([0.5, value]) and "inf" in refused([0.5, value])


def test_an_empty_list_is_refused():
    assert "expected one score a row" in refused([])


# --- segments --------------------------------------------------------------------------------------------------------


def test_segments_have_both_ends_inside_and_later_ones_overwrite():
    given = entry({"frames": 10, "segments": [[1, 4, 0.5], [3, 6, 0.25], [8, 8, -1]]})
    assert given.values.tolist() == [0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0, -1, 0]
    assert (given.stride, given.frames) == (1, 10)
    assert entry({"segments": [[3, 6, 0.25], [1, 4, 0.5]]}).values.tolist() == [0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_segments_say_whether_frames_may_follow():
    assert (
        entry({"segments": [[1, 4, 0.5]]}).unfinished and not entry({"frames": 9, "segments": [[1, 4, 1]]}).unfinished
    )
    assert entry({"frames": 10, "segments": [[8, 11, 0.5]]}).values.tolist() == [0] * 8 + [0.5, 0.5]


def test_segments_equal_a_literal_loop():
    rng = np.random.default_rng(3)
    for _ in range(50):
        frames = int(rng.integers(1, 60))
        firsts = rng.integers(0, frames, 6)
        segments = [[int(a), int(rng.integers(a, frames)), float(rng.normal())] for a in firsts]
        expected = [0.0] * frames
        for first, last, value in segments:
            for i in range(first, last + 1):
                expected[i] = value
        assert entry({"frames": frames, "segments": segments}).values.tolist() == expected


@pytest.mark.parametrize(
    "segments",
    [
        [],
        "x",
        [[0, 1]],
        [[0, 1, 2, 3]],
        [[2, 1, 0.5]],
        [[-1, 1, 0.5]],
        [[0, 10_000_000, 0.5]],
        [[0, 1e9, 0.5]],
        [[0.5, 1, 0.5]],
        [[0, 1, "a"]],
        [[0, 1, 10**400]],
        [[0, 12, 0.5]],
        [{"0": 1}],
        {"0": 1},
    ],
)
def test_segments_of_another_form_are_refused(segments):
    refused({"frames": 10, "segments": segments})


# --- what else an entry has ------------------------------------------------------------------------------------------


def test_an_entry_may_state_its_frames_and_its_ground_truth():
    given = entry({"frames": 40, "spans_inclusive": [[0, 3], [10, 10]], "scores": [0.5, 1]})
    assert given.frames == 40 and given.truth.frames == 40
    assert given.truth.segments == ((None, 0, 4), (None, 10, 11))
    assert entry({"frames": 40, "spans_inclusive": [], "scores": [0.5]}).truth.segments == ()
    assert entry({"scores": {"0": 0.1, "8": 0.2}}).stride == 8


@pytest.mark.parametrize(
    "spans",
    [5, [5], [[1]], [[1, 2, 3]], [[3, 2]], [[-1, 2]], [[0, 1.5]], [["a", 2]], [[True, 2]], {"a": 1}, [[0, 10**12]]],
)
def test_spans_of_another_form_are_refused(spans):
    refused({"scores": [0.5], "spans_inclusive": spans})


@pytest.mark.parametrize("frames", [0, -5, 1.5, "x", True, 10_000_001, 10**12, [3]])
def test_a_number_of_frames_must_be_one(frames):
    refused({"scores": [0.5], "frames": frames})


def test_classes_are_probabilities_by_name():
    given = entry({"scores": [0.5, 1], "classes": {"Riot": [0.25, 0.5], "Fire": [0, 1]}})
    assert {name: values.tolist() for name, values in given.classes.items()} == {"Riot": [0.25, 0.5], "Fire": [0, 1]}


@pytest.mark.parametrize(
    "classes", [{}, [], "x", {"Riot": 0.5}, {"Riot": [0.5]}, {"Riot": [0.5, "a"]}, {"Riot": {"0": 0.5, "1": 0.5}}]
)
def test_classes_of_another_form_are_refused(classes):
    refused({"scores": [0.5, 1], "classes": classes})


def test_an_entry_is_told_from_entries_by_name():
    assert is_entry([0.1]) and is_entry({"0": 0.1, "8": 1}) and is_entry({"scores": []}) and is_entry({"segments": []})
    assert not is_entry({"v": [0.1]}) and not is_entry({"videos": {}}) and not is_entry("x")


# --- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "kept"),
    [("f2", "f4"), ("f4", "f4"), (">f4", "f4"), ("f8", "f8"), (">f8", "f8"), ("g", "f8"), ("u1", "f8"), ("i8", "f8")],
)
def test_arrays_are_in_one_of_two_precisions(made, kept):
    given = numbers(np.array([0, 1, 3], made), "x.npy")
    assert given.dtype == np.dtype(kept) and given.dtype.isnative and given.tolist() == [0, 1, 3]


def test_a_row_or_a_column_is_an_array_of_scores():
    assert numbers(np.zeros((1, 3)), "x").shape == numbers(np.zeros((3, 1)), "x").shape == (3,)


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 3)), np.zeros(0), np.array(1.0), np.array(["a"]), np.array([1j]), np.array([True]), [], [[1]]],
)
def test_arrays_of_another_form_are_refused(array):
    with pytest.raises(DataError, match=r"^x: expected"):
        numbers(array, "x")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.array, list])
def test_a_score_must_be_finite(value, kind):
    with pytest.raises(DataError, match=rf"^x: score 2 is {value}; expected finite numbers$"):
        numbers(kind([0.5, 1, value]), "x")


def test_what_leaves_the_range_of_numbers_is_infinite():
    wide = np.array([0.5, np.longdouble("1e400")])
    if wide.dtype.itemsize == 8 or not np.isfinite(wide).all():
        pytest.skip("this machine has no floats wider than float64")
    with pytest.raises(DataError, match="score 1 is inf"):
        numbers(wide, "x")


def test_runs_of_labels():
    assert runs_of(np.array([1, 1, 0, 1, 0, 0, 1], bool)) == ((None, 0, 2), (None, 3, 4), (None, 6, 7))
    assert runs_of(np.zeros(3, bool)) == ()
