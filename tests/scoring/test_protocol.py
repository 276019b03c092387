import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.base.errors import DataError, UnknownNameError
from vadbench.data.lengths import require_rows
from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.scoring.alignment import class_positives_per_row, positives_per_row, row_frames
from vadbench.scoring.protocol import protocol

TABLE = ClassTable((VideoClass("A"), VideoClass("B"), VideoClass("Normal")), normal=2)


@st.composite
def annotated(draw):
    frames = draw(st.integers(1, 80))
    stride = draw(st.integers(1, 20))
    pairs = draw(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 40), st.sampled_from("AB")), max_size=5))
    rows = max(-(-frames // stride) + draw(st.integers(-2, 2)), 1)
    return frames, stride, rows, [Segment(label, a, a + n) for a, n, label in pairs]


@given(annotated())
def test_rows_count_the_frames_a_frame_by_frame_reading_counts(case):
    frames, stride, rows, segments = case
    literal = np.zeros((rows, 4), int)
    for f in range(frames):
        inside = {s.label for s in segments if s.start <= f < s.end}
        literal[min(f // stride, rows - 1)] += ["A" in inside, "B" in inside, not inside, 1]
    assert row_frames(rows, stride, frames).tolist() == literal[:, 3].tolist()
    video = Video("v", ("A",), segments=tuple(segments))
    assert positives_per_row(video.runs, rows, stride, frames).tolist() == (literal[:, 3] - literal[:, 2]).tolist()
    assert class_positives_per_row(video, TABLE, rows, stride, frames).tolist() == literal[:, :3].tolist()


def test_binary_truth_counts_where_it_differs_from_the_segments():
    video = Video("v", ("A",), segments=(Segment("A", 2, 5),), binary=((0, 3),))
    assert positives_per_row(video.runs, 2, 4, 8).tolist() == [3, 0]
    assert class_positives_per_row(video, TABLE, 2, 4, 8).tolist() == [[2, 0, 1], [1, 0, 4]]


def test_an_empty_or_negative_segment_cannot_be_made():
    with pytest.raises(DataError, match=r"0 <= start < end, found \[5, 5\)"):
        Segment("A", 5, 5)


def test_an_unknown_protocol_is_offered_a_close_one():
    with pytest.raises(UnknownNameError, match="did you mean 'native'"):
        protocol("nativ")


def test_a_protocol_takes_the_papers_crop_of_a_data_set_and_the_users_before_it():
    vadclip = protocol("vadclip")
    assert vadclip.on("ucfcrime").crop == "5" and vadclip.on("xdviolence").crop == "0"
    assert vadclip.on("shanghaitech").crop == protocol("native").on("ucfcrime").crop == "center"
    mine = vadclip.on("ucfcrime", crop="mean", subset="single-anomaly")
    assert (mine.crop, mine.subset, mine.tail, mine.boundaries) == ("mean", "single-anomaly", "rows", "vadclip")
    assert vadclip.on("ucfcrime", crop=None, subset=None) == vadclip.on("ucfcrime")


def test_a_protocol_says_more_of_single_data_sets_and_what_is_not_trained_selects_nothing():
    segments = protocol("segments16")
    plain, ucf, xd = (segments.on(name) for name in ("shanghaitech", "ucfcrime", "xdviolence"))
    assert plain == segments.rules
    assert (plain.tail, plain.crop, plain.selection, plain.judge) == ("rows-prolonged", "mean", "best-on-test", "")
    assert ucf == plain.model_copy(update={"boundaries": "rtfm", "tail": "rows"})
    assert xd == plain.model_copy(update={"judge": "AP/trapezoid"})
    assert segments.on("ucfcrime", tail="hold").tail == "hold", "the user's change comes last"
    assert segments.on("xdviolence", trained=False) == xd.model_copy(update={"selection": "last", "judge": ""})
    assert segments.on("xdviolence", trained=False, selection="validation").selection == "validation"


@pytest.mark.parametrize(
    ("rows", "stride", "frames"),
    [
        (100, 16, 1600),
        (99, 16, 1600),
        (100, 16, 1601),
        (100, 16, 1598),
        (101, 16, 1600),
        (7, 1, 7),
        (5, 1, 7),
        (9, 1, 7),
    ],
)
def test_rows_that_fit_a_video_are_accepted(rows, stride, frames):
    require_rows("v", rows, stride, frames, tolerance=2)


@pytest.mark.parametrize(
    ("rows", "stride", "frames"),
    [(98, 16, 1600), (103, 16, 1600), (4, 1, 7), (10, 1, 7), (1600, 16, 1600), (100, 1, 1600)],
)
def test_rows_that_do_not_fit_a_video_are_refused_by_name(rows, stride, frames):
    with pytest.raises(DataError, match=f"^v: {rows} feature rows of {stride} frames each do not fit"):
        require_rows("v", rows, stride, frames, tolerance=2)


def test_as_many_runs_as_frames_allow_are_counted_at_once():
    """A loop over the runs that looks at every row for each would take hours."""
    frames = 900_000
    alternating = [(i, i + 1) for i in range(0, frames, 2)]
    assert positives_per_row(alternating, frames, 1, frames).tolist() == [1, 0] * (frames // 2)
