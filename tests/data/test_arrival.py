"""Gaps that are no damage: variable rates, recordings at events, junk behind a film, sound that lasts longer."""

import re

import av
import numpy as np
import pytest

from vadbench.base.errors import MediaError
from vadbench.data.media import declared_frames, shown_frames
from vadbench.data.soundness import length_note, length_notes, require_sound
from vadbench.dataset import Video
from video_kinds import COUNT, KINDS, RATE, Kind, bars, number_of, write

LIVE = Kind(".mkv", "libx264", {"g": "25"}, {"live": "1"})
FRAGMENTED = KINDS["mp4-h264-fragmented"]
AT_EVENTS = [t + 40 * i for t in (0, 9_000, 9_900, 60_000) for i in range(20)]
"""Milliseconds of four events, with gaps of seconds between them."""
DROPPED = [40 * i for i in np.flatnonzero(np.random.default_rng(0).random(160) < 0.5)]
"""Milliseconds of the frames that an encoder kept, about half of them."""


def read(path):
    found = [(number_of(frame()), seconds) for seconds, frame in shown_frames(path)]
    return [n for n, _ in found], [s for _, s in found]


@pytest.mark.parametrize("times", [AT_EVENTS, DROPPED], ids=["at events", "dropped"])
@pytest.mark.parametrize(
    "kind",
    [
        *(KINDS[name] for name in ("mp4-h264", "mp4-h264-faststart", "mp4-mpeg4", "mp4-hevc-fragmented")),
        *(KINDS[name] for name in ("mkv-h264", "mkv-ffv1", "webm-vp9", "flv", "flv-h264", "wmv", "ts")),
        FRAGMENTED,
        LIVE,
    ],
    ids=lambda kind: f"{kind.suffix}-{kind.codec}{'-' if kind.container else ''}{'-'.join(kind.container.values())}",
)
def test_a_whole_file_of_variable_rate_is_read(tmp_path, kind, times):
    path = write(tmp_path / f"a{kind.suffix}", kind, bars(len(times)), milliseconds=times)
    numbers, shown = read(path)
    assert numbers == list(range(len(times)))
    assert shown == pytest.approx([(t - times[0]) / 1000 for t in times], abs=2e-3)
    require_sound(path)


@pytest.mark.parametrize("kind", [LIVE, Kind(".webm", "libvpx-vp9", KINDS["webm-vp9"].options, {"live": "1"})])
def test_a_hole_is_found_in_a_live_recording_which_states_neither_sizes_nor_a_length(tmp_path, kind):
    path = write(tmp_path / f"a{kind.suffix}", kind, bars(COUNT))
    assert read(path)[0] == list(range(COUNT))
    assert "states no length: an early end cannot be seen" in length_note(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(2048) + content[len(content) // 2 + 2048 :])
    with pytest.raises(MediaError, match=r"damaged at frame \d+, \d+\.\d\d s"):
        read(path)


def test_live_recordings_may_be_joined(tmp_path):
    one, two = (write(tmp_path / f"{i}.mkv", LIVE, bars(30, 30 * i)) for i in range(2))
    path = tmp_path / "a.mkv"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    assert read(path)[0] == list(range(60))


def test_an_avi_whose_encoder_dropped_frames_has_empty_places_and_is_read(tmp_path):
    path = write(
        tmp_path / "a.avi", KINDS["avi-mpeg4"], bars(60), milliseconds=[40 * (i + 5 * (i // 20)) for i in range(60)]
    )
    assert read(path)[0] == list(range(60))
    assert declared_frames(path) > 60


@pytest.mark.parametrize("name", ["mp4-h264", "mp4-h264-faststart"])
@pytest.mark.parametrize("junk", [b"\0" * 3000, b"\0\0\1\0" * 7, b"abc"], ids=["zeros", "sizes", "three bytes"])
def test_junk_behind_a_film_of_variable_rate_is_no_damage(tmp_path, name, junk):
    path = write(tmp_path / "a.mp4", KINDS[name], bars(len(AT_EVENTS)), milliseconds=AT_EVENTS)
    path.write_bytes(path.read_bytes() + junk)
    assert read(path)[0] == list(range(len(AT_EVENTS)))


@pytest.mark.parametrize("name", ["mp4-h264", "mkv-h264", "flv-h264", "ts", "avi-mpeg4"])
def test_sound_that_lasts_longer_is_no_early_end(tmp_path, name):
    kind = KINDS[name]
    path = write(tmp_path / f"a{kind.suffix}", kind, bars(50), sound_seconds=6)
    assert read(path)[0] == list(range(50))


def test_a_flv_file_cut_between_frames_is_seen_by_its_stated_length(tmp_path):
    path = write(tmp_path / "a.flv", KINDS["flv"], bars(COUNT))
    content, at, tags = path.read_bytes(), 13, 0
    while tags < 80:
        at += 15 + int.from_bytes(content[at + 1 : at + 4], "big")
        tags += 1
    path.write_bytes(content[:at])
    with pytest.raises(MediaError, match=r"damaged at frame (\d+), .* and states 6\.0\d s"):
        read(path)


@pytest.mark.parametrize("name", ["mkv-h264", "webm-vp9", "avi-mjpeg", "wmv"])
def test_a_file_cut_between_its_parts_is_seen_by_its_stated_size(tmp_path, name):
    kind = KINDS[name]
    path = write(tmp_path / f"a{kind.suffix}", kind, bars(COUNT))
    with av.open(str(path)) as container:
        places = [p.pos for p in container.demux(video=0) if p.pos is not None and p.size]
    content = path.read_bytes()
    head = {".mkv": 0, ".webm": 0, ".avi": 8, ".wmv": 0}[kind.suffix]
    path.write_bytes(content[: places[100] - head])
    with pytest.raises(MediaError, match=r"damaged at frame \d+, "):
        read(path)


def test_the_clock_of_a_file_need_not_start_at_zero(tmp_path):
    for name in ("mkv-h264", "flv-h264", "ts", "mp4-h264-fragmented"):
        kind = KINDS[name]
        times = [100_000 + 40 * i for i in range(50)]
        path = write(tmp_path / f"a{kind.suffix}", kind, bars(50), milliseconds=times)
        numbers, shown = read(path)
        assert numbers == list(range(50)) and shown == pytest.approx([i / RATE for i in range(50)], abs=2e-3)


def test_a_fragmented_file_that_states_a_length_has_no_note(tmp_path):
    path = write(tmp_path / "a.mp4", FRAGMENTED, bars(50))
    assert length_note(path) is None
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"mfra") - 4])
    assert read(path)[0] == list(range(50))
    assert "fragmented mp4 file that states no length" in length_note(path)


def test_notes_name_one_video_and_count_the_others(tmp_path):
    paths = [write(tmp_path / f"{i}{KINDS[k].suffix}", KINDS[k], bars(3)) for i, k in enumerate(("ts", "mpg-mpeg2"))]
    paths.append(write(tmp_path / "2.mp4", KINDS["mp4-h264"], bars(3)))
    videos = [Video(path.stem, (), path) for path in paths]
    (note,) = length_notes(videos)
    assert re.search(r"'0' is .*mpegts.*states no length: an early end cannot be seen; 1 other videos alike", note)
    assert length_notes(videos) == [note] and length_notes(videos[2:]) == []
    assert length_notes([Video("gone", (), tmp_path / "gone.ts"), Video("none", ())]) == []
