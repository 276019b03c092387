"""Sums over drawn videos against loops over places, videos and resamples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.metrics.bootstrap import draw_videos
from vadbench.metrics.multiplicities import AT_ONCE, WHOLE, FramesByPlace, Multiplicities, cumulative


def drawn_kind(rng, places, videos, entries, most):
    return FramesByPlace(
        np.sort(rng.integers(0, places, entries)),
        rng.integers(0, videos, entries),
        rng.integers(0, most + 1, entries),
    )


@given(
    seed=st.integers(0, 1000),
    places=st.integers(1, 20),
    videos=st.integers(1, 9),
    entries=st.lists(st.integers(0, 40), min_size=1, max_size=3),
    at_once=st.integers(1, 25),
)
def test_products_are_sums_over_drawn_videos(seed, places, videos, entries, at_once):
    """Kinds one below the other, a matrix for so many places, and places without a frame."""
    rng = np.random.default_rng(seed)
    kinds = [drawn_kind(rng, places, videos, n, 16) for n in entries]
    draws = draw_videos(videos, AT_ONCE + 3, seed)
    drawn = Multiplicities(draws)
    matrices = drawn.matrices(kinds, 0, places, at_once)
    assert len(matrices) == -(-places // at_once)
    for resamples, block in drawn.blocks:
        products = [(matrix @ block).reshape(len(kinds), -1, block.shape[1]) for matrix in matrices]
        found = np.concatenate(products, axis=1)
        for kind, sums in zip(kinds, found, strict=True):
            expected = np.zeros((places, len(draws)))
            for place, video, frames in zip(*kind, strict=True):
                expected[place] += frames * draws[:, video]
            np.testing.assert_array_equal(sums, expected[:, resamples])


@pytest.mark.parametrize(("frames", "dtype"), [(WHOLE // 4, np.float32), (WHOLE // 4 + 1, np.float64)])
def test_sums_too_large_for_float32_are_made_in_float64(frames, dtype):
    """Two rows of one place and video, drawn twice."""
    kind = FramesByPlace(np.zeros(2, int), np.zeros(2, int), np.full(2, frames))
    drawn = Multiplicities(np.array([[2.0, 0], [1, 1]]))
    (matrix,) = drawn.matrices([kind], 0, 1, 1)
    ((_, block),) = drawn.blocks
    product = matrix @ block
    assert product.dtype == dtype
    four = product + product + product + product
    assert four.tolist() == [[16 * frames, 8 * frames]]


def test_sums_of_videos_count_each_as_often_as_it_is_drawn():
    drawn = Multiplicities(np.array([[2.0, 0, 1], [0, 3, 0]]))
    assert drawn.sums(np.array([5, 7, 11])).tolist() == [21, 21]
    assert drawn.sums(np.array([True, False, True])).tolist() == [3, 0]
    assert drawn.sums(np.array([[5, 1], [7, 0], [11, 2]])).tolist() == [[21, 4], [21, 0]]
    assert Multiplicities(np.zeros((2, 0))).sums(np.zeros(0)).tolist() == [0, 0]


def test_blocks_that_are_not_kept_are_the_same(monkeypatch):
    draws = draw_videos(7, AT_ONCE + 3)
    kept = list(Multiplicities(draws).blocks)
    monkeypatch.setattr("vadbench.metrics.multiplicities.KEPT", 0)
    for (part, block), (same, again) in zip(kept, Multiplicities(draws).blocks, strict=True):
        assert part == same and np.array_equal(block, again)


@pytest.mark.parametrize("steps", [1, 2, 3, 64, 65, 256])
def test_cumulative_sums_are_those_of_numpy_below_what_was_before(steps):
    rng = np.random.default_rng(0)
    counts, before = rng.integers(0, 2**20, (steps, 5)).astype(np.float32), rng.integers(0, 2**40, 5).astype(float)
    kept = counts.copy()
    np.testing.assert_array_equal(cumulative(counts, before), np.cumsum(counts, 0, np.float64) + before)
    np.testing.assert_array_equal(counts, kept)
