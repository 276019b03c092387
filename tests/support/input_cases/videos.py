"""Videos: what is read of them, every frame of which carries its own number."""

import os
from functools import partial
from pathlib import Path

import av
import numpy as np

from input_cases.cases import Case, Section
from odd_containers import copy_streams, with_cover
from vadbench.data.media import declared_frames, shown_frames
from vadbench.data.soundness import length_note
from vadbench.features.extracted import Mismatch
from video_kinds import HEIGHT, KINDS, WIDTH, Kind, bars, number_of, write

FRAMES = 12
EVERY = list(range(FRAMES))


def seen(frame):
    """The number that a frame carries; of a plain one its width, height and colour."""
    if frame.shape[:2] == (HEIGHT, WIDTH):
        return number_of(frame)
    return (frame.shape[1], frame.shape[0], *frame.reshape(-1, 3).mean(0).round().astype(int))


def read(path):
    """The frames as extract, run and data check read them, and the notes of extract on the file."""
    frames = [seen(frame()) for _, frame in shown_frames(path)]
    declared = declared_frames(path)
    other = declared is not None and declared != len(frames)
    mismatch = str(Mismatch(path.stem, len(frames), declared, "container")) if other else ""
    return frames, "; ".join(filter(None, (mismatch, length_note(path))))


def film(kind, folder, name="a", count=FRAMES, **more):
    kind = kind if isinstance(kind, Kind) else KINDS[kind]
    return write(folder / f"{name}{kind.suffix}", kind, bars(count), **more)


def made(kind, **more):
    """A file of a kind, with more said to :func:`video_kinds.write`."""
    return partial(film, kind, **more)


def named(name):
    """A file of another name."""

    def make(folder):
        path = os.fsencode(folder) + b"/" + os.fsencode(name)
        os.rename(film("mp4-h264", folder), path)
        return Path(os.fsdecode(path))

    return make


def content(name, data):
    def make(folder):
        (folder / name).write_bytes(data)
        return folder / name

    return make


def joined(*kinds):
    """Files behind each other, as ``cat`` joins them."""

    def make(folder):
        parts = [film(kind, folder, str(i)) for i, kind in enumerate(kinds)]
        path = folder / f"a{parts[0].suffix}"
        path.write_bytes(b"".join(p.read_bytes() for p in parts))
        return path

    return make


def pictures(folder, size, count=1, suffix=".mp4", codec="libx264", pixels="yuv444p", frame=None):
    """A video of plain pictures of any size."""
    path = folder / f"a{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        (stream.width, stream.height), stream.pix_fmt = size, pixels
        for _ in range(count):
            plain = np.full((size[1], size[0], 3), 90, np.uint8) if frame is None else frame
            container.mux(stream.encode(av.VideoFrame.from_ndarray(plain, format="rgb24")))
        container.mux(stream.encode())
    return path


def two_videos(folder):
    one = film("mp4-h264", folder)
    return copy_streams(folder / "both.mp4", one, one)


def a_link_to_itself(folder):
    (folder / "a.mp4").symlink_to("a.mp4")
    return folder / "a.mp4"


def a_pipe(folder):
    os.mkfifo(folder / "a.mp4")
    return folder / "a.mp4"


def sound_alone(folder):
    path = folder / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for _ in range(4):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.sample_rate = 16000
            container.mux(stream.encode(sound))
        container.mux(stream.encode())
    return path


def within_a_group(folder):
    """A recording of a broadcast that begins between two pictures on which the others depend."""
    path = film("ts", folder, count=60)
    with av.open(str(path)) as container:
        places = [p.pos for p in container.demux(video=0) if p.pos is not None]
    start = places[8] // 188 * 188
    data = path.read_bytes()
    path.write_bytes(data[: 188 * 3] + data[start:])
    return path


def other_size_behind(folder):
    """A recording whose frames get another size on the way."""
    first = film("ts", folder, "first")
    (folder / "later").mkdir()
    later = pictures(folder / "later", (64, 32), count=3, suffix=".ts", pixels="yuv420p")
    path = folder / "a.ts"
    path.write_bytes(first.read_bytes() + later.read_bytes())
    return path


def dropped_by_the_encoder(folder):
    """An avi with empty packets where its encoder left frames out."""
    times = [40 * (i + 5 * (i // 6)) for i in range(FRAMES)]
    return film("avi-mpeg4", folder, milliseconds=times)


COLOUR = (200, 40, 90)
_SHARES = {"BT.601": (5, 0.299, 0.114), "BT.709": (1, 0.2126, 0.0722)}
"""FFmpeg's number of a colour matrix, and the shares of red and blue in its brightness (ITU-R BT.601 and BT.709)."""


def coloured(matrix, full):
    """A video of one colour, made of the brightness and the colour differences that a matrix gives for it."""

    def make(folder):
        number, red, blue = _SHARES[matrix]
        r, g, b = (value / 255 for value in COLOUR)
        y = red * r + (1 - red - blue) * g + blue * b
        differences = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
        low, luma, chroma = (0, 255, 255) if full else (16, 219, 224)
        values = low + luma * y, *(128 + chroma * difference for difference in differences)
        path = folder / "a.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv444p"
            frame = av.VideoFrame(64, 36, "yuv444p")
            for context in (stream.codec_context, frame):
                context.colorspace, context.color_range = number, 2 if full else 1
            for plane, value in zip(frame.planes, values, strict=True):
                plane.update(bytes([round(value)]) * plane.buffer_size)
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make


def see_through(folder):
    """A video with transparency, behind which its colours are kept."""
    path = folder / "a.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("qtrle", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "argb"
        pixels = np.broadcast_to(np.array((128, *COLOUR), np.uint8), (36, 64, 4))
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels.copy(), format="argb")))
        container.mux(stream.encode())
    return path


def in_the_colour(frames):
    """One frame whose colour is at most two steps from that which was written."""
    ((*_, r, g, b),) = frames
    return all(abs(found - wanted) <= 2 for found, wanted in zip((r, g, b), COLOUR, strict=True))


def of_size(width, height):
    return lambda frames: [frame[:2] for frame in frames] == [(width, height)]


GOP = {"g": "25"}
NO_LENGTH = "states no length: an early end cannot be seen"
NO_VIDEO = "not a readable video (...); copy or download it again"


def whole(suffix, codec, options=GOP, pixels="yuv420p"):
    return made(Kind(suffix, codec, options, pixels=pixels))


CASES = (
    Case("avi with huffyuv, 4:2:2", whole(".avi", "huffyuv", {}, "yuv422p")),
    Case("gif", whole(".gif", "gif", {}, "rgb8")),
    Case("mov with Apple's animation (qtrle)", whole(".mov", "qtrle", {}, "rgb24")),
    Case("mov with ProRes, 10 bits a channel", whole(".mov", "prores_ks", {}, "yuv422p10le")),
    Case("h264 with 10 bits a channel", whole(".mp4", "libx264", GOP, "yuv420p10le")),
    Case("h264 with 4:4:4 colours", whole(".mkv", "libx264", GOP, "yuv444p")),
    Case("h264 marked as interlaced", whole(".mp4", "libx264", {"flags": "+ildct+ilme"} | GOP)),
    Case("mpeg2 marked as interlaced", whole(".mkv", "mpeg2video", {"flags": "+ildct+ilme", "g": "12"})),
    Case("a single frame", made("mp4-h264", count=1), says="this frame", value=[0]),
    Case(
        "frames of 1 x 1 pixel",
        partial(pictures, size=(1, 1)),
        says="the frame, 1 x 1",
        value=of_size(1, 1),
    ),
    Case(
        "frames of an odd size, 53 x 31",
        partial(pictures, size=(53, 31)),
        says="the frame, 53 x 31",
        value=of_size(53, 31),
    ),
    *(
        Case(
            f"colours by {matrix}, {'full' if full else 'limited'} range",
            coloured(matrix, full),
            says="the colours that were filmed",
            value=in_the_colour,
        )
        for matrix in _SHARES
        for full in (False, True)
    ),
    Case("transparency", see_through, says="the colours without it", value=in_the_colour),
    Case(
        "variable frame rate, gaps of seconds between events",
        made("mkv-h264", milliseconds=[40 * i + 5000 * (i // 4) for i in range(FRAMES)]),
    ),
    Case("a clock that starts at 100 s", made("mkv-h264", milliseconds=[100_000 + 40 * i for i in range(FRAMES)])),
    Case("a clock that starts before 0 (mkv)", made("mkv-h264", milliseconds=[40 * i - 200 for i in range(FRAMES)])),
    Case(
        "mp4 whose edit list cuts the first five frames",
        made("mp4-h264", milliseconds=[40 * i - 200 for i in range(FRAMES)]),
        says="the other frames",
        value=EVERY[5:],
    ),
    Case(
        "avi whose encoder left frames out (empty packets)",
        dropped_by_the_encoder,
        "noted",
        "12 frames decoded, ... declared by its container",
    ),
    Case(
        "a broadcast (ts) that begins between key frames",
        within_a_group,
        "noted",
        NO_LENGTH,
        lambda frames: frames == list(range(frames[0], 60)) and frames[0] > 0,
    ),
    Case("two ts files joined", joined("ts", "ts"), "noted", NO_LENGTH, EVERY * 2),
    Case("two mpg files joined", joined("mpg-mpeg1", "mpg-mpeg1"), "noted", NO_LENGTH, EVERY * 2),
    Case(
        "ts whose frames change their size",
        other_size_behind,
        "noted",
        NO_LENGTH,
        lambda frames: frames[:FRAMES] == EVERY and [frame[:2] for frame in frames[FRAMES:]] == [(64, 32)] * 3,
    ),
    Case("mp4 with cover art before the video", lambda folder: with_cover(film("mp4-h264", folder))),
    Case("two videos in one file", two_videos, "refused", "expected one video stream, found 2 (...); copy the one"),
    Case("sound alone", sound_alone, "refused", "expected a video stream, found none"),
    Case("name in capitals, `A.MP4`", named("A.MP4")),
    Case("name with a colon, `10:15:00.mp4`", named("10:15:00.mp4")),
    Case("name that is not UTF-8", named(b"T\xfcr.mp4")),
    Case("name of 251 letters", named("x" * 247 + ".mp4")),
    Case("web page saved as mp4", content("a.mp4", b"<html>please log in</html>"), "refused", NO_VIDEO),
    Case("companion file of macOS given by name", content("._a.mp4", b"\0\5\x16\7\0\2\0\0"), "refused", NO_VIDEO),
    Case("empty file", content("a.mp4", b""), "refused", NO_VIDEO),
    Case("no file", lambda folder: folder / "a.mp4", "refused", "no such video; check the data root"),
    Case("link that leads to itself", a_link_to_itself, "refused", NO_VIDEO),
    Case("pipe", a_pipe, "refused", "not a readable video (expected a regular file, found a pipe)"),
)

VIDEOS = Section(
    "Videos",
    "Suffixes that are looked for in folders are `.mp4`, `.avi`, `.webm`, `.mkv` and `.mov`, in small or capital"
    " letters; a file that is named itself may have any. What is refused stops `extract` and `run` (with"
    " `--keep-going` or `--allow-incomplete` it is left out and named), is listed by `data check`, and ends a video"
    " in `score` after the frames before it.",
    read,
    EVERY,
    "every frame, in order",
    CASES,
)
