"""Extraction on a pretended GPU: the rows of the CPU, from batches in pinned memory, with one wait a batch."""

import numpy as np
import pytest

from extraction import extract
from vadbench.clip import CROPS, load_clip
from vadbench.features.store import FeatureStore
from vadbench.testing.pretend import pretend


@pytest.mark.parametrize("crops", [1, 5])
@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_gpu_is_given_pinned_batches_and_read_once_for_each(tmp_path, videos, crops, pooling):
    made = {"stride": 4, "pooling": pooling, "batch_size": 5, "workers": 2, "crops": CROPS[:crops]}
    extract(videos, load_clip(), tmp_path / "cpu", **made)
    with pretend("cuda") as world:
        clip = load_clip(device="cuda")
        extract(videos[:1], clip, tmp_path / "first", **made)
        world.reset()
        extract(videos, clip, tmp_path / "gpu", **made)
        copies, pageable = world.count("h2d-pinned"), world.count("h2d-pageable")
        waits = world.count("d2h", "d2h-pinned", "sync")
    one, two = FeatureStore(tmp_path / "cpu"), FeatureStore(tmp_path / "gpu")
    assert one.names == two.names
    for name in one.names:
        np.testing.assert_allclose(one.rows(name), two.rows(name), rtol=1e-4, atol=1e-5)
    prepared = [-(-video_frames // (1 if pooling == "mean" else 4)) for video_frames in map(one.frames, one.names)]
    batches = sum(-(-count // 5) for count in prepared)
    assert (copies, pageable, waits) == (batches, 0, crops * batches)
