"""What a container says of a user's video: which stream it is, how it is to be held, how long it lasts."""

import struct

import numpy as np
import pytest

from odd_containers import copy_streams, with_cover
from vadbench.base.errors import MediaError
from vadbench.data.media import read_frames
from vadbench.report.thumbnails import read_small
from vadbench.watch.reader import Reader
from vadbench.watch.sources import find_sources
from video_kinds import KINDS, bars, number_of, with_hole, write
from watch_media import HEIGHT, WIDTH, encode


def reader(place):
    (source,) = find_sources([str(place)])
    return Reader(source)


MATRICES = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [(0, b, c, 0) for b in (1, -1) for c in (1, -1)]
"""All ways to turn and mirror a picture: where steps to the right (a, b) and down (c, d) lead on the screen."""


def shown_by(matrix, picture):
    """The picture on the screen, pixel by pixel, as ISO 14496-12 (8.3.2) defines a track's matrix."""
    a, b, c, d = matrix
    height, width = picture.shape[:2]
    places = {(a * x + c * y, b * x + d * y): picture[y, x] for y in range(height) for x in range(width)}
    left, top = min(x for x, _ in places), min(y for _, y in places)
    wide, high = (width, height) if a else (height, width)
    screen = np.zeros((high, wide, 3), picture.dtype)
    for (x, y), value in places.items():
        screen[y - top, x - left] = value
    return screen


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_turned_or_mirrored_picture_is_shown_as_it_is_meant(tmp_path, matrix):
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[: HEIGHT // 2, : WIDTH // 2] = 250  # no two quarters alike
    picture[: HEIGHT // 2, WIDTH // 2 :] = 160
    picture[HEIGHT // 2 :, : WIDTH // 2] = 80
    path = encode(tmp_path / "a.mp4", [picture] * 2)
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    stored = next(read_frames(path))
    assert stored.shape == (HEIGHT, WIDTH, 3), "data sets are read as they lie"
    found = next(iter(reader(path))).read()
    assert np.array_equal(found, shown_by(matrix, stored)) and found.flags.c_contiguous


def test_a_matrix_of_zeros_changes_nothing(tmp_path):
    path = encode(tmp_path / "a.mp4", bars(2))
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = bytes(36)
    path.write_bytes(content)
    assert np.array_equal(next(iter(reader(path))).read(), next(read_frames(path)))


@pytest.mark.parametrize("name", ["mkv-h264", "flv-h264", "mp4-h264", "webm-vp9"])
def test_the_length_counts_from_the_first_frame(tmp_path, name):
    kind = KINDS[name]
    path = write(tmp_path / f"a{kind.suffix}", kind, bars(50), milliseconds=[100_000 + 40 * i for i in range(50)])
    found = reader(path)
    assert [number_of(p.read()) for p in found] == list(range(50))
    assert found.length == pytest.approx(2.0, abs=0.1) and found.unseen_end is None


def test_lost_frames_end_the_reading_after_all_before_them(tmp_path):
    path = write(tmp_path / "a.webm", KINDS["webm-vp9"], bars(80))
    path.write_bytes(with_hole(path.read_bytes()))
    numbers = []
    with pytest.raises(MediaError) as found:
        numbers.extend(number_of(p.read()) for p in reader(path))
    assert f"damaged at frame {len(numbers)}, {len(numbers) / 25:.2f} s (no frames between" in str(found.value)
    assert 10 < len(numbers) < 80


def test_cover_art_is_not_the_video_and_of_several_videos_none_is_chosen(tmp_path):
    path = with_cover(write(tmp_path / "a.mp4", KINDS["mp4-h264"], bars(20)))
    found = reader(path)
    assert [number_of(p.read()) for p in found] == list(range(20)) and found.declared == 20
    assert [image.size for image in read_small(path, [3, 11])] == [(90, 54)] * 2
    other = write(tmp_path / "b.mp4", KINDS["mp4-h264"], bars(5))
    both = copy_streams(tmp_path / "both.mp4", other, other)
    with pytest.raises(
        MediaError, match=r"both\.mp4: expected one video stream, found 2 \(0: h264 80 x 48 of 5 frames"
    ):
        list(reader(both))
    with pytest.raises(MediaError, match=r"both\.mp4: expected one video stream, found 2"):
        read_small(both, [0])
