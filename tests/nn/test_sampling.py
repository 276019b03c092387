"""Training samples of a fixed number of rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vadbench.nn.sampling import as_float32, averaged_sample, binned_sample, drawn_sample


@given(rows=st.integers(1, 200), length=st.integers(1, 40))
def test_a_drawn_sample_has_a_row_of_each_part_in_order(rows, length):
    line = np.arange(1, rows + 1, dtype=np.float32)[:, None]
    found = drawn_sample(line, length, np.random.default_rng(0))[:, 0]
    kept = min(rows, length)
    assert not found[kept:].any()
    if rows <= length:
        assert found[:kept].tolist() == line[:, 0].tolist()
    else:
        edges = [i * rows // length for i in range(length + 1)]
        assert all(a < value <= b for a, b, value in zip(edges, edges[1:], found, strict=False))


def test_an_averaged_sample_of_float16_rows_is_rounded_once():
    rng = np.random.default_rng(0)
    rows = (rng.random((1500, 64)) * 200).astype(np.float16)  # the sum of a bin of 500 is more than float16 can hold
    bins = itertools.pairwise([0, 500, 1000, 1500])
    wanted = [rows[a:b].mean(0, dtype=np.float32).astype(np.float16) for a, b in bins]
    np.testing.assert_array_equal(averaged_sample(rows, 3), np.stack(wanted).astype(np.float32))


@given(rows=st.integers(1, 90), length=st.integers(1, 40))
def test_an_averaged_sample_has_means_or_is_filled_up(rows, length):
    x = np.random.default_rng(rows).standard_normal((rows, 3)).astype(np.float32)
    found = averaged_sample(x, length)
    assert found.shape == (length, 3) and found.dtype == np.float32
    if rows <= length:
        np.testing.assert_array_equal(found[:rows], x)
        assert not found[rows:].any()
        return
    edges = [i * rows // length for i in range(length + 1)]
    for place, (a, b) in enumerate(itertools.pairwise(edges)):
        np.testing.assert_allclose(found[place], x[a:b].astype(np.float64).mean(0), atol=1e-5)


@given(rows=st.integers(1, 90), length=st.integers(1, 40), crops=st.integers(1, 3))
def test_a_binned_sample_has_means_or_repeats_rows(rows, length, crops):
    x = np.random.default_rng(rows).standard_normal((crops, rows, 3)).astype(np.float32)
    found = binned_sample(x, length)
    edges = [i * rows // length for i in range(length + 1)]
    for place, (a, b) in enumerate(itertools.pairwise(edges)):
        wanted = x[:, a : max(b, a + 1)].astype(np.float64).mean(1)
        np.testing.assert_allclose(found[:, place], wanted, atol=1e-5)
    np.testing.assert_array_equal(binned_sample(x[0], length), found[0])


@given(rows=st.integers(1, 5000), length=st.sampled_from([32, 200]))
def test_rounded_bins_have_the_edges_of_a_rounded_width(rows, length):
    line = np.arange(rows, dtype=np.float32)[:, None]
    width = rows / length
    edges = [int(i * width) for i in range(length)] + [rows]
    wanted = [np.arange(a, max(b, a + 1)).mean() for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(binned_sample(line, length, rounded=True)[:, 0], wanted, rtol=1e-6)
    same = length == 32 or rows not in (58, 70, 114, 116, 140)
    if same and rows <= 140:
        np.testing.assert_array_equal(binned_sample(line, length), binned_sample(line, length, rounded=True))


def test_a_binned_sample_of_float16_rows_is_summed_in_float32():
    rows = (np.random.default_rng(0).random((1500, 64)) * 200).astype(np.float16)
    wanted = [rows[a : a + 500].astype(np.float64).mean(0) for a in (0, 500, 1000)]
    np.testing.assert_allclose(binned_sample(rows, 3), np.stack(wanted), rtol=1e-5)


LAYOUTS = {
    "mapped": lambda x: x,
    "column by column": np.asfortranarray,
    "every other entry": lambda x: np.repeat(x, 2, -1)[..., ::2],
    "crops within rows": lambda x: np.ascontiguousarray(np.swapaxes(x, 0, -2)).swapaxes(0, -2),
    "a window": lambda x: np.concatenate([x, x], -2)[..., : x.shape[-2], :],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_means_are_those_of_numpy_bin_by_bin_to_the_bit(layout, dtype, tmp_path):
    """Against a call of ``mean`` for each bin, where one is short, empty, or longer than what is widened at once."""
    rng = np.random.default_rng(3)
    sizes = [(33, 32, 8), (100, 32, 9), (457, 32, 17), (10, 32, 8), (9000, 2, 3), (70, 2, 1), (5, 5, 2)]
    for rows, length, dim in sizes:
        np.save(tmp_path / "x.npy", (rng.standard_normal((2, rows, dim)) * 30).astype(dtype))
        x = LAYOUTS[layout](np.load(tmp_path / "x.npy", mmap_mode="r"))
        edges = [i * rows // length for i in range(length)] + [rows]
        bins = [(a, max(b, a + 1)) for a, b in itertools.pairwise(edges)]
        wanted = np.empty((2, length, dim), np.float32)
        for i, (a, b) in enumerate(bins):
            x[:, a:b].mean(1, dtype=np.float32, out=wanted[:, i])
        assert binned_sample(x, length).tobytes() == wanted.tobytes()
        if rows > length:
            means = np.stack([x[0, a:b].mean(0) for a, b in bins])
            assert means.dtype == dtype
            assert averaged_sample(x[0], length).tobytes() == means.astype(np.float32).tobytes()


@pytest.mark.filterwarnings("error")
def test_rows_that_may_only_be_read_are_averaged_without_a_warning():
    rows = np.arange(36, dtype=np.float32).reshape(9, 4)
    rows.flags.writeable = False
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with pytest.raises(UserWarning, match="not writable"):
            torch.from_numpy(rows)
        assert averaged_sample(rows, 3).tolist() == rows.reshape(3, 3, 4).mean(1).tolist()
    finally:
        torch.set_warn_always(before)
    assert not rows.flags.writeable


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_become_float32_as_numpy_makes_them(dtype, tmp_path):
    numbers = np.concatenate([np.random.default_rng(0).standard_normal(90), [0, -0.0, 6e-8, -1e-7, 65504, np.inf]])
    np.save(tmp_path / "x.npy", numbers.astype(dtype).reshape(-1, 4))
    rows = np.load(tmp_path / "x.npy", mmap_mode="r")
    found = as_float32(rows)
    assert found.dtype == np.float32 and found.tobytes() == np.asarray(rows, np.float32).tobytes()
