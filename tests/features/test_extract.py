"""Extraction: a row for every piece of every video, the same bytes however often it is killed, and honest reports."""

import errno
import os
import re
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as torchvision

from vadbench.base.errors import DataError, FeatureError, MediaError, StorageError
from vadbench.base.types import silent
from vadbench.clip import CROPS, ClipSource, load_clip
from vadbench.data.media import declared_frames, lazy_frames, read_frames, write_video
from vadbench.dataset import Video
from vadbench.features.decoding import WORKERS, Decoder
from vadbench.features.encoders import FrameEncoder, clip_fingerprint
from vadbench.features.extraction import extract_features
from vadbench.features.pooling import pool_rows
from vadbench.features.store import FeatureStore

LENGTHS = {"a": 37, "b": 5, "c": 16, "d": 1, "e": 50}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "tiny.safetensors"
    torch.manual_seed(0)
    model = open_clip.CLIP(
        embed_dim=8,
        vision_cfg={"layers": 1, "width": 64, "patch_size": 16, "image_size": 32},
        text_cfg={"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
        quick_gelu=True,
    )
    save_file(model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def clip(weights):
    return load_clip(ClipSource("", str(weights)))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    noise = np.random.default_rng(0)
    made = []
    for i, (name, length) in enumerate(LENGTHS.items()):
        path = folder / f"{name}.mp4"
        write_video(path, noise.integers(0, 255, (length, 48, 40 + 2 * i, 3), np.uint8), fps=25)
        made.append(Video(name, ("x",), path))
    return made


def extract(
    videos, clip, store, batch_size=256, workers=WORKERS, shard=(0, 1), keep_going=False, progress=silent, **made
):
    """Extract the features that the other arguments say."""
    encoder = FrameEncoder(clip, clip_fingerprint(clip, **made), batch_size, workers)
    return extract_features(videos, encoder, store, shard=shard, keep_going=keep_going, progress=progress)


def encode_frames(clip, path):
    """One row per frame, a frame at a time."""
    frames = [torch.from_numpy(frame).permute(2, 0, 1)[None] for frame in read_frames(path)]
    return np.concatenate([clip.encode_images(clip.preprocess(frame)).numpy() for frame in frames])


def content(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if not p.name.startswith(".")}


@pytest.mark.parametrize("pooling", ["first", "middle", "mean"])
@pytest.mark.parametrize("stride", [1, 4, 16])
def test_rows_are_those_of_the_frames_they_stand_for(tmp_path, clip, videos, stride, pooling):
    report = extract(videos, clip, tmp_path, stride=stride, pooling=pooling, batch_size=7)
    assert report.extracted == list(LENGTHS)
    assert report.frames == sum(LENGTHS.values())
    assert (report.present, report.failed, report.mismatches) == ([], [], [])
    store = FeatureStore(tmp_path)
    assert store.fingerprint == clip_fingerprint(clip, stride=stride, pooling=pooling)
    for video in videos:
        frames = encode_frames(clip, video.path)
        assert store.frames(video.name) == len(frames) == LENGTHS[video.name]
        expected = []
        for start in range(0, len(frames), stride):
            piece = frames[start : start + stride]
            expected.append({"first": piece[0], "middle": piece[len(piece) // 2], "mean": piece.mean(0)}[pooling])
        np.testing.assert_allclose(store.rows(video.name)[0], expected, rtol=1e-4, atol=1e-5)


def test_extracted_means_are_bit_for_bit_the_pooled_rows_of_every_frame(tmp_path, clip, videos):
    extract(videos, clip, tmp_path / "1", stride=1, pooling="mean", batch_size=7)
    extract(videos, clip, tmp_path / "4", stride=4, pooling="mean", batch_size=7)
    fine, coarse = FeatureStore(tmp_path / "1"), FeatureStore(tmp_path / "4")
    for name, length in LENGTHS.items():
        np.testing.assert_array_equal(coarse.rows(name)[0], pool_rows(fine.rows(name)[0], length, 1, 4, "mean"))


def test_real_clips_have_a_row_for_every_frame(tmp_path, clip, test_data):
    real = [Video(p.stem, ("x",), p) for p in sorted((test_data / "videos").glob("*.mp4"))]
    report = extract(real, clip, tmp_path, stride=1, pooling="mean")
    assert not report.mismatches
    store = FeatureStore(tmp_path)
    for video in real:
        assert store.rows(video.name).shape == (1, declared_frames(video.path), clip.dim)
        store.check(video.name)


def test_a_folder_of_images_is_a_video(tmp_path, clip):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(11):
        Image.fromarray(np.full((40, 40), 20 * i, np.uint8)).save(folder / f"{i}.tif")
    extract([Video("v", ("x",), folder)], clip, tmp_path / "s", stride=4, pooling="first")
    store = FeatureStore(tmp_path / "s")
    assert (store.frames("v"), store.rows("v").shape) == (11, (1, 3, clip.dim))
    np.testing.assert_allclose(store.rows("v")[0], encode_frames(clip, folder)[::4], rtol=1e-4, atol=1e-5)


def test_a_second_call_finds_everything_there(tmp_path, clip, videos):
    extract(videos, clip, tmp_path, stride=4, pooling="first")
    before = content(tmp_path)
    report = extract(videos, clip, tmp_path, stride=4, pooling="first")
    assert (report.extracted, report.present, report.frames) == ([], list(LENGTHS), 0)
    assert content(tmp_path) == before


def test_a_changed_file_is_extracted_again(tmp_path, clip):
    path = tmp_path / "v.mp4"
    video = Video("v", ("x",), path)
    write_video(path, np.zeros((5, 32, 32, 3), np.uint8), fps=25)
    extract([video], clip, tmp_path / "s", stride=1, pooling="mean")
    write_video(path, np.full((9, 32, 32, 3), 200, np.uint8), fps=25)
    report = extract([video], clip, tmp_path / "s", stride=1, pooling="mean")
    assert report.extracted == ["v"]
    assert FeatureStore(tmp_path / "s").frames("v") == 9


def test_rows_do_not_depend_on_what_else_is_extracted(tmp_path, clip, videos):
    extract(videos, clip, tmp_path / "all", stride=4, pooling="mean")
    extract(videos, clip, tmp_path / "two", stride=4, pooling="mean", shard=(1, 2))
    extract(videos, clip, tmp_path / "two", stride=4, pooling="mean", shard=(0, 2))
    one, two = FeatureStore(tmp_path / "all"), FeatureStore(tmp_path / "two")
    assert one.names == two.names
    for name in one.names:
        np.testing.assert_array_equal(one.rows(name), two.rows(name))


def test_mismatching_counts_are_reported_and_extracted(tmp_path, clip, videos):
    claims = [Video("a", ("x",), videos[0].path, frames=38), Video("b", ("x",), videos[1].path, frames=5)]
    report = extract(claims, clip, tmp_path, stride=4, pooling="first")
    assert [str(m) for m in report.mismatches] == ["a: 37 frames decoded, 38 declared by its data set"]
    assert FeatureStore(tmp_path).frames("a") == 37


def test_a_container_that_declares_too_much_is_reported(tmp_path, clip, monkeypatch, videos):
    monkeypatch.setattr("vadbench.features.extraction.declared_frames", lambda path: 40)
    report = extract(videos[:1], clip, tmp_path, stride=4, pooling="first")
    assert [str(m) for m in report.mismatches] == ["a: 37 frames decoded, 40 declared by its container"]


@pytest.fixture
def with_damaged(tmp_path, videos):
    text = tmp_path / "text.mp4"
    text.write_text("no video\n" * 100)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(videos[0].path.read_bytes()[:-2000])
    broken = [Video("text", ("x",), text), Video("cut", ("x",), cut), Video("gone", ("x",), tmp_path / "gone.mp4")]
    return [videos[0], *broken, Video("fileless", ("x",)), videos[4]]


def test_a_damaged_video_stops_it_and_keeps_what_is_done(tmp_path, clip, with_damaged):
    with pytest.raises(MediaError, match=r"text\.mp4"):
        extract(with_damaged[:2], clip, tmp_path / "s", stride=4, pooling="first")
    assert FeatureStore(tmp_path / "s").names == ("a",)


def test_keep_going_leaves_damaged_videos_out_and_says_which(tmp_path, clip, with_damaged):
    report = extract(with_damaged, clip, tmp_path / "s", stride=4, pooling="first", keep_going=True)
    assert report.extracted == ["a", "e"]
    assert {name for name, _ in report.failed} == {"text", "cut", "gone", "fileless"}
    assert "text.mp4" in dict(report.failed)["text"]
    assert FeatureStore(tmp_path / "s").names == ("a", "e")


def test_damage_in_the_middle_leaves_no_rows_behind(tmp_path, clip, monkeypatch, videos):
    clean = tmp_path / "clean"
    extract([videos[0], videos[2]], clip, clean, stride=1, pooling="mean", batch_size=4)

    def breaks_at_thirty(path):
        for i, frame in enumerate(real(path)):
            if path == videos[4].path and i == 30:
                raise MediaError(f"{path}: damaged at frame 30")
            yield frame

    real = lazy_frames
    monkeypatch.setattr("vadbench.features.decoding.lazy_frames", breaks_at_thirty)
    torn = tmp_path / "torn"
    order = [videos[0], videos[4], videos[2]]
    report = extract(order, clip, torn, stride=1, pooling="mean", batch_size=4, keep_going=True)
    assert [name for name, _ in report.failed] == ["e"]
    assert content(torn) == content(clean)


def test_an_encoder_that_gives_nan_is_an_error_naming_the_video(tmp_path, clip, monkeypatch, videos):
    monkeypatch.setattr(
        clip, "encode_images", lambda frames, arithmetic: torch.full((len(frames), clip.dim), torch.nan)
    )
    with pytest.raises(FeatureError, match=r"video 'a'.*NaN"):
        extract(videos, clip, tmp_path, stride=1, pooling="mean", batch_size=2)
    report = extract(videos, clip, tmp_path, stride=1, pooling="mean", batch_size=2, keep_going=True)
    assert len(report.failed) == len(videos)


def test_repeated_names_are_refused(tmp_path, clip, videos):
    with pytest.raises(DataError, match="more than once"):
        extract([videos[0], videos[0]], clip, tmp_path, stride=1, pooling="mean")


def test_progress_counts_up_to_the_end(tmp_path, clip, videos):
    seen = []
    extract(videos[:2], clip, tmp_path, stride=4, pooling="first", progress=lambda *args: seen.append(args))
    looking, stage = "looking for changed videos", "extracting features"
    assert [call[:3] for call in seen[:2]] == [(looking, 0, 2), (looking, 1, 2)]
    del seen[:2]
    assert [call[:3] for call in seen] == [(stage, 0, 2), (stage, 1, 2), (stage, 2, 2)]
    assert all(re.fullmatch(r"[1-9][\d,]* frames/s", call[3]) for call in seen[:-1])
    seen.clear()
    extract(videos[:3], clip, tmp_path, stride=4, pooling="first", progress=lambda *args: seen.append(args))
    assert [call[:3] for call in seen[3:]] == [(stage, 2, 3), (stage, 3, 3)]


def test_progress_moves_within_a_long_video(tmp_path, clip, videos):
    seen = []
    many = {"stride": 1, "pooling": "mean", "batch_size": 10}
    extract(videos[4:], clip, tmp_path, **many, progress=lambda *args: seen.append(args))
    assert [call[1] for call in seen if call[0] == "extracting features"] == [0] * 5 + [1]


# --- crops and arithmetic ------------------------------------------------------------------------------------------

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


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Landscape and portrait, with an odd and an even number of pixels to spare."""
    folder, noise, made = tmp_path_factory.mktemp("wide"), np.random.default_rng(1), []
    for i, (height, width) in enumerate([(36, 74), (36, 64), (90, 40)]):
        path = folder / f"{i}.mp4"
        write_video(path, noise.integers(0, 255, (7 + 6 * i, height, width, 3), np.uint8), fps=25)
        made.append(Video(path.stem, ("x",), path))
    return made


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
    monkeypatch.setattr("vadbench.features.decoding.lazy_frames", lambda path: (lambda: FRAME for _ in range(length)))
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

    monkeypatch.setattr("vadbench.features.encoders.write_all", full)
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
    extract(videos, clip, reduced, stride=1, pooling="mean", arithmetic=arithmetic)
    one, two = FeatureStore(exact), FeatureStore(reduced)
    assert (one.fingerprint.arithmetic, two.fingerprint.arithmetic) == ("fp32", arithmetic)
    for name in one.names:
        a, b = one.rows(name)[0], two.rows(name)[0]
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert cosine.min() > 0.999
        assert not np.array_equal(a, b)
        assert b.dtype == np.float32


# --- the decoding threads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crops", [1, 5])
def test_workers_change_neither_bytes_nor_order(tmp_path, clip, videos, wide, crops):
    several = [*videos, *wide]
    for workers in (1, 2, 5):
        extract(
            several, clip, tmp_path / str(workers), stride=2, pooling="mean", crops=CROPS[:crops], batch_size=6,
            workers=workers,
        )  # fmt: skip
    assert content(tmp_path / "1") == content(tmp_path / "2") == content(tmp_path / "5")


def numbered_decoder(monkeypatch, lengths, stride, pooling, batch_size, workers=1, preprocess=lambda frame: frame):
    """A decoder of made-up videos whose frames are their own number."""
    monkeypatch.setattr(
        "vadbench.features.decoding.lazy_frames",
        lambda length: (lambda i=i: np.full((1, 1, 3), i, np.uint8) for i in range(length)),
    )
    return Decoder(lengths, preprocess, stride, pooling, batch_size, workers)


def test_frames_stay_in_order_however_long_each_takes(monkeypatch):
    def slow(frame):
        time.sleep(0.004 if frame.max() % 3 == 0 else 0)
        return frame

    with numbered_decoder(monkeypatch, [40, 1, 25], 1, "mean", 7, workers=4, preprocess=slow) as decoder:
        for number, length in enumerate([40, 1, 25]):
            batches = [batch[:, 0, 0, 0].tolist() for batch in decoder.batches(number)]
            assert [i for batch in batches for i in batch] == list(range(length))
            assert [len(batch) for batch in batches[:-1]] == [7] * (len(batches) - 1)
            assert decoder.frames == length
        assert decoder.decoded == 66


def test_several_workers_prepare_at_the_same_time(monkeypatch):
    meeting = threading.Barrier(3, timeout=300)

    def together(frame):
        meeting.wait()
        return frame

    with numbered_decoder(monkeypatch, [6], 1, "mean", 6, workers=3, preprocess=together) as decoder:
        assert [len(batch) for batch in decoder.batches(0)] == [6]


@given(
    length=st.integers(1, 60),
    stride=st.integers(1, 20),
    pooling=st.sampled_from(["first", "middle", "mean"]),
    batch_size=st.integers(1, 9),
    workers=st.integers(1, 3),
)
def test_the_frames_chosen_are_those_the_rows_need(length, stride, pooling, batch_size, workers):
    pieces = [list(range(length))[start : start + stride] for start in range(0, length, stride)]
    chosen = {
        "first": [piece[0] for piece in pieces],
        "middle": [piece[len(piece) // 2] for piece in pieces],
        "mean": list(range(length)),
    }[pooling]
    with (
        pytest.MonkeyPatch.context() as patch,
        numbered_decoder(patch, [length], stride, pooling, batch_size, workers) as decoder,
    ):
        batches = [batch[:, 0, 0, 0].tolist() for batch in decoder.batches(0)]
        assert decoder.frames == length
    assert [number for batch in batches for number in batch] == chosen
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)


@pytest.mark.parametrize("workers", [1, 4])
def test_frames_are_decoded_only_a_little_ahead(monkeypatch, workers):
    made = []

    def frames(length):
        for i in range(length):
            made.append(i)
            yield lambda: np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr("vadbench.features.decoding.lazy_frames", frames)
    with Decoder([10_000], lambda frame: frame, 1, "mean", 8, workers) as decoder:
        next(decoder.batches(0))
        time.sleep(0.3)
        assert len(made) <= 8 * 4 + 2 * workers + 2
    assert not [t for t in threading.enumerate() if t.name.startswith("vadbench-decoder")]


def test_a_damaged_image_names_its_file_and_frame_though_a_worker_reads_it(tmp_path, clip, videos):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(9):
        Image.fromarray(np.full((40, 40), 20 * i, np.uint8)).save(folder / f"{i}.png")
    (folder / "6.png").write_bytes((folder / "6.png").read_bytes()[:40])
    both = [Video("images", ("x",), folder), videos[1]]
    wanted = {"stride": 1, "pooling": "mean", "crops": CROPS[:5], "workers": 3}
    with pytest.raises(MediaError, match=r"6\.png.*frame 6"):
        extract(both, clip, tmp_path / "s", **wanted)
    for present in ([], ["b"]):
        report = extract(both, clip, tmp_path / "s", **wanted, keep_going=True)
        assert report.present == present
        assert [name for name, _ in report.failed] == ["images"]
        assert re.search(r"6\.png.*frame 6", report.failed[0][1])
    assert FeatureStore(tmp_path / "s").names == ("b",)


def test_an_unexpected_error_in_a_worker_reaches_the_reader(monkeypatch):
    def fails(frame):
        raise RuntimeError("a defect")

    with (
        numbered_decoder(monkeypatch, [3], 1, "mean", 8, workers=2, preprocess=fails) as decoder,
        pytest.raises(RuntimeError, match="a defect"),
    ):
        list(decoder.batches(0))


def test_an_unexpected_error_in_the_thread_reaches_the_reader(monkeypatch):
    def fails(path):
        raise RuntimeError("a defect")
        yield

    monkeypatch.setattr("vadbench.features.decoding.lazy_frames", fails)
    with Decoder(["x"], lambda frame: frame, 1, "mean", 8) as decoder, pytest.raises(RuntimeError, match="a defect"):
        list(decoder.batches(0))


# --- being killed --------------------------------------------------------------------------------------------------

KILLER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from vadbench.clip import CROPS, ClipSource, load_clip
from vadbench.dataset import Video
from vadbench.features.encoders import FrameEncoder, clip_fingerprint
from vadbench.features.extraction import extract_features

weights, folder, whole, torn, crops, workers = sys.argv[1:]
whole, torn = Path(whole), Path(torn)
torch.set_num_threads(1)
clip = load_clip(ClipSource("", weights))
videos = [Video(p.stem, ("x",), p) for p in sorted(Path(folder).glob("*.mp4"))]

def start(store):
    process = os.fork()
    if not process:
        made = clip_fingerprint(clip, stride=2, pooling="mean", crops=CROPS[: int(crops)])
        extract_features(videos, FrameEncoder(clip, made, 4, int(workers)), store)
        os._exit(0)
    return process

def finish(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

began = time.monotonic()
assert finish(start(whole)) == 0
took = time.monotonic() - began
complete = (whole / "rows-0-of-1.bin").stat().st_size
moments = random.Random(0)
partial = set()
# How fast a machine is decides how many kills fall into an extraction: until there are enough, another one is killed.
while len(partial) < 5:
    store = torn / str(len(list(torn.iterdir())))
    for _ in range(40):
        process = start(store)
        time.sleep(moments.random() * took / 4)
        os.kill(process, signal.SIGKILL)
        code = finish(process)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        rows = store / "rows-0-of-1.bin"
        size = rows.stat().st_size if rows.exists() else 0
        partial |= {size} if 0 < size < complete else set()
    else:
        assert finish(start(store)) == 0
"""


@pytest.mark.parametrize(("crops", "workers"), [(1, 1), (5, 2)])
def test_killed_at_any_moment_it_resumes_to_the_same_bytes(tmp_path, weights, videos, crops, workers):
    folder, whole, torn = tmp_path / "videos", tmp_path / "whole", tmp_path / "torn"
    folder.mkdir()
    torn.mkdir()
    for i in range(30):
        (folder / f"{i:02}.mp4").write_bytes(videos[(0, 2, 4)[i % 3]].path.read_bytes())
    subprocess.run(
        [sys.executable, "-c", KILLER, str(weights), str(folder), str(whole), str(torn), str(crops), str(workers)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        timeout=1500,
    )
    for store in torn.iterdir():
        assert content(store) == content(whole)
        assert {p.name for p in store.iterdir()} == {p.name for p in whole.iterdir()}
        assert len(FeatureStore(store).names) == 30
