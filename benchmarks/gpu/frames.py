"""Extraction: frames in a second from file to feature, beside what the encoder alone would encode."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch
from gpu.sections import Section
from measuring import timed

from extraction import HEIGHT, WIDTH, make_videos
from vadbench.base.types import Arithmetic
from vadbench.clip import Clip, ClipSource, load_clip
from vadbench.data.media import lazy_frames
from vadbench.dataset import Video
from vadbench.features.encoders import BATCH, FrameEncoder
from vadbench.features.extraction import extract_features
from vadbench.features.fingerprint import Pooling, clip_fingerprint

STRIDE = 16
ESTIMATES = {"fp32": "1,300", "tf32": "5,000", "bf16": "8,000-9,000"}
"""Images of a ViT-B/16 in a second on an H100 or H200: estimated before any GPU had been measured."""


def extraction(section: Section) -> None:
    """Every frame encoded in each arithmetic, and every 16th in fp32."""
    source = ClipSource("small") if section.pretend else ClipSource("ViT-B-16-quickgelu", "random:0")
    clip = load_clip(source, section.device)
    with tempfile.TemporaryDirectory() as folder:
        videos = make_videos(Path(folder), *((2, 32) if section.pretend else (6, 800)))
        section.tell(f"{len(videos)} videos of {WIDTH} x {HEIGHT} written")
        section.attempt("decoding alone", lambda: _decoded(section, videos))
        for arithmetic in get_args(Arithmetic):
            if section.left < 8:
                section.fail(f"no time for {arithmetic} and what comes after it")
                return
            section.attempt(arithmetic, lambda a=arithmetic: _encoded(section, clip, videos, Path(folder), a))
        section.attempt(
            f"every {STRIDE}th frame, fp32", lambda: _extracted(section, clip, videos, Path(folder), "fp32", "first")[1]
        )


def _decoded(section: Section, videos: Sequence[Video]) -> str:
    frames = 0
    wall, cpu = time.perf_counter(), time.process_time()
    for video in videos[:2]:
        assert video.path is not None
        frames += sum(1 for _ in lazy_frames(video.path))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    section.keep("decode frames, one video at a time", wall=wall, cpu=cpu, frames=frames)
    return f"{frames / wall:,.0f} frames/s, {frames / cpu:,.0f} a CPU second"


def _encoded(section: Section, clip: Clip, videos: Sequence[Video], folder: Path, arithmetic: Arithmetic) -> str:
    size = 8 if section.pretend else BATCH
    batch = torch.randn(size, 3, clip.image_size, clip.image_size).to(clip.device)

    def encode() -> None:
        clip.encode_images(batch, arithmetic).cpu()

    encode()
    torch.cuda.reset_peak_memory_stats()
    wall, cpu = timed(encode, 1 if section.pretend else 5)
    section.keep(
        f"encode {size} images, {arithmetic}",
        wall=wall,
        cpu=cpu,
        gpu_gb=torch.cuda.max_memory_allocated() / 2**30,
        images=size,
        estimate="" if section.pretend else ESTIMATES.get(arithmetic, ""),
    )
    alone = size / wall
    rate, said = _extracted(section, clip, videos, folder, arithmetic, "mean", alone)
    return f"encoder alone {alone:,.0f} images/s; every frame: {said}, {rate / alone:.0%} of the encoder alone"


def _extracted(
    section: Section,
    clip: Clip,
    videos: Sequence[Video],
    folder: Path,
    arithmetic: Arithmetic,
    pooling: Pooling,
    alone: float | None = None,
) -> tuple[float, str]:
    """Return the frames in a second of an extraction, and a sentence about it."""
    made = clip_fingerprint(clip, stride=STRIDE, pooling=pooling, arithmetic=arithmetic)
    torch.cuda.reset_peak_memory_stats()
    wall, cpu = time.perf_counter(), time.process_time()
    report = extract_features(videos, FrameEncoder(clip, made), Path(tempfile.mkdtemp(dir=folder)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rate = report.frames / wall
    section.keep(
        f"extract, pooling {pooling}, {arithmetic}",
        wall=wall,
        cpu=cpu,
        gpu_gb=torch.cuda.max_memory_allocated() / 2**30,
        frames=report.frames,
        share_of_encoder=None if alone is None else rate / alone,
    )
    return rate, f"{rate:,.0f} frames/s, {report.frames / cpu:,.0f} a CPU second"
