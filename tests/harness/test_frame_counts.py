"""Lengths of videos: features of another length than their annotation stop a run under every protocol."""

from types import SimpleNamespace

import pytest

from vadbench.base.errors import DataError
from vadbench.dataset import Segment, Video
from vadbench.harness.frame_counts import video_lengths
from vadbench.scoring.protocol import Protocol

NATIVE, ROWS = Protocol(name="n"), Protocol(name="r", tail="rows")


def lengths(rows, frames, *, rules, end=0, split="test", stride=16, decoded=None, **more):
    """The frames of one video with so many rows, as its annotation states them, and the notes."""
    segments = (Segment("Riot", end - 1, end),) if end else ()
    made_by = SimpleNamespace(stride=stride, known=decoded is not None)
    source = SimpleNamespace(fingerprint=made_by, frames=lambda name: decoded)
    videos = {split: [Video("v", ("Riot",), None, frames, segments)]}
    found, notes = video_lengths(source, {"v": rows}, videos, rules, lambda *_: None, **more)
    return found["v"], notes


@pytest.mark.parametrize("rules", [NATIVE, ROWS])
@pytest.mark.parametrize(
    ("rows", "fits"), [(97, False), (98, False), (99, True), (100, True), (101, True), (103, False)]
)
def test_rows_that_do_not_fit_a_stated_length_stop_a_run_whatever_the_protocol(rules, rows, fits):
    if fits:
        assert lengths(rows, 1600, rules=rules) == (1600, [])
        return
    with pytest.raises(DataError, match=f"v: {rows} feature rows of 16 frames each do not fit a video of 1600 frames"):
        lengths(rows, 1600, rules=rules)


@pytest.mark.parametrize("rules", [NATIVE, ROWS])
def test_an_annotation_far_beyond_the_features_stops_a_run_where_no_length_is_stated(rules):
    assert lengths(32, None, rules=rules, end=32 * 16 + 16)[0] >= 32 * 16
    lengths(32, None, rules=rules, end=33 * 16 + 2)
    with pytest.raises(DataError, match="v: annotated up to frame 531, but has 32 feature rows"):
        lengths(32, None, rules=rules, end=33 * 16 + 3)


def test_decoded_frames_may_differ_by_a_row_more_where_rows_count():
    with pytest.raises(DataError, match="states 1600 frames, found 1610"):
        lengths(101, 1600, rules=NATIVE, decoded=1610)
    assert lengths(101, 1600, rules=ROWS, decoded=1610) == (1610, [])
    with pytest.raises(DataError, match="states 1600 frames, found 1619"):
        lengths(102, 1600, rules=ROWS, decoded=1619)


def test_only_a_truth_that_was_cut_at_rows_lets_any_length_pass():
    under_file = ROWS.model_copy(update={"truth": "mine.json@0123456789ab"})
    with pytest.raises(DataError, match="v: 32 feature rows"):
        lengths(32, 1600, rules=under_file)
    found, notes = lengths(32, 1600, rules=under_file, of_rows=True)
    assert found == 1600 and "1 videos of doubtful length" in notes[0]


@pytest.mark.parametrize("rules", [NATIVE, ROWS])
def test_a_training_video_is_noted(rules):
    found, notes = lengths(32, 1600, rules=rules, split="train")
    assert (
        found == 1600 and len(notes) == 1 and "1 videos of doubtful length, the first: v: 32 feature rows" in notes[0]
    )
