"""Rows pooled when they are read: those that a store of pooled rows would hold."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.base.errors import FeatureError
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.pooling import PooledFeatures, pooled_features
from vadbench.features.source import FeatureSource

FINE = Fingerprint("tiny", "0" * 64, "gelu", "none", stride=1, pooling="mean", dim=3, crops=("center", "left"))


class Fine(FeatureSource):
    """Rows in memory, ``(crops, rows, dim)`` of the video v."""

    folder = "fine"
    names = ("v",)

    def __init__(self, rows, fingerprint=FINE):
        self.rows, self.fingerprint = rows, fingerprint

    def crops(self, name):
        return self.fingerprint.crops

    def crop_rows(self, name, crop):
        return self.rows[self.fingerprint.crops.index(crop)]

    def frames(self, name):
        return None

    def stamp(self, name):
        return "fine"


def by_hand(rows, stride, pooling):
    """One row of each ``stride`` frames, the tail included."""
    groups = [rows[i : i + stride] for i in range(0, len(rows), stride)]
    if pooling == "mean":
        return np.stack([g.mean(0, dtype=np.float64) for g in groups])
    return np.stack([g[0 if pooling == "first" else len(g) // 2] for g in groups])


@pytest.mark.parametrize("pooling", ["first", "middle", "mean"])
@given(st.integers(1, 40), st.integers(2, 9), st.integers(-2, 2), st.sampled_from(["float32", "float16"]))
def test_rows_are_those_of_their_frames_in_the_dtype_of_the_finer_ones(pooling, count, stride, off, dtype):
    rows = np.random.default_rng(count).standard_normal((2, count, 3)).astype(dtype)
    source = Fine(rows, replace(FINE, dtype=dtype))
    # The true length may be another than the rows given: they are what there is.
    pooled = pooled_features(source, stride, pooling, {"v": max(count + off, 1)})
    assert pooled.fingerprint == replace(source.fingerprint, stride=stride, pooling=pooling)
    assert (pooled.names, pooled.crops("v"), pooled.stamp("v")) == (("v",), ("center", "left"), "fine")
    for number, (crop, found) in enumerate(pooled.video_rows("v").items()):
        assert found.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(found, pooled.crop_rows("v", crop))
        expected = by_hand(rows[number], stride, pooling)
        if pooling == "mean":
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 if dtype == "float32" else 2e-3)
        else:
            np.testing.assert_array_equal(found, expected)


def test_the_last_row_counts_for_the_frames_it_stands_for():
    """Three rows of four frames each, the last one of a single frame: nine frames."""
    rows = np.array([[[0.0], [1.0], [10.0]]], np.float32)
    source = Fine(rows, replace(FINE, stride=4, crops=("center",), dim=1))
    (found,) = pooled_features(source, 12, "mean", {"v": 9}).video_rows("v").values()
    np.testing.assert_allclose(found, [[(4 * 0 + 4 * 1 + 1 * 10) / 9]], rtol=1e-6)


def test_rows_of_the_stride_wanted_are_left_as_they_are():
    source = Fine(np.zeros((2, 4, 3), np.float32), replace(FINE, stride=16, pooling="unknown"))
    assert pooled_features(source, 16, "middle", {"v": 64}) is source
    assert isinstance(pooled_features(Fine(source.rows), 2, "mean", {"v": 4}), PooledFeatures)


@pytest.mark.parametrize("stride", [8, 24])
@pytest.mark.parametrize(("have", "advice"), [("unknown", ""), ("middle", " and rows.pooling=middle")])
def test_finer_rows_than_there_are_cannot_be_made(stride, have, advice):
    source = Fine(np.zeros((2, 4, 3), np.float32), replace(FINE, stride=16, pooling=have))
    with pytest.raises(
        FeatureError, match=f"a row every {stride} frames .* have one every 16 .*extract finer"
    ) as found:
        pooled_features(source, stride, "mean", {"v": 64})
    assert str(found.value).endswith(f", or set rows.stride=16{advice}")
    # What it advises is possible.
    assert pooled_features(source, 16, "middle" if advice else "mean", {"v": 64}) is source
