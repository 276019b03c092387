"""Videos of many kinds whose frames carry their own number as bars, and damage to their files."""

from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np

WIDTH, HEIGHT, BITS, COUNT, RATE = 80, 48, 10, 150, 25
HOLE = 2048

_GOP = {"g": "25"}
_X265 = {"x265-params": "log-level=none:keyint=25"}
_VP9 = {"cpu-used": "8", "deadline": "realtime", "g": "50"}
_FAST, _FRAGMENTED = {"movflags": "faststart"}, {"movflags": "frag_keyframe+empty_moov"}


class Kind(NamedTuple):
    """A codec in a container, with the options of both, and what becomes of a file of it: whole, cut off at 60 % of its
    bytes, and with 2 KiB of zeros in its middle. ``pixels`` is FFmpeg's name of how colours are stored."""

    suffix: str
    codec: str
    options: dict = {}
    container: dict = {}
    outcomes: tuple[str, str, str] = ("read", "refused", "refused")
    pixels: str = "yuv420p"

    @property
    def seen(self):
        """False if an early end of it cannot be seen."""
        return self.outcomes[0] == "read"


KINDS = {
    "mp4-h264": Kind(".mp4", "libx264", _GOP),
    "mp4-h264-faststart": Kind(".mp4", "libx264", _GOP, _FAST),
    "mp4-h264-fragmented": Kind(".mp4", "libx264", _GOP, _FRAGMENTED),
    "mp4-hevc": Kind(".mp4", "libx265", _X265),
    "mp4-hevc-faststart": Kind(".mp4", "libx265", _X265, _FAST),
    "mp4-hevc-fragmented": Kind(".mp4", "libx265", _X265, _FRAGMENTED),
    "mp4-mpeg4": Kind(".mp4", "mpeg4", _GOP),
    "mp4-mpeg4-faststart": Kind(".mp4", "mpeg4", _GOP, _FAST),
    "mp4-mpeg4-fragmented": Kind(".mp4", "mpeg4", _GOP, _FRAGMENTED),
    "mkv-h264": Kind(".mkv", "libx264", _GOP),
    "mkv-ffv1": Kind(".mkv", "ffv1"),
    "webm-vp9": Kind(".webm", "libvpx-vp9", _VP9),
    "avi-mjpeg": Kind(".avi", "mjpeg", pixels="yuvj420p"),
    "avi-mpeg4": Kind(".avi", "mpeg4", _GOP),
    "flv": Kind(".flv", "flv", _GOP),
    "flv-h264": Kind(".flv", "libx264", _GOP),
    "wmv": Kind(".wmv", "wmv2", _GOP),
    "ts": Kind(".ts", "libx264", _GOP, outcomes=("noted", "noted", "refused")),
    "mpg-mpeg1": Kind(".mpg", "mpeg1video", {"g": "12"}, outcomes=("noted", "refused", "refused")),
    "mpg-mpeg2": Kind(".mpg", "mpeg2video", {"g": "12"}, outcomes=("noted", "refused", "refused")),
    "raw-h264": Kind(".h264", "libx264", _GOP, outcomes=("noted", "refused", "refused")),
    "raw-hevc": Kind(".hevc", "libx265", _X265, outcomes=("noted", "noted", "noted")),
}


def bars(count, first=0):
    """Noisy frames that carry their number in binary, so that they can be told apart after any codec."""
    rng = np.random.default_rng(first)
    frames = []
    for number in range(first, first + count):
        frame = np.full((HEIGHT, WIDTH, 3), 110)
        for bit in range(BITS):
            frame[:, bit * (WIDTH // BITS) : (bit + 1) * (WIDTH // BITS)] = 225 if number >> bit & 1 else 30
        frames.append(np.clip(frame + rng.integers(-20, 20, frame.shape), 0, 255).astype(np.uint8))
    return frames


def number_of(frame):
    """The number that a frame carries."""
    width = WIDTH // BITS
    middle = frame[HEIGHT // 4 : 3 * HEIGHT // 4].reshape(HEIGHT // 2, BITS, width, 3)[:, :, width // 4 : -width // 4]
    return sum(1 << bit for bit in range(BITS) if middle[:, bit].mean() > 127)


def write(path, kind, frames, milliseconds=None, sound_seconds=0):
    """Write frames at 25 a second, or at the times given, with a silent track of sound beside them if asked for."""
    with av.open(str(path), "w", options=kind.container) as container:
        stream = container.add_stream(kind.codec, rate=RATE, options=kind.options)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = kind.pixels
        sound = container.add_stream("aac", rate=16000, layout="mono") if sound_seconds else None
        if milliseconds is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            if milliseconds is not None:
                picture.pts, picture.time_base = milliseconds[i], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
        for _ in range(round(sound_seconds * 16000 / 1024)):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 16000
            container.mux(sound.encode(silence))
        if sound is not None:
            container.mux(sound.encode())
    return path


def with_hole(content, share=0.5):
    """The content with 2 KiB of zeros in it, as of a part that never arrived."""
    start = int(len(content) * share)
    return content[:start] + bytes(len(content[start : start + HOLE])) + content[start + HOLE :]


def touched(path, share=0.5):
    """Numbers of the frames whose pictures depend on the bytes that :func:`with_hole` would clear."""
    start = int(path.stat().st_size * share)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size and p.pos is not None]
    shown = {pts: i for i, pts in enumerate(sorted(p.pts for p in packets))}
    found, tainted = set(), False
    for packet in packets:
        hit = packet.pos < start + HOLE and start < packet.pos + packet.size + 64
        tainted = hit or (tainted and not packet.is_keyframe)
        if tainted:
            found.add(shown[packet.pts])
    return found
