"""The distance of rows found from lengths, and scores laid on videos."""

import numpy as np
import pytest

from vadbench.base.errors import DataError
from vadbench.dataset import ClassTable, Video, VideoClass
from vadbench.harness.recorded_rows import find_stride, lay, matched
from vadbench.scoring.given_scores import GivenScores
from vadbench.scoring.protocol import Protocol

TABLE = ClassTable((VideoClass("Normal"), VideoClass("Riot")), normal=0)
RULES = {
    "a row for each full distance": lambda frames, stride: frames // stride,
    "a row for each begun distance": lambda frames, stride: -(-frames // stride),
    "one less where none is left over": lambda frames, stride: (frames - 1) // stride,
    "one more": lambda frames, stride: frames // stride + 1,
}


def of_lengths(pairs, strides=()):
    """Scores and videos of numbers of rows and frames."""
    videos = [Video(f"v{i}", ("Normal",), frames=frames) for i, (_, frames) in enumerate(pairs)]
    given = {}
    for i, (rows, _) in enumerate(pairs):
        stride = strides[i] if strides else None
        given[f"v{i}"] = GivenScores(f"v{i}", np.zeros(rows), f"scores.json, 'v{i}'", stride)
    return given, videos


def drawn(rng, count, stride, rule):
    frames = np.maximum(rng.lognormal(6.5, 1, count), 2 * stride).astype(int).tolist()
    return [(max(rule(f, stride), 1), f) for f in frames]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("stride", [1, 4, 8, 12, 16, 24, 25, 30, 32, 64, 100])
def test_the_distance_is_found_or_refused_and_never_a_wrong_one(stride, rule):
    rng = np.random.default_rng(stride)
    found = []
    for _ in range(10):
        given, videos = of_lengths(drawn(rng, 60, stride, RULES[rule]))
        try:
            found.append(find_stride(given, videos, None)[0])
        except DataError as error:
            assert "give --stride FRAMES" in str(error)
    assert set(found) <= {stride}
    if stride <= 32 and "distance" in rule:
        assert len(found) == 10


def test_a_few_lengths_that_are_off_change_nothing():
    rng = np.random.default_rng(1)
    pairs = drawn(rng, 100, 16, RULES["a row for each begun distance"])
    pairs[:10] = [(3, 48 + 30 * i) for i in range(10)]
    assert find_stride(*of_lengths(pairs), None) == (16, "found from the lengths of 100 videos")


def test_lengths_of_other_videos_are_no_distance():
    rng = np.random.default_rng(2)
    pairs = [(int(rng.integers(5, 200)), int(rng.integers(100, 5000))) for _ in range(50)]
    with pytest.raises(DataError, match=r"fit \d+ of 50 videos; these may be scores of another data set"):
        find_stride(*of_lengths(pairs), None)


def test_one_video_may_not_tell():
    with pytest.raises(DataError, match="cannot be found out"):
        find_stride(*of_lengths([(2, 40)]), None)
    assert find_stride(*of_lengths([(2, 40)]), 16) == (16, "as was said")


def test_what_files_say_counts():
    assert find_stride(*of_lengths([(2, 40), (1, 8)], [16, None]), None) == (16, "as the files say")
    assert find_stride(*of_lengths([(2, 40)], [16]), 16) == (16, "as the files say")
    with pytest.raises(DataError, match="a score every 16 frames, --stride says 8"):
        find_stride(*of_lengths([(2, 40)], [16]), 8)
    with pytest.raises(DataError, match=r"one distance of rows, found 8, 16, as in scores\.json"):
        find_stride(*of_lengths([(2, 40), (2, 20)], [16, 8]), None)


def test_unknown_lengths_do_not_tell():
    given, videos = of_lengths([(2, 40)])
    with pytest.raises(DataError, match="no length of a video is known; give --stride"):
        find_stride(given, [Video("v0", ("Normal",))], None)
    assert videos


def test_an_endless_name_is_cut_in_messages():
    given = {"x" * 1_000_000: GivenScores("x", np.zeros(3), "f"), "v": GivenScores("v", np.zeros(3), "f")}
    with pytest.raises(DataError) as error:
        matched(given, [Video("v", ("Normal",), frames=3)], "d", allow_incomplete=False)
    assert len(str(error.value)) < 1000
    del given["v"]
    with pytest.raises(DataError) as error:
        matched(given, [Video("v", ("Normal",), frames=3)], "d", allow_incomplete=False)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("tail", ["hold", "zero", "rows"])
def test_rows_past_the_end_stay_for_post_processing_and_count_no_frame(tail):
    given, videos = of_lengths([(4, 50), (7, 50)])
    laid = lay(given, videos, TABLE, 16, Protocol(name="native", tail=tail), 100)
    assert [len(s.anomaly) for s in laid.scores] == [4, 7] and [s.frames for s in laid.scores] == [50, 50]
    said = [note for note in laid.notes if "past the end" in note]
    assert [("1 videos: v1" in note) for note in said] == ([] if tail == "rows" else [True])


def test_lengths_further_off_are_all_named():
    given, videos = of_lengths([(4, 64)] + [(9, 64)] * 12)
    laid = lay(given, videos, TABLE, 16, Protocol(name="native"), 80)
    (note, _) = laid.notes
    assert "12 videos" in note and all(f"v{i} (9 rows for 64 frames)" in note for i in range(1, 13))
    with pytest.raises(DataError, match=r"12 of 13 videos do not fit .* accept them with --tolerance 80"):
        lay(given, videos, TABLE, 16, Protocol(name="native"), 64)
