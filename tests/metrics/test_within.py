"""AUC within videos, across them and of their means, against pairs of frames counted one by one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drawn_rows import drawn_rows, rows_of, videos_of
from literal_metrics import cross, within
from vadbench.metrics.bootstrap import draw_videos, resampled_metrics
from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.within import within as pairs_within

KEYS = ("AUC/within", "AUC/cross", "AUC/video", "pair-share")


def values(rows):
    return {key: value.value for key, value in evaluate(rows).items()}


@given(drawn_rows())
def test_all_equal_pairs_counted_one_by_one(rows):
    videos, found = videos_of(rows), values(rows)
    expected = within(videos) | {"AUC/cross": cross(videos)}
    assert {key: found[key] for key in KEYS} == pytest.approx(expected, abs=1e-12)


@given(drawn_rows(videos=30, longest=30, most=16))
def test_the_parts_make_up_the_whole(rows):
    found = values(rows)
    assume(found["AUC"] is not None)
    share = found["pair-share"]
    parts = (share, found["AUC/within"]), (1 - share, found["AUC/cross"])
    assert sum(w * part for w, part in parts if w) == pytest.approx(found["AUC"], abs=1e-12)


@given(drawn_rows(videos=20), st.integers(0, 1000))
def test_the_parts_make_up_the_whole_of_a_resample(rows, seed):
    found = resampled_metrics(rows, ("AUC", *KEYS), draw_videos(len(rows.names), 20, seed))
    share, inside, across = (np.nan_to_num(found[key]) for key in ("pair-share", "AUC/within", "AUC/cross"))
    defined = ~np.isnan(found["AUC"])
    whole = share * inside + (1 - share) * across
    np.testing.assert_allclose(whole[defined], found["AUC"][defined], atol=1e-12, rtol=0)


@given(drawn_rows(), st.data())
def test_a_constant_added_to_one_video_changes_nothing_within(rows, data):
    """Scores are multiples of 1/64 and so is the constant: adding is exact."""
    video = data.draw(st.integers(0, len(rows.names) - 1))
    added = data.draw(st.integers(-640, 640)) / 64
    rows = replace(rows, scores=np.round(rows.scores * 64) / rows.scores.dtype.type(64))
    moved = replace(
        rows, scores=np.where(rows.video == video, rows.scores + rows.scores.dtype.type(added), rows.scores)
    )
    before, after = values(rows), values(moved)
    for key in ("AUC/within", "AUC/video"):
        assert after[key] == before[key]
    np.testing.assert_array_equal(pairs_within(moved).aucs, pairs_within(rows).aucs)


@given(drawn_rows(videos=20))
def test_a_flat_score_is_as_good_as_its_means(rows):
    flat = np.random.default_rng(0).integers(0, 8, len(rows.names)) / 10
    found = values(replace(rows, scores=flat[rows.video].astype(rows.scores.dtype)))
    assert found["AUC/flattened"] == found["AUC"]
    assert found["AUC/within"] in (None, 0.5)


@pytest.mark.parametrize("scores", [[0.1, 0.2, 0.3], [0.3, 0.1, 0.2], [0.2, 0.3, 0.1]])
def test_means_that_are_equal_but_for_rounding_tie(scores):
    """0.1 + 0.2 + 0.3 is not 0.6 in every order."""
    scores = np.array([*scores, 0.2, 0.2, 0.2])
    rows = rows_of(np.repeat([0, 1], 3), scores, np.ones(6, int), np.array([1, 0, 0, 0, 0, 0]))
    assert evaluate(rows)["AUC/flattened"].value == 0.5


def test_what_is_undefined_says_why():
    frames = np.full(2, 8)
    apart = evaluate(rows_of(np.arange(2), np.array([0.9, 0.1]), frames, np.array([8, 0])))
    assert (apart["AUC"].value, apart["AUC/cross"].value, apart["pair-share"].value) == (1, 1, 0)
    for key in ("AUC/within", "AUC/video"):
        assert (apart[key].value, apart[key].reason) == (None, "no video has both anomalous and normal frames")
    alone = evaluate(rows_of(np.zeros(2, int), np.array([0.9, 0.1]), frames, np.array([8, 0])))
    assert (alone["AUC/within"].value, alone["pair-share"].value, alone["AUC/flattened"].value) == (1, 1, 0.5)
    assert alone["AUC/cross"].value is None
    assert alone["AUC/cross"].reason == "no anomalous and normal frame are of different videos"
    normal = evaluate(rows_of(np.arange(2), np.array([0.9, 0.1]), frames, np.zeros(2, int)))
    for key in ("AUC/cross", "AUC/flattened", "pair-share"):
        assert (normal[key].value, normal[key].reason) == (None, "the split has only normal frames")


@pytest.mark.parametrize("videos", [2**16 - 1, 2**16 + 1])
def test_any_number_of_videos_is_told_apart(videos):
    """Video 0 and the last have both kinds of frames, in right and in wrong order."""
    video = np.concatenate([[0, 0], np.arange(1, videos - 1), [videos - 1] * 2])
    positives = np.zeros(len(video), int)
    positives[[0, -1]] = 1
    scores = np.random.default_rng(0).random(len(video))
    scores[[0, 1, -2, -1]] = 0.9, 0.1, 0.8, 0.2
    found = pairs_within(rows_of(video, scores, np.ones(len(video), int), positives))
    assert (found.concordant[0], found.concordant[-1], found.pairs.sum()) == (1, 0, 2)
