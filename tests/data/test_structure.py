"""Where the parts of a file do not join, on parts that are written here byte by byte."""

import pytest

from vadbench.base.errors import MediaError
from vadbench.data.containers import MATROSKA, MP4
from vadbench.data.structure import structural_break


def chunk(name, content):
    return name + len(content).to_bytes(4, "little") + content + b"\0" * (len(content) % 2)


def riff(form, *chunks):
    return chunk(b"RIFF", form + b"".join(chunks))


def movie(*frames):
    return chunk(b"LIST", b"movi" + b"".join(chunk(b"00dc", frame) for frame in frames))


def box(name, content=b""):
    return (8 + len(content)).to_bytes(4, "big") + name + content


def element(code, content, size=None):
    width = 8
    stated = len(content) if size is None else size
    return bytes.fromhex(code) + (stated | 1 << 7 * width).to_bytes(width, "big") + content


UNKNOWN = (1 << 56) - 1
HEAD = element("1A45DFA3", b"")
BLOCKS = [element("A3", bytes([n]) * 40) for n in range(4)]
CLUSTER = element("1F43B675", element("E7", b"\0") + b"".join(BLOCKS))
TAG = (b"\x09\0\0\x04" + bytes(7) + b"data" + bytes(4)) * 5
FLV = b"FLV\x01\x01\0\0\0\x09" + bytes(4)
PACK = b"\0\0\1\xba\x44" + bytes(8) + b"\xf8" + b"\0\0\1\xe0\0\x05video"

LONG = PACK[:-7] + (500).to_bytes(2, "big") + b"v" * 500

WHOLE = {
    "avi of two parts": ("avi", riff(b"AVI ", movie(b"ab", b"c")) + riff(b"AVIX", movie(b"defgh", b""))),
    "avi of records": ("avi", riff(b"AVI ", chunk(b"LIST", b"movi" + chunk(b"LIST", b"rec " + chunk(b"00dc", b"x"))))),
    "avi that was never finished": ("avi", b"RIFF" + bytes(4) + b"AVI " + movie(b"ab")),
    "fragmented mp4": (MP4, box(b"ftyp") + box(b"moov") + (box(b"moof") + box(b"mdat", b"12")) * 3),
    "mp4 with a large box": (MP4, box(b"moov") + b"\0\0\0\1mdat" + (20).to_bytes(8, "big") + b"1234"),
    "mp4 whose frames go to the end": (MP4, box(b"moov") + bytes(4) + b"mdat" + b"12345"),
    "mp4 with junk behind it": (MP4, box(b"moov") + box(b"mdat", b"12") + bytes(100)),
    "matroska": (MATROSKA, HEAD + element("18538067", CLUSTER * 3)),
    "matroska of unknown sizes": (
        MATROSKA,
        HEAD + element("18538067", element("1F43B675", b"".join(BLOCKS), UNKNOWN) * 3, UNKNOWN),
    ),
    "matroska with junk behind it": (MATROSKA, HEAD + element("18538067", CLUSTER) + bytes(100)),
    "flv": ("flv", FLV + TAG),
    "mpg": ("mpeg", LONG * 4 + b"\0\0\1\xb9"),
    "mpg of padded sectors": ("mpeg", (PACK + bytes(20)) * 3 + bytes(500)),
    "video disc": ("mpeg", b"RIFF" + (bytes(4) + b"head" + PACK) * 3),
    "ts": ("mpegts", (b"\x47" + bytes(187)) * 9),
    "m2ts": ("mpegts", (bytes(4) + b"\x47" + bytes(187)) * 9),
    "a kind that is not known here": ("ogg", b"OggS" + bytes(100)),
}


def found(tmp_path, kind, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    return structural_break(path, kind)


@pytest.mark.parametrize("name", WHOLE)
def test_the_parts_of_a_whole_file_join(tmp_path, name):
    assert found(tmp_path, *WHOLE[name]) is None


@pytest.mark.parametrize(
    ("name", "start", "length", "place"),
    [
        ("avi of two parts", 36, 8, 34),
        ("avi of records", 36, 8, 36),
        ("fragmented mp4", 26, 8, 24),
        ("matroska", 90, 20, 95),
        ("matroska of unknown sizes", 70, 20, 85),
        ("flv", 40, 15, 51),
        ("mpg", 500, 600, 520),
        ("mpg", 400, 130, 520),
        ("ts", 300, 400, 376),
        ("m2ts", 300, 400, 388),
    ],
)
def test_the_byte_is_named_at_which_they_do_not(tmp_path, name, start, length, place):
    kind, content = WHOLE[name]
    content = content[:start] + bytes(length) + content[start + length :]
    assert found(tmp_path, kind, content) == f"its structure is broken at byte {place}"


@pytest.mark.parametrize(
    "name",
    ["avi of two parts", "fragmented mp4", "mp4 with a large box", "matroska", "matroska of unknown sizes", "flv"],
)
def test_a_last_part_that_is_cut_off_is_told(tmp_path, name):
    kind, content = WHOLE[name]
    assert "last part" in found(tmp_path, kind, content[:-1])


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(MediaError, match="cannot read"):
        structural_break(tmp_path / "gone", MP4)
