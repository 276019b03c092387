"""Frames of one's own videos: all of them, upright, with their times, and a line where something is wrong."""

import threading
import urllib.request
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from vadbench.base.errors import MediaError
from vadbench.data.media import read_frames
from vadbench.watch.connection import _request
from vadbench.watch.reader import Reader
from vadbench.watch.sources import find_sources
from watch_media import HEIGHT, WIDTH, encode, grow, noise, numbered, server, sound, turn


def reader(place, **options):
    (source,) = find_sources([str(place)])
    return Reader(source, **options)


def read(place, **options):
    return [(p.time, p.until, p.read()) for p in reader(place, **options)]


def until_it_breaks(place, **options):
    """Pictures before the error, and the error."""
    pictures = []
    with pytest.raises(MediaError) as error:
        for picture in reader(place, **options):
            pictures.append(picture)
    assert "\n" not in str(error.value)
    return pictures, str(error.value)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.webm"])
def test_frames_are_those_of_the_harness_and_times_those_of_the_container(tmp_path, name):
    path = encode(tmp_path / name, numbered(30), {"avi": "mpeg4", "webm": "libvpx-vp9"}.get(name[2:], "libx264"))
    found = read(path)
    assert np.array_equal([f for _, _, f in found], list(read_frames(path)))
    assert [t for t, _, _ in found] == pytest.approx([i / 25 for i in range(30)], abs=1e-3)
    assert [u for _, u, _ in found] == pytest.approx([(i + 1) / 25 for i in range(30)], abs=1e-3)


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17])
def test_short_videos(tmp_path, count):
    assert len(read(encode(tmp_path / "a.mp4", numbered(count)))) == count


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_variable_frame_rate_keeps_its_times(tmp_path, name):
    times = [0, 40, 80, 500, 540, 2000, 2033, 2066, 5000, 5100]
    found = read(encode(tmp_path / name, numbered(10), milliseconds=[t + 700 for t in times]))
    assert [t for t, _, _ in found] == pytest.approx([t / 1000 for t in times], abs=2e-3)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_turned_phone_is_shown_upright(tmp_path, degrees):
    corner = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    corner[: HEIGHT // 2, : WIDTH // 2] = 255
    path = encode(tmp_path / "phone.mp4", [corner] * 3)
    turn(path, degrees)
    frame = read(path)[0][2]
    assert frame.shape == ((HEIGHT, WIDTH, 3) if degrees % 180 == 0 else (WIDTH, HEIGHT, 3))
    assert frame.flags.c_contiguous
    height, width = frame.shape[0] // 2, frame.shape[1] // 2
    quarters = {"top left": (0, 0), "top right": (0, 1), "bottom right": (1, 1), "bottom left": (1, 0)}
    means = {k: frame[y * height :, x * width :][:height, :width].mean() for k, (y, x) in quarters.items()}
    assert max(means, key=means.get) == list(quarters)[degrees // 90]
    # The harness reads data sets as they lie, which is how they were published.
    assert next(read_frames(path)).shape == (HEIGHT, WIDTH, 3)


def test_a_folder_of_frames_has_the_rate_that_is_said(tmp_path):
    for i, frame in enumerate(numbered(5)):
        Image.fromarray(frame).save(tmp_path / f"{i}.png")
    assert [t for t, _, _ in read(tmp_path, fps=10)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_photos_are_shown_as_the_camera_was_held(tmp_path):
    corner = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    corner[: HEIGHT // 2, : WIDTH // 2] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it a quarter clockwise to see it upright
    for i in range(3):
        Image.fromarray(corner).save(tmp_path / f"{i}.jpg", exif=exif, quality=100, subsampling=0)
    frames = [frame for _, _, frame in read(tmp_path)]
    assert [frame.shape for frame in frames] == [(WIDTH, HEIGHT, 3)] * 3
    white = frames[0][..., 0] > 128
    assert white[: WIDTH // 2, HEIGHT // 2 :].all() and white.sum() == WIDTH * HEIGHT // 4
    assert next(read_frames(tmp_path)).shape == (HEIGHT, WIDTH, 3), "data sets are read as they lie"


def test_images_that_do_not_count_are_noted(tmp_path):
    for i in (0, 16, 32):
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(tmp_path / f"{i}.png")
    found = reader(tmp_path)
    assert [round(float(p.read().mean())) for p in found] == [0, 16, 32]
    assert found.unseen_end is not None and "0.png, 16.png, 32.png" in found.unseen_end


def test_real_clips(test_data):
    for clip in sorted((test_data / "videos").glob("*.mp4")):
        r = reader(clip)
        pictures = list(r)
        assert len(pictures) == r.declared
        assert all(a.time < b.time for a, b in pairwise(pictures))


@pytest.mark.parametrize("content", [b"", b"hello\n" * 2000, bytes(5000)])
def test_what_is_no_video_is_named(tmp_path, content):
    (tmp_path / "text.mp4").write_bytes(content)
    assert "text.mp4: not a readable video" in until_it_breaks(tmp_path / "text.mp4")[1]


def test_sound_alone_is_named(tmp_path):
    assert "expected a video stream, found none" in until_it_breaks(sound(tmp_path / "sound.mp4"))[1]


def test_a_playlist_on_disk_cannot_fetch_from_a_network(tmp_path):
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}/a.ts\n#EXT-X-ENDLIST\n"
    with server(encode(tmp_path / "a.ts", numbered(5)).read_bytes()) as (address, requests):
        (tmp_path / "list.m3u8").write_text(playlist.format(address))
        until_it_breaks(tmp_path / "list.m3u8")
        assert requests == []


def test_frames_before_damage_are_read_and_the_place_is_named(tmp_path):
    path = encode(tmp_path / "a.mkv", noise(60))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 3000] = bytes(3000)
    path.write_bytes(content)
    pictures, error = until_it_breaks(path)
    assert f"a.mkv: damaged at frame {len(pictures)}" in error
    assert 10 < len(pictures) < 40


def test_a_growing_file_is_read_to_where_it_stops_growing(tmp_path):
    whole = encode(tmp_path / "whole.mkv", noise(100)).read_bytes()
    path, begun = tmp_path / "growing.mkv", threading.Event()
    writer = grow(path, whole, seconds=0.5, before_the_last=begun)
    count = 0
    for _ in reader(path, follow=True, timeout=10):
        count += 1
        begun.set()
    writer.join()
    assert count == 100


def test_a_complete_file_can_be_followed_whatever_its_form(tmp_path):
    assert len(read(encode(tmp_path / "index_at_end.mp4", numbered(20)), follow=True, timeout=0.2)) == 20


def test_a_growing_file_that_cannot_be_read_so_says_which_can(tmp_path):
    path = encode(tmp_path / "a.mp4", noise(30))
    path.write_bytes(path.read_bytes()[:-2000])
    assert "such as .mkv or .ts" in until_it_breaks(path, follow=True, timeout=0.2)[1]


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.mp4"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_stream_is_read_to_its_end(tmp_path, name, chunked):
    options = {"movflags": "frag_keyframe+empty_moov"} if name == "a.mp4" else {}
    content = encode(tmp_path / name, noise(50), options=options).read_bytes()
    with server(content, chunked=chunked) as (address, _):
        found = read(f"{address}/{name}", timeout=60)
    assert len(found) == 50
    assert np.array_equal([f for _, _, f in found], list(read_frames(tmp_path / name)))


@pytest.mark.parametrize("name", ["a.ts", "a.mkv"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_dropped_stream_gives_what_came_and_says_so(tmp_path, name, chunked):
    content = encode(tmp_path / name, noise(100)).read_bytes()
    with server(content, share=0.5, chunked=chunked) as (address, _):
        pictures, error = until_it_breaks(f"{address}/{name}", timeout=60)
    assert 40 <= len(pictures) <= 52
    assert f"broken off at frame {len(pictures)} (the server dropped the connection" in error


def test_a_silent_stream_is_given_up(tmp_path):
    content = encode(tmp_path / "a.ts", noise(100)).read_bytes()
    with server(content, share=0.5, stall=3600) as (address, _):
        pictures, error = until_it_breaks(f"{address}/a.ts", timeout=5)
    assert len(pictures) > 40 and "nothing came for 5 s" in error


def test_addresses_that_answer_nothing_are_named(tmp_path):
    with server(b"", status=404) as (address, _):
        assert "answers 404 Not Found" in until_it_breaks(f"{address}/a.ts", timeout=60)[1]
    assert "cannot be reached" in until_it_breaks(f"{address}/a.ts", timeout=60)[1]
    error = until_it_breaks(f"rtsp://user:secret@{address.removeprefix('http://')}/a", timeout=60)[1]
    assert "not a readable video" in error and "secret" not in error


def test_a_password_is_sent_and_not_shown(tmp_path):
    content = encode(tmp_path / "a.ts", numbered(5)).read_bytes()
    with server(content) as (address, requests):
        read(address.replace("//", "//me:p%40ss@") + "/a.ts", timeout=60)
    assert requests[0][1]["Authorization"] == "Basic bWU6cEBzcw=="


def test_a_video_whose_index_is_at_its_end_is_fetched_in_pieces(tmp_path):
    content = encode(tmp_path / "a.mp4", numbered(20)).read_bytes()
    with server(content) as (address, _):
        assert len(read(f"{address}/a.mp4", timeout=60)) == 20


def test_a_password_goes_to_the_address_that_names_it_and_nowhere_else():
    asked = _request("http://me:my%20word@camera/live")
    assert asked.full_url == "http://camera/live" and asked.get_header("Authorization") == "Basic bWU6bXkgd29yZA=="
    elsewhere = urllib.request.HTTPRedirectHandler().redirect_request(asked, None, 302, "", {}, "http://other/live")
    assert elsewhere.full_url == "http://other/live" and not elsewhere.has_header("Authorization")
