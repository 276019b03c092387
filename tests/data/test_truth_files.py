"""Ground truths in files: vadbench's own form, fractions of lengths, and arrays of 0 and 1."""

import json
import math
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.base.errors import DataError
from vadbench.base.ground_truth import HALF_OPEN, IntervalReading, LengthShare, VideoTruth, merged, under
from vadbench.data.annotations.fraction_files import convention
from vadbench.data.annotations.truth_files import read_truth, truth_text
from vadbench.dataset import ClassTable, Segment, Video, VideoClass

CLASSES = ClassTable((VideoClass("Normal"), VideoClass("Car_accident", "car crash"), VideoClass("Fire")), normal=0)
MOST = {"dota": (1402, 2804, 98), "tad": (71, 142, 11), "msad": (120, 240, 11), "ubnormal": (200, 400, 7)}


def entry(name="a", spans=((0.25, 0.5),), label="Fire", **changes):
    return {
        "path": f"sets/x_features/{name}.npy",
        "video_path": f"sets/x_videos/{name}.mp4",
        "class_name": label,
        "descriptions": None,
        "anomaly_span": [list(span) for span in spans],
    } | changes


def written(folder, content, name="x_test_anno.json"):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def refused(path, *words):
    with pytest.raises(DataError) as caught:
        read_truth(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    for word in words:
        assert word in message


def placed(truth, frames, reading=HALF_OPEN):
    return {name: v.at(frames, reading).segments for name, v in truth.videos.items()}


# --- fractions of a length -----------------------------------------------------------------------------------------


def test_entries_are_named_after_their_files_and_without_spans_normal(tmp_path):
    content = [entry("v=a.b__#1", label="Car accident"), entry("c", (), "Normal"), entry("d", ((0, 1),), None)]
    truth = read_truth(written(tmp_path, content))
    assert placed(truth, 8) == {"v=a.b__#1": (("Car accident", 2, 4),), "c": (), "d": ((None, 0, 8),)}
    name, _, digest = truth.name.partition("@")
    assert name == "x_test_anno.json" and len(digest) == 12
    other = read_truth(written(tmp_path, content[::-1], "other.json"))
    assert other.name == f"other.json@{digest}", "the order says nothing"
    content[0]["anomaly_span"] = [[0.25, 0.75]]
    assert read_truth(written(tmp_path, content)).name != truth.name


def test_a_fraction_is_the_whole_number_that_it_was_made_from_for_every_frame_of_many_lengths():
    """Against exact arithmetic; truncation would often be a frame too low, as 'int(x * T)' is here."""
    low = 0
    for frames in (*range(1, 130), 451, 1111, 2999, 141_000):
        for number in range(0, frames + 1, 1 + frames // 300):
            x = number / frames
            assert math.isclose(Fraction(x) * frames, number, abs_tol=1e-6)
            (segment,) = VideoTruth(shares=(LengthShare("Fire", 0.0, x),)).at(frames, IntervalReading(0, 1)).segments
            assert segment == ("Fire", 0, number + 1)
            low += int(x * frames) == number - 1
    assert low > 100


@pytest.mark.parametrize("frames", [99, 101, 50])
def test_another_length_than_the_fractions_were_made_for_is_reported(tmp_path, frames):
    truth = read_truth(written(tmp_path, [entry(spans=((0.1, 0.33),))]))
    assert placed(truth, 100) == {"a": (("Fire", 10, 33),)}
    with pytest.raises(DataError, match=rf"entry 1, 'a': 0\.\d+ of {frames} frames .* another number of frames"):
        placed(truth, frames)
    with pytest.raises(DataError, match=r"entry 1, 'a': .* length, which is unknown"):
        placed(truth, None)


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (HALF_OPEN, [(0, 4), (6, 9)]),
        (IntervalReading(-1, 0), [(0, 4), (5, 9)]),
        (IntervalReading(0, 1), [(0, 5), (6, 10)]),
        (IntervalReading(0, 0, final=1), [(0, 4), (6, 10)]),
    ],
)
def test_the_data_set_says_what_the_numbers_mean(tmp_path, reading, expected):
    truth = read_truth(written(tmp_path, [entry(spans=((0.0, 0.4), (0.6, 0.9)))]))
    assert [(start, end) for _, start, end in placed(truth, 10, reading)["a"]] == expected


def test_a_span_without_a_frame_is_refused_where_it_is_read(tmp_path):
    truth = read_truth(written(tmp_path, [entry(spans=((0.5, 0.5),))]))
    assert placed(truth, 10, IntervalReading(-1, 0)) == {"a": (("Fire", 4, 5),)}
    with pytest.raises(DataError, match=r"entry 1, 'a': the span \[0.5, 0.5\] of 10 frames .* has no frame"):
        placed(truth, 10)


def test_an_end_past_the_video_is_cut_and_said(tmp_path):
    truth = read_truth(written(tmp_path, [entry(spans=((0.5, 1.002),)), entry("b", ((0.5, 1.01),))]))
    laid = under(truth, [Video("a", ("Fire",), frames=1000)], CLASSES)
    assert laid.videos[0].runs == ((500, 1000),)
    assert len(laid.notes) == 1 and "'a' ends at frame 1002, past its 1000 frames; cut there" in laid.notes[0]
    with pytest.raises(DataError, match="'b' ends at frame 1010"):
        under(truth, [Video("b", ("Fire",), frames=1000)], CLASSES)


@pytest.mark.parametrize("spelling", ["car accident", "Car Accident", "CAR_ACCIDENT", "car crash"])
def test_classes_are_found_whatever_their_case(tmp_path, spelling):
    truth = read_truth(written(tmp_path, [entry(label=spelling)]))
    laid = under(truth, [Video("a", ("Normal",), frames=8)], CLASSES)
    assert laid.videos[0].labels == ("Car_accident",) and laid.by_class


def test_the_one_class_of_an_entry_is_not_that_of_each_segment_where_the_video_has_several(tmp_path):
    truth = read_truth(written(tmp_path, [entry(label="Fire")]))
    laid = under(truth, [Video("a", ("Fire", "Car_accident"), frames=8)], CLASSES)
    assert laid.videos[0].labels == ("Fire", "Car_accident") and laid.videos[0].runs == ((2, 4),)
    assert laid.videos[0].segments == () and not laid.by_class


@pytest.mark.parametrize(
    ("shares", "look"),
    [
        ([(0, 0.5), (0.2, 1)], "0-based and half-open"),
        ([(0, 0.5), (0.2, 0.9)], "0-based with the last frame inside"),
        ([(0.1, 0.5), (0.2, 1.001)], "1-based with both ends inside"),
        ([(0.1, 0.5)], ""),
        ([], ""),
    ],
)
def test_the_ends_of_spans_tell_the_convention(shares, look):
    assert convention({"a": VideoTruth(shares=tuple(LengthShare(None, *s) for s in shares))}) == look


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([3], "entry 1: expected {"),
        ([entry(), entry(anomaly_span=None)], "entry 2: expected {"),
        ([entry(path=None, video_path=None)], "entry 1: expected the path of a file"),
        ([entry(path=5)], "entry 1: expected the path of a file"),
        ([entry(path="x/b.npy")], "entry 1: 'path' is of 'b' and 'video_path' of 'a'"),
        ([entry(path="../../a.npy", video_path="a.mp4")], "entry 1: path '../../a.npy' must not contain '..'"),
        ([entry("..")], "expected the name of a video"),
        ([entry(), entry()], "entry 2, 'a': the video has an entry already"),
        ([entry(label=3)], "entry 1, 'a': expected the name of a class"),
        ([entry(label="Normal")], "entry 1, 'a': the video is of class 'Normal' and has 1 spans"),
        ([entry(spans=())], "entry 1, 'a': the video is of class 'Fire' and has no span"),
        ([entry(anomaly_span=[0.1, 0.2])], "entry 1, 'a': expected a span [start, end], found 0.1"),
        ([entry(spans=((True, 1),))], "entry 1, 'a': expected a span [start, end], found [True, 1]"),
        ([entry(spans=((0.5, 0.2),))], "entry 1, 'a': expected a span of fractions of the length"),
        ([entry(spans=((-0.1, 0.2),))], "entry 1, 'a': expected a span of fractions of the length"),
        ([entry(spans=((12, 40),))], "entry 1, 'a': expected a span of fractions of the length"),
        ('[{"path": "a", "anomaly_span": [[0, NaN]]}]', "expected a whole number"),
        ('[{"path": "a", "anomaly_span": [[0, 1e999]]}]', "expected a number, found '1e999'"),
        ("[" * 100_000, "expected JSON"),
        ([], "expected {"),
    ],
)
def test_a_damaged_entry_gives_one_line(tmp_path, content, words):
    refused(written(tmp_path, content), words)


# --- the own form --------------------------------------------------------------------------------------------------


def own(**changes):
    return {"videos": {"a": {"frames": 9, "segments": [["Fire", 1, 4], [None, 6, 7]]}} | changes}


def test_the_own_form_is_read(tmp_path):
    truth = read_truth(written(tmp_path, own(b={"frames": None, "segments": []})))
    assert truth.videos["a"].segments == (("Fire", 1, 4), (None, 6, 7)) and truth.videos["a"].frames == 9
    assert truth.videos["b"].segments == () and truth.videos["b"].frames is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"b": {"frames": 3}}, "'b': expected an entry as in"),
        ({"b": {"frames": 0, "segments": []}}, "'b': expected a number of frames from 1"),
        ({"b": {"frames": 2.5, "segments": []}}, "'b': expected a whole number"),
        ({"b": {"frames": 3, "segments": [["", 0, 2]]}}, "'b': expected the name of a class or null, found ''"),
        ({"b": {"frames": 3, "segments": [["a\x1b[31m", 0, 2]]}}, "'b': expected the name of a class or null"),
        ({"b": {"frames": 3, "segments": [["a" * 256, 0, 2]]}}, "'b': expected the name of a class or null"),
        ({"b": {"frames": 3, "segments": [["Fire", 2, 2]]}}, "'b': segment must have 0 <= first < end"),
        ({"b": {"frames": 3, "segments": [["Fire", 0.5, 2]]}}, "'b': expected a whole number"),
        ({"b": {"frames": 3, "segments": [[1, 2]]}}, "'b': expected a segment"),
        ({"../b": {"frames": 3, "segments": []}}, "expected the name of a video, relative and without '..'"),
        ({"/etc/b": {"frames": 3, "segments": []}}, "expected the name of a video"),
        ({"b\n": {"frames": 3, "segments": []}}, "expected the name of a video"),
        ({"b" * 300: {"frames": 3, "segments": []}}, "expected the name of a video"),
    ],
)
def test_a_damaged_entry_of_the_own_form_gives_one_line(tmp_path, change, words):
    refused(written(tmp_path, own(**change)), words)


def test_a_video_that_is_there_twice_is_refused_whatever_is_said_of_it(tmp_path):
    """Python's reader takes the last of two entries without a word."""
    entry_of = '"a": {"frames": 9, "segments": [%s]}'
    twice = f'{{"videos": {{{entry_of % ""}, {entry_of % "[null, 1, 3]"}}}}}'
    (tmp_path / "twice.json").write_text(twice)
    refused(tmp_path / "twice.json", "'a' has an entry already; keep one of the two")


def test_a_segment_of_the_normal_class_is_refused(tmp_path):
    truth = read_truth(written(tmp_path, own(b={"frames": 3, "segments": [["normal", 0, 2]]})))
    with pytest.raises(DataError, match=r"'b': a segment is of class 'normal', that of videos without any"):
        under(truth, [Video("a", ("Fire",), frames=9), Video("b", ("Fire",), frames=3)], CLASSES)


NAMES = st.text("abcXYZ019 _#=.é", min_size=1, max_size=12).map(lambda s: f"v{s}")
SEGMENTS = st.lists(st.tuples(st.sampled_from(["Fire", "Car_accident"]), st.integers(0, 40), st.integers(1, 9)))


@given(st.dictionaries(NAMES, st.tuples(SEGMENTS, st.booleans()), min_size=1, max_size=6))
def test_what_is_written_is_read_back(content):
    videos = []
    for name, (found, stated) in content.items():
        segments = tuple(Segment(label, start, start + length) for label, start, length in found)
        labels = tuple(dict.fromkeys(s.label for s in segments)) or ("Normal",)
        videos.append(Video(name, labels, frames=60 if stated else None, segments=segments))
    text = truth_text(videos, {v.name: 61 for v in videos[::2]}, {"licence": 'free, "so to say"'})
    with tempfile.TemporaryDirectory() as folder:
        truth = read_truth(written(Path(folder), text, "t.json"))
    bare = [Video(v.name, ("Normal",)) for v in videos]
    expected = [
        Video(v.name, v.labels, frames=v.frames or (61 if i % 2 == 0 else None), segments=v.segments)
        for i, v in enumerate(videos)
    ]
    assert list(truth.videos) == [v.name for v in videos]
    assert under(truth, bare, CLASSES).videos == expected
    assert json.loads(text)["licence"] == 'free, "so to say"'


def test_frames_annotated_apart_from_classes_are_what_is_written(tmp_path):
    video = Video("a", ("Fire",), frames=20, segments=(Segment("Fire", 0, 9),), binary=((2, 4), (6, 12)))
    truth = read_truth(written(tmp_path, truth_text([video], {}, {})))
    laid = under(truth, [video], CLASSES)
    assert laid.videos[0].runs == video.runs


# --- arrays --------------------------------------------------------------------------------------------------------


def mask(*values):
    return np.array(values)


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int64", "float32", "float64"])
def test_a_folder_of_arrays_has_one_for_each_video(tmp_path, dtype):
    np.save(tmp_path / "a.npy", mask(0, 1, 1, 0, 1).astype(dtype))
    np.save(tmp_path / "b_gt.npy", mask(0, 0).astype(dtype))
    (tmp_path / "._a.npy").write_bytes(b"left by a Mac")
    truth = read_truth(tmp_path)
    assert {n: (v.segments, v.frames) for n, v in truth.videos.items()} == {
        "a": (((None, 1, 3), (None, 4, 5)), 5),
        "b": ((), 2),
    }
    assert truth.name.startswith(f"{tmp_path.name}@")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (mask(0, 1, 2), "expected one 0 or 1 a frame"),
        (mask(0.5), "expected one 0 or 1 a frame"),
        (np.zeros((4, 2)), "expected one 0 or 1 a frame"),
        (np.zeros(0), "expected one 0 or 1 a frame"),
        (np.array([{}], object), "expected one 0 or 1 a frame"),
        (b"nonsense", "expected an array of 0 and 1"),
        (b"", "expected an array of 0 and 1"),
    ],
)
def test_a_damaged_array_gives_one_line(tmp_path, content, words):
    path = tmp_path / "a.npy"
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content, allow_pickle=True)
    refused(tmp_path, f"{path}: ", words)


def test_an_array_that_promises_more_than_a_video_can_have_costs_no_memory(tmp_path):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (10**12,)})
    refused(tmp_path, "at most 10000000 frames")


def test_a_folder_without_arrays_or_with_two_of_a_video_is_refused(tmp_path):
    refused(tmp_path, "expected a .npy array of 0 and 1 for each video, found none")
    np.save(tmp_path / "a.npy", mask(0, 1))
    np.save(tmp_path / "a_gt.npy", mask(0, 1))
    refused(tmp_path, "'a' has an array already")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gt.txt", "b 3\na 2"),
        ("gt.txt", "b@3\na@2"),
        ("gt.json", '{"b": 3, "a": 2}'),
        ("gt.json", '{"frames": {"b": 3, "a": 2}}'),
    ],
)
def test_one_array_is_divided_by_the_list_beside_it(tmp_path, name, text):
    np.save(tmp_path / "gt.npy", mask(0, 0, 1, 1, 0))
    (tmp_path / name).write_text(text)
    truth = read_truth(tmp_path / "gt.npy")
    assert {n: (v.segments, v.frames) for n, v in truth.videos.items()} == {
        "b": (((None, 2, 3),), 3),
        "a": (((None, 0, 1),), 2),
    }


def test_one_array_alone_is_refused_because_it_does_not_say_where_a_video_begins(tmp_path):
    np.save(tmp_path / "gt.npy", mask(0, 1))
    refused(tmp_path / "gt.npy", "does not say where a video begins", "gt.json", "gt.txt")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("gt.txt", "a 2\nb 2", "its 2 videos have 4 frames, gt.npy has 5; the two do not belong together"),
        ("gt.txt", "a 2\na 3", "line 2: 'a' has 2 frames before, 3 here; keep one of the two"),
        ("gt.txt", "a 2\nb", "line 2: expected a video and its number of frames"),
        ("gt.txt", "a 5\nb 99999999", "line 2: expected a video and its number of frames"),
        ("gt.txt", "", "the list is empty"),
        ("gt.json", '{"a": 2, "b": 2.5}', "expected a whole number"),
        ("gt.json", '{"a": 5, "b": 0}', "'b': expected a number of frames from 1 to 10000000, found 0"),
        ("gt.json", "[5]", "expected an object {name: frames}"),
        ("gt.json", "{}", "expected an object {name: frames}"),
    ],
)
def test_a_list_that_does_not_belong_to_its_array_gives_one_line(tmp_path, name, text, words):
    np.save(tmp_path / "gt.npy", mask(0, 1, 1, 0, 1))
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        read_truth(tmp_path / "gt.npy")
    message = str(caught.value)
    assert "\n" not in message and str(tmp_path / name) in message and words in message


# --- real files ----------------------------------------------------------------------------------------------------


def counts_of(test_data, name):
    if name == "msad":
        return json.loads((test_data / "more" / "msad" / "frames.json").read_text())["frames"]
    return json.loads((test_data / "more" / "spans" / "frames.json").read_text())[name]


@pytest.mark.parametrize("name", MOST)
def test_the_real_fractions_are_whole_frames_that_truncation_would_miss(test_data, name):
    spans, numbers, low = MOST[name]
    truth, counts = read_truth(test_data / "more" / "spans" / f"{name}_test_anno.json"), counts_of(test_data, name)
    products = [x * counts[n] for n, v in truth.videos.items() for s in v.shares for x in (s.first, s.last)]
    assert (len(products), sum(len(v.shares) for v in truth.videos.values())) == (numbers, spans)
    assert max(abs(x - round(x)) for x in products) < 1e-6
    assert sum(int(x) < round(x) for x in products) == low
    found = [n for name, v in truth.videos.items() for s in v.at(counts[name], HALF_OPEN).segments for n in s[1:]]
    assert found == [round(x) for x in products], "what truncation gives is refused here"


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("dota", "0-based and half-open"),
        ("tad", "0-based and half-open"),
        ("lad", "0-based and half-open"),
        ("msad", "1-based with both ends inside"),
        ("ubnormal", "0-based with the last frame inside"),
    ],
)
def test_the_real_files_look_as_documented(test_data, name, look):
    truth = read_truth(test_data / "more" / "spans" / f"{name}_test_anno.json")
    assert convention(truth.videos) == look
    expected = json.loads((test_data / "more" / "expected.json").read_text())["spans"][name]
    shares = [v.shares for v in truth.videos.values()]
    assert (len(shares), shares.count(()), sum(map(len, shares))) == tuple(
        expected[k] for k in ("videos", "normal", "spans")
    )


@pytest.mark.parametrize("name", MOST)
def test_the_real_files_have_the_documented_positive_frames(test_data, name):
    expected = json.loads((test_data / "more" / "expected.json").read_text())["spans"][name]
    truth, counts = read_truth(test_data / "more" / "spans" / f"{name}_test_anno.json"), counts_of(test_data, name)
    assert sum(counts[n] for n in truth.videos) == expected["frames"]

    def positive(reading):
        placed = [[Segment("x", *s[1:]) for s in v.at(counts[n], reading).segments] for n, v in truth.videos.items()]
        return sum(end - start for segments in placed for start, end in merged(segments))

    native = {"msad": IntervalReading(-1, 0), "ubnormal": IntervalReading(0, 0, final=1)}.get(name, HALF_OPEN)
    assert positive(native) == expected["positive"]
    assert positive(HALF_OPEN) == expected.get("positive_half_open", expected["positive"])
