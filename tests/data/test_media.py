"""Decoding: every frame, in order, or an error that names the file and the frame."""

import errno
import os
import re
import time

import av
import numpy as np
import pytest
from PIL import Image

from vadbench.base import files
from vadbench.base.errors import MediaError, StorageError
from vadbench.data import media
from vadbench.data.image_folders import list_images
from vadbench.data.media import declared_frames, lazy_frames, read_frames, source_id, to_rgb, write_video

WIDTH, HEIGHT = 64, 48


def numbered(count):
    """Frames that carry their own number as brightness, so that a lost or swapped one shows."""
    return [np.full((HEIGHT, WIDTH, 3), 10 + 5 * i, np.uint8) for i in range(count)]


def numbers(frames):
    return [round((float(frame.mean()) - 10) / 5) for frame in frames]


def encode(path, codec, frames, pixels="yuv420p"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, pixels, 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def moving_video(tmp_path):
    y, x = np.mgrid[:120, :160]
    path = tmp_path / "moving.mp4"
    pictures = (
        np.stack([x * 3 + t * 4, y * 2 + t * 3, ((x - 80 + t) ** 2 + (y - 60) ** 2) // 8], -1) for t in range(90)
    )
    write_video(path, ((picture % 256).astype(np.uint8) for picture in pictures), fps=25)
    return path


def damage(data, seed):
    """Overwrite 400 bytes somewhere in the second quarter of a file."""
    random = np.random.default_rng(seed)
    start = int(random.integers(len(data) // 4, len(data) // 2))
    return data[:start] + random.bytes(400) + data[start + 400 :]


@pytest.mark.parametrize(
    ("name", "codec", "declares"),
    [
        ("a.mp4", "libx264", True),  # x264 reorders frames (B-frames)
        ("a.avi", "mpeg4", True),
        ("a.webm", "libvpx-vp9", False),
        ("a.mkv", "libx264", False),
        ("a.mov", "libx264", True),
    ],
)
def test_every_frame_in_presentation_order(tmp_path, name, codec, declares):
    path = tmp_path / name
    encode(path, codec, numbered(40))
    frames = list(read_frames(path))
    assert numbers(frames) == list(range(40))
    assert {frame.shape for frame in frames} == {(HEIGHT, WIDTH, 3)}
    assert {frame.dtype for frame in frames} == {np.dtype(np.uint8)}
    assert declared_frames(path) == (40 if declares else None)


@pytest.mark.parametrize("codec_threads", [1, 2, None])
def test_threads_of_the_codec_change_no_frame(test_data, codec_threads):
    for path in sorted((test_data / "videos").glob("*_x264_*.mp4")):
        with av.open(str(path)) as container:
            every = (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))
            for read, frame in zip(lazy_frames(path, codec_threads=codec_threads), every, strict=True):
                np.testing.assert_array_equal(read(), frame)


@pytest.mark.parametrize("size", [(48, 64), (37, 41), (50, 70)])
def test_frames_of_every_kind_become_what_their_own_conversion_makes(size):
    """One converter for all of them, whatever it converted before; the rows of some are padded in memory."""
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    made = av.VideoFrame.from_ndarray(noise, format="rgb24")
    for kind in ("yuv420p", "yuv444p", "gray", "rgb24", "yuv422p10le", "yuv420p", "yuvj420p", "nv12", "rgba"):
        frame = made.reformat(format=kind)
        found = to_rgb(frame)
        np.testing.assert_array_equal(found, frame.to_ndarray(format="rgb24"))
        assert found.flags.writeable
        if kind != "rgb24":
            # What is done to it changes no frame that the decoder may still need.
            found[:] = 0
            np.testing.assert_array_equal(to_rgb(frame), frame.to_ndarray(format="rgb24"))


def test_channels_are_red_green_blue(tmp_path):
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[..., 0] = 255
    path = tmp_path / "red.mp4"
    write_video(path, [red] * 3, fps=25, crf=0)
    channels = next(read_frames(path)).mean((0, 1))
    assert channels[0] > 240
    assert channels[1:].max() < 15


def test_real_clips_decode_to_their_declared_count(test_data):
    clips = sorted((test_data / "videos").glob("*.mp4"))
    assert clips
    for clip in clips:
        assert sum(1 for _ in read_frames(clip)) == declared_frames(clip), clip.name


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".JPG"])
def test_a_folder_of_images_is_read_in_natural_order(tmp_path, suffix):
    for i, frame in enumerate(numbered(12)):
        Image.fromarray(frame).save(tmp_path / f"{i + 1}{suffix}")
    (tmp_path / "._1.png").write_bytes(b"not an image")
    (tmp_path / "notes.txt").write_text("not an image")
    assert numbers(read_frames(tmp_path)) == list(range(12))
    assert declared_frames(tmp_path) == 12


def test_grey_images_become_three_equal_channels(tmp_path):
    Image.fromarray(np.full((HEIGHT, WIDTH), 77, np.uint8)).save(tmp_path / "1.tif")
    (frame,) = read_frames(tmp_path)
    assert frame.shape == (HEIGHT, WIDTH, 3)
    assert (frame == 77).all()


def test_deep_images_are_refused_rather_than_clipped(tmp_path):
    Image.fromarray(np.full((HEIGHT, WIDTH), 40000, np.uint16)).save(tmp_path / "1.png")
    with pytest.raises(MediaError, match="8 bits a channel"):
        list(read_frames(tmp_path))


def test_a_damaged_image_is_named_with_its_frame(tmp_path):
    for i, frame in enumerate(numbered(3)):
        Image.fromarray(frame).save(tmp_path / f"{i}.png")
    damaged = tmp_path / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    with pytest.raises(MediaError, match=r"1\.png.*frame 1"):
        list(read_frames(tmp_path))


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(MediaError, match="found none"):
        list_images(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello\n" * 2000, bytes(5000)])
def test_what_is_no_video_is_an_error_naming_the_file(tmp_path, content):
    path = tmp_path / "renamed.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"renamed\.mp4"):
        list(read_frames(path))
    with pytest.raises(MediaError, match=r"renamed\.mp4"):
        declared_frames(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(MediaError, match="no such video"):
        list(read_frames(tmp_path / "gone.mp4"))
    with pytest.raises(MediaError, match=r"gone\.mp4"):
        source_id(tmp_path / "gone.mp4")


def test_sound_alone_is_an_error(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for _ in range(4):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.sample_rate = 16000
            container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(MediaError, match="expected a video stream"):
        list(read_frames(path))


def test_a_stream_without_frames_is_an_error(tmp_path):
    path = tmp_path / "empty.avi"
    encode(path, "mpeg4", [])
    with pytest.raises(MediaError):
        list(read_frames(path))


def test_damage_is_an_error_naming_the_frame_and_never_loses_a_frame_silently(moving_video):
    whole = moving_video.read_bytes()
    errors = []
    for seed in range(12):
        moving_video.write_bytes(damage(whole, seed))
        try:
            # Some damage decodes as another picture without the decoder noticing; the count must hold even then.
            assert sum(1 for _ in read_frames(moving_video)) == 90
        except MediaError as error:
            errors.append(str(error))
    assert len(errors) >= 6
    assert all(re.search(r"moving\.mp4: damaged at frame \d+", error) for error in errors)


def test_damage_in_real_clips_is_noticed(test_data, tmp_path):
    for clip in sorted((test_data / "videos").glob("*.mp4")):
        damaged = tmp_path / "clip.mp4"
        damaged.write_bytes(damage(clip.read_bytes(), seed=0))
        with pytest.raises(MediaError, match=r"damaged at frame \d+"):
            list(read_frames(damaged))


def test_a_truncated_mp4_is_an_error(moving_video):
    moving_video.write_bytes(moving_video.read_bytes()[: moving_video.stat().st_size // 2])
    with pytest.raises(MediaError, match=r"moving\.mp4"):
        list(read_frames(moving_video))


def test_an_avi_cut_between_frames_is_an_error_after_the_last(tmp_path):
    path = tmp_path / "cut.avi"
    encode(path, "mjpeg", numbered(20), pixels="yuvj420p")
    with av.open(str(path)) as container:
        positions = [packet.pos for packet in container.demux(video=0) if packet.pos is not None]
    path.write_bytes(path.read_bytes()[: positions[7] - 8])
    frames = read_frames(path)
    assert [numbers([next(frames)])[0] for _ in range(7)] == list(range(7))
    with pytest.raises(MediaError, match=r"cut\.avi: damaged at frame 7, 0\.28 s \(7 of 20 stated frames came"):
        next(frames)
    assert declared_frames(path) == 20


def test_an_avi_cut_within_a_frame_is_an_error(tmp_path):
    path = tmp_path / "cut.avi"
    encode(path, "rawvideo", numbered(20))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match=r"cut\.avi: damaged at frame 9"):
        list(read_frames(path))


def test_writing_is_deterministic_and_counts_frames(tmp_path):
    one, two = tmp_path / "1.mp4", tmp_path / "2.mp4"
    assert write_video(one, numbered(9), fps=25) == 9
    assert write_video(two, numbered(9), fps=25) == 9
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "at least one frame"),
        ([*numbered(1), np.zeros((HEIGHT, WIDTH + 2, 3), np.uint8)], "frame 1"),
        ([np.zeros((HEIGHT + 1, WIDTH, 3), np.uint8)], "even"),
    ],
)
def test_a_failed_write_leaves_nothing_behind(tmp_path, frames, reason):
    path = tmp_path / "a.mp4"
    with pytest.raises(MediaError, match=reason):
        write_video(path, frames, fps=25)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, numbered(3), fps=25)
    before = path.read_bytes()

    def breaks():
        yield from numbered(2)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_video(path, breaks(), fps=25)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_storage_error(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(media.os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        write_video(tmp_path / "a.mp4", numbered(3), fps=25)
    assert list(tmp_path.iterdir()) == []


def test_source_id_sees_every_byte(tmp_path):
    path = tmp_path / "a.mp4"
    content = bytearray(np.random.default_rng(0).bytes(300_000))
    path.write_bytes(content)
    seen = {source_id(path)}
    assert source_id(path) in seen
    middle = content[:150_000] + b"x" + content[150_001:]
    for changed in (b"x" + content[1:], content[:-1] + b"x", content + b"x", middle):
        path.write_bytes(changed)
        assert source_id(path) not in seen
        seen.add(source_id(path))


def test_source_id_of_a_folder_follows_its_images(tmp_path):
    (tmp_path / "1.png").write_bytes(b"12")
    first = source_id(tmp_path)
    (tmp_path / "notes.txt").write_bytes(b"1")
    assert source_id(tmp_path) == first
    (tmp_path / "2.png").write_bytes(b"1")
    second = source_id(tmp_path)
    (tmp_path / "2.png").write_bytes(b"12")
    assert len({first, second, source_id(tmp_path)}) == 3


def keep_times(path, content):
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("settled", [0, files.SETTLED_NS])
def test_a_change_of_the_same_size_and_time_is_seen(tmp_path, monkeypatch, settled):
    monkeypatch.setattr(files, "SETTLED_NS", settled)
    video, folder = tmp_path / "a.mp4", tmp_path / "frames"
    folder.mkdir()
    video.write_bytes(bytes(300_000))
    for t in range(40):
        (folder / f"{t:03d}.png").write_bytes(bytes([t]))
    before = source_id(video), source_id(folder)
    time.sleep(0.02)  # the times of a file move on in steps of some milliseconds
    keep_times(video, bytes(150_000) + b"x" + bytes(149_999))
    keep_times(folder / "013.png", b"x")
    assert source_id(video) != before[0] and source_id(folder) != before[1]


def test_a_file_is_read_once_and_remembered_for_other_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SETTLED_NS", 0)
    video = tmp_path / "a.mp4"
    video.write_bytes(b"content")
    found = source_id(video)
    media._remembered.cache_clear()

    def refuse(*_):
        raise AssertionError("the file was read again")

    monkeypatch.setattr(media.hashlib, "file_digest", refuse)
    assert source_id(video) == found
    monkeypatch.undo()
    copy = tmp_path / "b.mp4"
    copy.write_bytes(b"content")
    assert source_id(copy) == found, "content alone makes the id"


def test_a_cache_that_cannot_be_written_costs_no_id(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VADBENCH_CACHE", str(tmp_path / "file"))
    (tmp_path / "a.mp4").write_bytes(b"content")
    assert source_id(tmp_path / "a.mp4") == source_id(tmp_path / "a.mp4")


def test_folders_of_equal_sized_frames_have_ids_of_their_own(tmp_path):
    ids = set()
    for name, value in (("a", 1), ("b", 2), ("c", 1)):
        (tmp_path / name).mkdir()
        for t in range(30):
            Image.fromarray(np.full((8, 8), value + t, np.uint8)).save(tmp_path / name / f"{t:03d}.bmp")
        ids.add(source_id(tmp_path / name))
    assert len(ids) == 2
