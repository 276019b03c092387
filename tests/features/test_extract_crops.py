"""Extraction of several crops and in reduced arithmetic."""

import errno
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as torchvision

from extraction import content, extract
from vadbench.base.errors import StorageError
from vadbench.clip import CROPS
from vadbench.data.media import read_frames
from vadbench.dataset import Video
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.features.pooling import pool_rows
from vadbench.features.store import FeatureStore

SIDES = st.integers(8, 90)
TORCHVISION_ORDER = [1, 2, 3, 4, 0, 6, 7, 8, 9, 5]  # corners before the center


@given(height=SIDES, width=SIDES)
def test_crops_are_torchvisions(clip, height, width):
    pixels = np.random.default_rng(height * 100 + width).integers(0, 255, (2, 3, height, width), np.uint8)
    resized = clip.resize(torch.from_numpy(pixels))
    assert min(resized.shape[-2:]) == clip.image_size
    found = [clip.crop(resized, name) for name in CROPS]
    for count, reference in ((5, torchvision.five_crop), (10, torchvision.ten_crop)):
        expected = reference(resized, [clip.image_size, clip.image_size])
        for place, crop in zip(TORCHVISION_ORDER, expected, strict=False):
            torch.testing.assert_close(found[place], crop, rtol=0, atol=0)
        assert len(expected) == count
    torch.testing.assert_close(clip.preprocess(torch.from_numpy(pixels)), found[0], rtol=0, atol=0)


def encode_ten_crops(clip, path):
    """(10, frames, dim): a frame and a crop at a time, cut out by torchvision."""
    size, rows = clip.image_size, []
    for frame in read_frames(path):
        image = torch.from_numpy(frame).permute(2, 0, 1)[None]
        resized = torchvision.resize(image, [size], interpolation=InterpolationMode.BICUBIC, antialias=True)
        crops = torchvision.ten_crop(resized, [size, size])
        rows.append([clip.encode_images(crops[TORCHVISION_ORDER.index(i)])[0].numpy() for i in range(10)])
    return np.array(rows).transpose(1, 0, 2)


@pytest.mark.parametrize("crops", [5, 10])
@pytest.mark.parametrize(("stride", "pooling"), [(1, "mean"), (4, "first"), (4, "middle"), (4, "mean")])
def test_rows_of_crops_are_those_of_what_torchvision_cuts_out(tmp_path, clip, wide, crops, stride, pooling):
    chosen = CROPS[:crops]
    extract(wide, clip, tmp_path, stride=stride, pooling=pooling, crops=chosen, batch_size=5)
    store = FeatureStore(tmp_path)
    assert store.fingerprint.crops == chosen
    assert store.fingerprint == clip_fingerprint(clip, stride=stride, pooling=pooling, crops=chosen)
    for video in wide:
        every = encode_ten_crops(clip, video.path)[:crops]
        frames = every.shape[1]
        expected = [pool_rows(rows, frames, 1, stride, pooling) for rows in every]
        assert store.frames(video.name) == frames
        np.testing.assert_allclose(store.rows(video.name), expected, rtol=1e-4, atol=1e-5)
        # Far enough apart for the order of the crops to show.
        assert np.ptp(store.rows(video.name), axis=0).max() > 1e-2
    assert {p.name for p in tmp_path.iterdir() if not p.name.startswith(".")} == {
        "fingerprint.json", "rows-0-of-1.bin", "index-0-of-1.jsonl",
    }  # fmt: skip


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_the_center_is_the_same_bytes_whatever_other_crops_there_are(tmp_path, clip, wide, pooling):
    for crops in (1, 5, 10):
        chosen = CROPS[:crops]
        extract(wide, clip, tmp_path / str(crops), stride=2, pooling=pooling, crops=chosen, batch_size=5)
    one, five, ten = (FeatureStore(tmp_path / str(crops)) for crops in (1, 5, 10))
    for name in one.names:
        np.testing.assert_array_equal(one.rows(name), five.rows(name)[:1])
        np.testing.assert_array_equal(five.rows(name), ten.rows(name)[:5])
    assert len({store.fingerprint.digest for store in (one, five, ten)}) == 3


def test_crops_do_not_depend_on_shards(tmp_path, clip, wide):
    extract(wide, clip, tmp_path / "all", stride=4, pooling="mean", crops=CROPS[:5])
    for shard in ((1, 2), (0, 2)):
        extract(wide, clip, tmp_path / "two", stride=4, pooling="mean", crops=CROPS[:5], shard=shard)
    one, two = FeatureStore(tmp_path / "all"), FeatureStore(tmp_path / "two")
    assert one.names == two.names
    for name in one.names:
        np.testing.assert_array_equal(one.rows(name), two.rows(name))


def test_images_of_different_sizes_are_cropped_each_on_its_own(tmp_path, clip):
    folder, noise = tmp_path / "frames", np.random.default_rng(0)
    folder.mkdir()
    for i, width in enumerate([40, 40, 70, 70, 70, 40]):
        Image.fromarray(noise.integers(0, 255, (40, width, 3), np.uint8)).save(folder / f"{i}.png")
    store = tmp_path / "s"
    extract([Video("v", ("x",), folder)], clip, store, stride=1, pooling="mean", crops=CROPS)
    expected = encode_ten_crops(clip, folder)
    np.testing.assert_allclose(FeatureStore(store).rows("v"), expected, rtol=1e-4, atol=1e-5)


def test_rows_of_a_long_video_wait_on_disk_not_in_memory(tmp_path, clip, monkeypatch, videos):
    length, dim = 3000, 1024
    monkeypatch.setattr(
        "vadbench.features.preparation.lazy_frames", lambda path, **_: (lambda: FRAME for _ in range(length))
    )
    FRAME = np.zeros((4, 4, 3), np.uint8)
    monkeypatch.setattr(clip, "dim", dim)
    monkeypatch.setattr(clip, "resize", lambda frames: frames)
    monkeypatch.setattr(clip, "crop", lambda frames, name: frames)
    monkeypatch.setattr(clip, "encode_images", lambda frames, arithmetic: torch.ones(len(frames), dim))
    tracemalloc.start()
    try:
        extract(videos[:1], clip, tmp_path, stride=1, pooling="mean", crops=CROPS, batch_size=100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert FeatureStore(tmp_path).rows("a").shape == (10, length, dim)
    assert peak < length * dim * 4, "a whole crop was in memory"


def test_a_full_disk_while_crops_wait_says_so_and_keeps_what_is_done(tmp_path, clip, monkeypatch, wide):
    extract(wide[:1], clip, tmp_path, stride=1, pooling="mean", crops=CROPS[:5])
    before = content(tmp_path)

    def full(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vadbench.features.waiting_rows.write_all", full)
    with pytest.raises(StorageError, match="disk is full"):
        extract(wide, clip, tmp_path, stride=1, pooling="mean", crops=CROPS[:5])
    monkeypatch.undo()
    assert FeatureStore(tmp_path).names == ("0",)
    extract(wide, clip, tmp_path, stride=1, pooling="mean", crops=CROPS[:5])
    after = content(tmp_path)
    assert all(after[name].startswith(before[name]) for name in before)
    assert len(FeatureStore(tmp_path).names) == 3


@pytest.mark.parametrize("arithmetic", ["bf16", "fp16"])
def test_reduced_arithmetic_points_the_same_way_and_says_so(tmp_path, clip, videos, arithmetic):
    exact, reduced = tmp_path / "exact", tmp_path / "reduced"
    extract(videos, clip, exact, stride=1, pooling="mean")
    report = extract(videos, clip, reduced, stride=1, pooling="mean", arithmetic=arithmetic)
    one, two = FeatureStore(exact), FeatureStore(reduced)
    assert (one.fingerprint.arithmetic, two.fingerprint.arithmetic) == ("fp32", arithmetic)
    for name in one.names:
        a, b = one.rows(name)[0], two.rows(name)[0]
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert cosine.min() > 0.999
        if name == videos[0].name:
            assert report.cosine == pytest.approx(cosine[:8].min(), abs=1e-6)
        assert not np.array_equal(a, b)
        assert b.dtype == np.float32
    # Whichever of several is decoded first.
    again = extract(videos, clip, tmp_path / "again", stride=1, pooling="mean", arithmetic=arithmetic, workers=4)
    assert again.cosine == report.cosine
