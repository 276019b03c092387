"""From video files to features: decoding, preparing for the encoder, everything together.

Literally, one frame after another is decoded, converted, resized and encoded, of one clip, which counts for as many as
there are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import av
import numpy as np
import torch
from measuring import timed
from works.work import Options, Work, off

from extraction import STRIDE, make_videos
from vadbench.clip import CROPS, ClipSource, load_clip
from vadbench.data.media import Frame, lazy_frames
from vadbench.dataset import Video
from vadbench.features.decoding import WORKERS, Decoder
from vadbench.features.encoders import FrameEncoder
from vadbench.features.extraction import extract_features
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.features.preparation import Preparation
from vadbench.features.store import FeatureStore

SMALL, PUBLISHED = ClipSource("small"), ClipSource("ViT-B-16-quickgelu", "random:0")
BATCH = 256


def decoding(options: Options, folder: Path) -> Work:
    """Frames of two clips decoded and converted to RGB; the floor is decoding alone."""
    _, paths = _clips(2, 32 if options.quick else 304, folder)

    def ours() -> None:
        for path in paths:
            for frame in lazy_frames(path):
                frame()

    def literal() -> None:
        for _ in _one_by_one(paths[0]):
            pass

    def difference() -> float:
        pairs = zip(lazy_frames(paths[0]), _one_by_one(paths[0]), strict=True)
        return max(float(np.abs(np.subtract(a(), b, dtype=int)).max()) for a, b in pairs)

    return Work(ours, literal, lambda: timed(lambda: _decode(paths), 5)[options.clock], difference, len(paths))


def preparing(options: Options, folder: Path) -> Work:
    """Frames of two clips decoded, converted and resized; the floor is decoding alone."""
    clip = load_clip(SMALL, torch.device("cpu"))
    _, paths = _clips(2, 32 if options.quick else 304, folder)

    def literal() -> list[torch.Tensor]:
        return [clip.preprocess(_pixels(frame)) for frame in _one_by_one(paths[0])]

    def difference() -> float:
        return off(torch.cat(_prepared(paths[:1], clip.preprocess)).numpy(), torch.cat(literal()).numpy())

    return Work(
        lambda: _prepared(paths, clip.preprocess),
        literal,
        lambda: timed(lambda: _decode(paths), 5)[options.clock],
        difference,
        len(paths),
    )


def extracting(published: bool, options: Options, folder: Path) -> Work:
    """Every frame of some clips encoded, by the small CLIP or by a ViT-B/16, of which a processor does few; the floor
    is the slower of preparing and encoding alone."""
    clips, frames = 2, 32 if options.quick else 304
    if published and not options.quick:
        clips, frames = (1, 16) if options.device == "cpu" else (8, 500)
    clip = load_clip(PUBLISHED if published and not options.quick else SMALL, torch.device(options.device))
    videos, paths = _clips(clips, frames, folder)
    arithmetic = "bf16" if options.precision == "bf16" else "fp32"

    def extracted(arithmetic: str) -> Path:
        out = Path(tempfile.mkdtemp(dir=folder))
        made = clip_fingerprint(clip, stride=STRIDE, pooling="mean", arithmetic=arithmetic)
        extract_features(videos, FrameEncoder(clip, made, BATCH, WORKERS), out)
        return out

    @torch.inference_mode()
    def literal() -> list[torch.Tensor]:
        images = (clip.preprocess(_pixels(frame)) for frame in _one_by_one(paths[0]))
        return [clip.encode_images(clip.crop(image, CROPS[0])).cpu() for image in images]

    @cache
    def halves() -> dict[str, float]:
        pin = options.device != "cpu"
        batches = _prepared(paths, clip.preprocess, pin)

        def encode() -> None:
            for batch in batches:
                clip.encode_images(batch.to(clip.device, non_blocking=True), arithmetic).cpu()

        repeats = 1 if options.quick else 5
        halves = {"prepare": lambda: _prepared(paths, clip.preprocess, pin), "encode": encode}
        return {f"{name}_seconds": timed(half, repeats)[options.clock] for name, half in halves.items()}

    def difference() -> float:
        store = FeatureStore(extracted("fp32"))
        rows = np.asarray(store.rows(videos[0].name)).reshape(-1, clip.dim)
        return off(rows, torch.cat(literal()).unflatten(0, (-1, STRIDE)).mean(1).numpy())

    return Work(
        lambda: extracted(arithmetic),
        literal,
        lambda: max(halves().values()),
        difference,
        clips,
        facts=lambda: {"frames": clips * frames, **halves()},
    )


def _clips(clips: int, frames: int, folder: Path) -> tuple[list[Video], list[Path]]:
    videos = make_videos(folder, clips, frames)
    return videos, [video.path for video in videos if video.path is not None]


def _prepared(
    paths: list[Path], preprocess: Callable[[torch.Tensor], torch.Tensor], pin: bool = False
) -> list[torch.Tensor]:
    with Decoder(paths, Preparation(preprocess, STRIDE, "mean", BATCH), WORKERS, pin) as decoder:
        return [batch for number in range(len(paths)) for batch in decoder.batches(number)]


def _one_by_one(path: Path) -> Iterator[Frame]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def _decode(paths: list[Path]) -> None:
    for path in paths:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for _ in container.decode(video=0):
                pass


def _pixels(frame: Frame) -> torch.Tensor:
    return torch.from_numpy(frame).permute(2, 0, 1)[None]
