"""Frames passed over in decoding: those that no other depends on, with all numbers kept and damage still found."""

from itertools import accumulate

import av
import numpy as np
import pytest
import torch
from av.video.frame import PictureType

from extraction import extract
from vadbench.base.errors import FeatureError, MediaError
from vadbench.clip import load_clip
from vadbench.data.media import lazy_frames, read_frames
from vadbench.data.reference_frames import reference_frames
from vadbench.dataset import Video
from vadbench.features.fingerprint import REFERENCE_ONLY, clip_fingerprint
from vadbench.features.store import FeatureStore

FRAMES = 50


def write(path, codec="libx264", **options):
    """A video whose frames differ from each other, as noise that moves."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(FRAMES):
            frame = np.roll(noise // 2 + 2 * i, (i, 2 * i), (0, 1)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def with_b_frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("b")
    options = {"bf": "3", "b_strategy": "0", "x264-params": "b-pyramid=none:keyint=20"}
    return {kind: write(folder / f"b.{kind}", **options) for kind in ("mp4", "mkv")}


@pytest.fixture(scope="module")
def small_clip():
    return load_clip()


def to_images(frame):
    return torch.from_numpy(frame).permute(2, 0, 1)[None]


def nearest(path):
    """For each frame the last one up to it that is not of type B: without a pyramid, nothing depends on one that is."""
    with av.open(str(path)) as container:
        skipped = [frame.pict_type == PictureType.B for frame in container.decode(video=0)]
    assert sum(skipped) > len(skipped) // 2
    return list(accumulate(range(len(skipped)), lambda last, i: last if skipped[i] else i))


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
@pytest.mark.parametrize("codec_threads", [1, None])
def test_a_frame_that_is_passed_over_is_the_nearest_other_before_it(with_b_frames, kind, codec_threads):
    path = with_b_frames[kind]
    every, shown = list(read_frames(path)), nearest(path)
    found = [read() for read in reference_frames(path, codec_threads)]
    assert len(found) == len(every) == FRAMES
    for frame, number in zip(found, shown, strict=True):
        np.testing.assert_array_equal(frame, every[number])


def test_a_video_without_such_frames_is_read_whole(tmp_path):
    path = write(tmp_path / "p.mp4", bf="0")
    for one, other in zip(reference_frames(path), lazy_frames(path), strict=True):
        np.testing.assert_array_equal(one(), other())


def test_times_that_are_not_stated_are_refused(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(write(tmp_path / "b.mp4", bf="2"))) as source, av.open(str(path), "w", format="h264") as bare:
        stream = bare.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                bare.mux(packet)
    with pytest.raises(MediaError, match=r"a\.mp4: which frames would be passed over cannot be told.*without --skip"):
        list(reference_frames(path))


def test_frames_that_are_lost_are_still_damage(with_b_frames, tmp_path):
    whole = with_b_frames["mkv"].read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    torn = tmp_path / "torn.mkv"
    torn.write_bytes(whole[: len(whole) // 3] + bytes(3000) + whole[len(whole) // 3 + 3000 :])
    for path in (cut, torn):
        for read in (lazy_frames, reference_frames):
            with pytest.raises(MediaError, match="damaged"):
                list(read(path))


@pytest.mark.parametrize("pooling", ["first", "middle"])
def test_rows_are_of_the_frames_that_were_decoded(with_b_frames, small_clip, tmp_path, pooling):
    path = with_b_frames["mp4"]
    made = {"stride": 7, "pooling": pooling, "reference_only": True}
    for jobs in (0, 1) if pooling == "middle" else (0,):
        report = extract([Video("b", ("x",), path)], small_clip, tmp_path / str(jobs), **made, jobs=jobs)
        assert (report.frames, report.failed, report.mismatches) == (FRAMES, [], [])
    store = FeatureStore(tmp_path / "0")
    assert store.fingerprint.decoder == REFERENCE_ONLY
    if pooling == "middle":
        np.testing.assert_array_equal(store.rows("b"), FeatureStore(tmp_path / "1").rows("b"))
    frames, expected = [read() for read in reference_frames(path)], []
    for start in range(0, FRAMES, 7):
        length = min(7, FRAMES - start)
        frame = frames[start + (length // 2 if pooling == "middle" else 0)]
        expected.append(small_clip.encode_images(small_clip.preprocess(to_images(frame)))[0].numpy())
    np.testing.assert_allclose(store.rows("b")[0], expected, rtol=1e-4, atol=1e-5)


def test_means_of_frames_that_are_passed_over_are_refused(small_clip, with_b_frames, tmp_path):
    for stride in (1, 4):
        with pytest.raises(FeatureError, match=r"need those that --skip passes over.*found mean"):
            extract([], small_clip, tmp_path / "s", stride=stride, pooling="mean", reference_only=True)
    with pytest.raises(FeatureError, match="need those that --skip passes over"):
        extract([], small_clip, tmp_path / "s", stride=1, pooling="first", reference_only=True)


def test_fingerprints_differ_where_frames_are_passed_over_alone(small_clip):
    made = {"stride": 4, "pooling": "first"}
    usual, skipping = (clip_fingerprint(small_clip, **made, reference_only=only) for only in (False, True))
    assert usual == clip_fingerprint(small_clip, **made)
    assert usual.digest != skipping.digest
    assert usual.family != skipping.family
    assert skipping.differences(usual) == ["decoder: pyav, reference frames only here, pyav there"]
