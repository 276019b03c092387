"""The best alignment of two videos, against a loop over every offset written from its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.inspect.best_alignment import SHIFTS, align


def literal(a, b, least):
    """Every allowed alignment as offset, first row of b, overlap, cosine, rows, changes."""
    wanted = max(least, int(np.ceil(min(len(a), len(b)) / 2)))
    found = []
    for shift in SHIFTS:
        moved = a if shift == 0 else np.array([(1 - shift) * a[i] + shift * a[i + 1] for i in range(len(a) - 1)])
        for offset in range(-len(b), len(a)):
            pairs = [(i, i - offset) for i in range(len(moved)) if 0 <= i - offset < len(b)]
            if len(pairs) < wanted:
                continue
            x, y = np.array([moved[i] for i, _ in pairs]), np.array([b[j] for _, j in pairs])
            centred = [(v - v.mean(0)).ravel() for v in (x, y)]
            lengths = [np.linalg.norm(v) for v in centred]
            cosine = centred[0] @ centred[1] / (lengths[0] * lengths[1]) if min(lengths) > 1e-5 else 0.0
            steps = list(zip(np.diff(x, axis=0), np.diff(y, axis=0), strict=True))
            usual = np.median([np.linalg.norm(u) * np.linalg.norm(v) for u, v in steps])
            weights = [min(np.linalg.norm(u) * np.linalg.norm(v), usual) for u, v in steps]
            changes = np.average([cos(u, v) for u, v in steps], weights=weights) if usual else 0.0
            rows = np.mean([cos(u, v) for u, v in zip(x, y, strict=True)])
            found.append((offset + shift, pairs[0][1], len(pairs), cosine, rows, changes))
    return found


def cos(u, v):
    product = np.linalg.norm(u) * np.linalg.norm(v)
    return u @ v / product if product else 0.0


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@given(
    st.integers(1, 30), st.integers(1, 30), st.integers(2, 9), st.integers(0, 10_000), st.sampled_from([0.05, 0.5, 5.0])
)
def test_it_is_the_best_of_all_alignments(length, other, least, seed, spread):
    rng = np.random.default_rng(seed)
    scene = rng.normal(size=6)
    a, b = (unit(scene + spread * rng.normal(size=(n, 6)).cumsum(0)) for n in (length, other))
    every, found = literal(a.astype(np.float64), b.astype(np.float64), least), align(a, b, least)
    if not every:
        assert found is None
        return
    best = max(0.0, max(x[3] for x in every))
    assert found.cosine == pytest.approx(best, abs=2e-3)
    same = next(x for x in every if (x[0], x[1], x[2]) == (found.offset, found.first, found.overlap))
    assert max(same[3], 0.0) == pytest.approx(found.cosine, abs=2e-3)
    assert (found.rows, found.changes) == pytest.approx(same[4:], abs=1e-4)


@given(st.integers(0, 10_000), st.integers(0, 60), st.integers(12, 40), st.sampled_from(SHIFTS))
def test_a_cut_is_found_where_it_was_made(seed, first, length, shift):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(102, 16)).cumsum(0)
    cut = ((1 - shift) * rows[:-1] + shift * rows[1:])[first : first + length]
    found = align(rows.astype(np.float32), cut.astype(np.float32), 8)
    assert (found.offset, found.first, found.overlap) == (first + shift, 0, length)
    assert found.cosine == pytest.approx(1, abs=1e-5) and found.changes == pytest.approx(1, abs=1e-5)


def test_parts_that_overlap_are_found_in_either_direction():
    rows = np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)
    early, late = align(rows[:40], rows[15:], 8), align(rows[15:], rows[:40], 8)
    assert (early.offset, early.first, early.overlap) == (15, 0, 25)
    assert (late.offset, late.first, late.overlap) == (-15, 15, 25)


def test_what_all_rows_share_makes_no_agreement():
    rng = np.random.default_rng(1)
    scene = 10 * rng.normal(size=64)
    a, b = (unit(scene + rng.normal(size=(n, 64))) for n in (80, 60))
    found = align(a, b, 8)
    assert found.rows > 0.97 and found.cosine < 0.3


def test_where_nothing_changes_there_is_no_agreement():
    still = np.ones((30, 8), np.float32)
    assert align(still, still, 8).cosine == 0


def test_two_scenes_in_a_row_agree_but_their_changes_do_not():
    rng = np.random.default_rng(2)
    scenes = [5 * rng.normal(size=64) for _ in range(2)]
    a, b = (unit(np.concatenate([s + rng.normal(size=(30, 64)) for s in scenes])) for _ in range(2))
    found = align(a, b, 8)
    assert found.cosine > 0.85 and found.rows > 0.9 and found.changes < 0.2


def test_memory_is_bounded_by_the_rows_of_both():
    import tracemalloc

    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(20_000, 32)).astype(np.float32), rng.normal(size=(256, 32)).astype(np.float32)
    tracemalloc.start()
    align(a, b, 8)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 30 * (a.nbytes + b.nbytes) + 4 * len(a) * len(b) * 6
