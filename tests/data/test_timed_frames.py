"""Frames as a method is given them: numbered, timed, decoded anew at every call, and never fewer than there are."""

import json
import math
import pickle

import numpy as np
import pytest
from PIL import Image

from vadbench.base.errors import MediaError, PluginError
from vadbench.data import timed_frames
from vadbench.data.media import read_frames, source_id
from vadbench.data.timed_frames import FrameCounts, FrameDecoder, VideoExtent, stated_rates
from vadbench.dataset import Video
from vadbench.inputs import VideoInput
from watch_media import encode, numbered

COUNT = 30


def video(path, stride=4, first_row=0, rows=None, count=COUNT):
    """A video as a method is given it, of all its rows or some of them."""
    return VideoInput(
        name="a",
        row_count=math.ceil(count / stride) - first_row if rows is None else rows,
        stride=stride,
        frame_count=count,
        first_row=first_row,
        decode=FrameDecoder(path, VideoExtent(count, 25.0)),
    )


@pytest.fixture(params=["a.mp4", "a.webm", "folder"])
def clip(request, tmp_path):
    if request.param != "folder":
        codec = "libvpx-vp9" if request.param == "a.webm" else "libx264"
        return encode(tmp_path / request.param, numbered(COUNT), codec)
    folder = tmp_path / "folder"
    folder.mkdir()
    for i, frame in enumerate(numbered(COUNT)):
        Image.fromarray(frame).save(folder / f"{i + 1}.png")
    return folder


def test_frames_are_numbered_and_are_those_that_extraction_reads(clip):
    read = list(read_frames(clip))
    for every in (1, 2, 7, 100):
        found = list(video(clip).frames(every))
        assert [f.number for f in found] == list(range(0, COUNT, every))
        assert all(np.array_equal(f.picture, read[f.number]) for f in found)
        assert all(f.picture.dtype == np.uint8 for f in found)


def test_a_window_has_the_frames_of_its_rows(clip):
    assert [f.number for f in video(clip, first_row=2, rows=3).frames(2)] == [8, 10, 12, 14, 16, 18]
    assert [f.number for f in video(clip, first_row=6).frames()] == list(range(24, COUNT))


def test_times_are_those_of_the_container_from_the_first_frame_on(tmp_path):
    times = [0, 40, 80, 500, 540, 2000, 2033, 2066, 5000, 5100]
    path = encode(tmp_path / "a.mkv", numbered(10), milliseconds=[t + 700 for t in times])
    found = [f.seconds for f in video(path, count=10).frames()]
    assert found == pytest.approx([t / 1000 for t in times], abs=2e-3)


def test_images_are_shown_at_the_frame_rate_that_is_known_or_at_no_time(tmp_path):
    for i, frame in enumerate(numbered(3)):
        Image.fromarray(frame).save(tmp_path / f"{i}.png")
    timed, untimed = (list(FrameDecoder(tmp_path, VideoExtent(3, rate))(0, 1)) for rate in (10.0, None))
    assert [f.seconds for f in timed] == pytest.approx([0, 0.1, 0.2])
    assert all(math.isnan(f.seconds) for f in untimed)


def test_every_call_decodes_anew_and_an_abandoned_pass_is_closed(clip, monkeypatch):
    opened = []
    read = timed_frames.shown_frames

    def watched(path):
        opened.append(True)
        try:
            yield from read(path)
        finally:
            opened.pop()

    monkeypatch.setattr(timed_frames, "shown_frames", watched)
    given = video(clip)
    for _ in range(2):
        assert len(list(given.frames())) == COUNT
        assert not opened
    next(given.frames())
    assert not opened
    held = given.frames()
    next(held)
    assert opened
    assert len(list(given.frames())) == COUNT
    assert not opened
    with pytest.raises(PluginError, match="asked for again before the pass at frame 0 had ended"):
        next(held)


def test_a_pickled_video_can_be_decoded(clip):
    given = video(clip)
    going = given.frames()
    next(going)
    copy = pickle.loads(pickle.dumps(given))
    assert [f.number for f in copy.frames(10)] == [0, 10, 20]


def test_a_video_that_ends_early_is_damaged(clip):
    with pytest.raises(MediaError, match=rf"{clip.name}.*frame 29.*has 33 frames"):
        list(video(clip, count=33).frames())
    # Rows before the end need not know.
    assert len(list(video(clip, count=33, rows=4).frames())) == 16


def test_damage_names_the_file_and_the_frame(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (COUNT, 48, 64, 3), dtype=np.uint8)
    path = encode(tmp_path / "a.mp4", noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 4) + whole[3 * len(whole) // 4 :])
    with pytest.raises(MediaError, match=r"a\.mp4: damaged at frame \d+"):
        list(video(path).frames())
    with pytest.raises(MediaError, match=r"a\.mp4: damaged at frame \d+"):
        FrameCounts(tmp_path / "counts.jsonl").extent(path)


def test_a_step_below_one_is_refused(clip):
    with pytest.raises(PluginError, match="found 0"):
        next(video(clip).frames(0))


def test_a_method_without_frames_is_told_how_to_ask_for_them():
    without = VideoInput(name="a", row_count=1, stride=1, frame_count=1)
    with pytest.raises(PluginError, match="frames=True"):
        next(without.frames())


def test_frames_are_counted_by_decoding_once(clip, tmp_path, monkeypatch):
    file = tmp_path / "counts.jsonl"
    found = FrameCounts(file).extent(clip)
    assert found.frames == COUNT
    assert found.rate == (None if clip.is_dir() else 25.0)
    monkeypatch.setattr(timed_frames, "lazy_frames", None)
    assert FrameCounts(file).extent(clip) == found


def test_another_file_under_the_same_name_is_counted_again(tmp_path):
    path, file = tmp_path / "a.mp4", tmp_path / "counts.jsonl"
    for count in (10, 20):
        encode(path, numbered(count))
        assert FrameCounts(file).extent(path).frames == count


def rates_of(*paths):
    return stated_rates(Video(str(i), ("Normal",), path) for i, path in enumerate(paths))


def test_rates_are_those_that_containers_state(clip, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    found = rates_of(clip, None, tmp_path / "absent.mp4", broken)
    assert found == ({} if clip.is_dir() else {"0": 25.0})


def test_a_container_is_opened_once_until_its_file_changes(tmp_path, monkeypatch):
    path, opened, real = tmp_path / "a.mp4", [], timed_frames.frame_rate
    monkeypatch.setattr(timed_frames, "frame_rate", lambda path: opened.append(path) or real(path))
    monkeypatch.setattr("vadbench.base.files.SETTLED_NS", 0)
    encode(path, numbered(10))
    for _ in range(2):
        timed_frames._remembered.cache_clear()  # as in another process
        assert rates_of(path) == {"0": 25.0}
    assert len(opened) == 1
    encode(path, numbered(20))
    assert rates_of(path) == {"0": 25.0} and len(opened) == 2


def test_a_cache_that_cannot_be_written_costs_time_alone(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("in its place is a file")
    monkeypatch.setenv("VADBENCH_CACHE", str(tmp_path / "cache"))
    path = encode(tmp_path / "a.mp4", numbered(10))
    assert rates_of(path) == {"0": 25.0}


def test_counts_made_before_lost_frames_were_noticed_are_made_again(tmp_path):
    path, counted = encode(tmp_path / "a.mp4", numbered(COUNT)), tmp_path / "frame_counts.jsonl"
    counted.write_text(json.dumps([source_id(path), "", "29 25.0"]) + "\n")
    assert FrameCounts(counted).extent(path) == VideoExtent(COUNT, 25.0)
    assert len(counted.read_text().splitlines()) == 2
    assert FrameCounts(counted).extent(path) == VideoExtent(COUNT, 25.0)
    assert len(counted.read_text().splitlines()) == 2, "they are remembered"
