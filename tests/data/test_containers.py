"""The stream that is read, and what a container states of it."""

import subprocess
import sys
from pathlib import Path

import av
import pytest

from odd_containers import copy_streams, jpeg, with_cover
from vadbench.base.errors import MediaError
from vadbench.data.media import declared_frames, frame_rate, read_frames
from video_kinds import KINDS, bars, number_of, write

MP4 = KINDS["mp4-h264"]


def test_cover_art_before_the_video_is_not_read(tmp_path):
    path = with_cover(write(tmp_path / "a.mp4", MP4, bars(50)))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2 and container.streams.video[0].codec_context.name == "mjpeg"
    assert [number_of(f) for f in read_frames(path)] == list(range(50))
    assert declared_frames(path) == 50 and frame_rate(path) == 25


def test_an_attached_picture_in_matroska_is_not_read(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 80, 48, "yuv420p"
        out.add_attachment("cover.jpg", "image/jpeg", jpeg())
        for frame in bars(20):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    assert [number_of(f) for f in read_frames(path)] == list(range(20))


def test_attached_pictures_alone_are_no_video(tmp_path):
    path = with_cover(write(tmp_path / "a.mp4", MP4, bars(3)))
    content = path.read_bytes().replace(b"trak", b"skip")
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"a\.mp4: expected a video stream, found attached pictures only \(0: mjpeg"):
        list(read_frames(path))


def test_several_videos_in_one_file_are_listed(tmp_path):
    front, rear = (write(tmp_path / f"{i}.mp4", MP4, bars(n)) for i, n in enumerate((30, 20)))
    both = copy_streams(tmp_path / "both.mp4", front, rear)
    for use in (lambda: list(read_frames(both)), lambda: declared_frames(both), lambda: frame_rate(both)):
        with pytest.raises(MediaError) as found:
            use()
        text = str(found.value)
        assert "both.mp4: expected one video stream, found 2" in text and "\n" not in text
        assert "0: h264 80 x 48 of 30 frames" in text and "1: h264 80 x 48 of 20 frames" in text


def test_a_single_frame_beside_a_video_is_a_thumbnail(tmp_path):
    still, film = (write(tmp_path / f"{i}.mp4", MP4, bars(n)) for i, n in enumerate((1, 20)))
    both = copy_streams(tmp_path / "both.mp4", still, film)
    assert [number_of(f) for f in read_frames(both)] == list(range(20))


def test_frames_that_an_edit_list_cuts_are_not_counted(tmp_path):
    source, path = write(tmp_path / "whole.mp4", MP4, bars(60)), tmp_path / "cut.mp4"
    with av.open(str(source)) as whole, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(whole.streams.video[0])
        shift = round(7 / 25 / whole.streams.video[0].time_base)
        first = None
        for packet in whole.demux(video=0):
            if packet.dts is not None:
                first = packet.pts if first is None else first
                packet.pts, packet.dts, packet.stream = (
                    packet.pts - first - shift,
                    packet.dts - first - shift,
                    stream,
                )
                out.mux(packet)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 60
    numbers = [number_of(f) for f in read_frames(path)]
    assert numbers == list(range(7, 60)) and declared_frames(path) == 53
    assert declared_frames(source) == 60


def test_a_relative_path_with_a_colon_is_a_file(tmp_path, monkeypatch):
    write(tmp_path / "10:15:00.mp4", MP4, bars(4))
    monkeypatch.chdir(tmp_path)
    assert len(list(read_frames(Path("10:15:00.mp4")))) == 4
    with pytest.raises(MediaError, match=r"^10:16\.mp4: no such video"):
        list(read_frames(Path("10:16.mp4")))


def test_messages_of_decoders_do_not_pass_through_the_interpreter(tmp_path):
    """A decoder's thread would wait for its lock, and what frees the decoder with the lock for that thread."""
    path = write(tmp_path / "damaged.mp4", MP4, bars(50))
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data) * 2 // 3, 31):
        data[place] ^= 255
    path.write_bytes(data)
    code = """
import sys, av, av.logging, vadbench.data.containers
av.logging.set_level(av.logging.ERROR)  # as torchvision does on import up to version 0.25
if sys.argv[2:]: av.logging.set_libav_level(av.logging.ERROR)
try:
    for _ in av.open(sys.argv[1]).decode(video=0): pass
except av.error.FFmpegError: pass
"""
    quiet, loud = (
        subprocess.run([sys.executable, "-c", code, path, *level], capture_output=True, text=True, check=True)
        for level in ([], ["error"])
    )
    assert not quiet.stderr and "h264" in loud.stderr, "printed by FFmpeg's own callback"
