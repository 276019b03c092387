"""How fast features are extracted: preparing frames alone, encoding alone, and both together.

    python benchmarks/speed/extraction.py [--clip ViT-B-16-quickgelu --clip-weights random:0] [--json FILE]

makes its own 320 x 240 H.264 clips in a temporary folder and prints wall and CPU seconds, the medians of a few
repetitions that take turns. Every frame is encoded (pooling ``mean``), as in the slowest use. The share says how close
extraction comes to the slower of its two halves. CPU seconds are those of all threads, waiting on a GPU included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import machine
import numpy as np
import torch
from tabulate import tabulate

from vadbench.base.files import write_json
from vadbench.clip import CROPS, Clip, ClipSource, load_clip
from vadbench.data.media import Frame, write_video
from vadbench.dataset import Video
from vadbench.features.decoding import WORKERS
from vadbench.features.encoders import FrameEncoder
from vadbench.features.extraction import extract_features
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.harness import environment

HEIGHT, WIDTH, FPS = 240, 320, 25
STRIDE = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", default="small", help="an open_clip model name (default: small)")
    parser.add_argument("--clip-weights", default="", help="an open_clip tag, a file, or random:SEED")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "tf32", "bf16", "fp16"])
    parser.add_argument("--crops", default=1, type=int, choices=[1, 5, 10])
    parser.add_argument("--workers", default=WORKERS, type=int, help="threads that decode and prepare frames")
    parser.add_argument("--videos", default=4, type=int, help="how many clips")
    parser.add_argument("--frames", default=64, type=int, help="frames of each")
    parser.add_argument("--batch-size", default=256, type=int)
    parser.add_argument("--repeats", default=3, type=int)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    device = environment.choose_device(options.device)
    clip = load_clip(ClipSource(options.clip, options.clip_weights), device)
    with tempfile.TemporaryDirectory() as folder:
        videos = make_videos(Path(folder), options.videos, options.frames)
        figures = measure(clip, videos, Path(folder), options)
    frames = options.videos * options.frames
    rows = [[name, frames / wall, wall, cpu] for name, (wall, cpu) in figures.items()]
    made_on = machine.environment(device)
    print(machine.words(made_on))
    print(f"{clip.name}, {options.precision}, {options.crops} crops, {options.workers} workers, {frames} frames")
    print(tabulate(rows, ["", "frames/s", "wall s", "CPU s"], floatfmt=("", ".0f", ".2f", ".2f")))
    prepare, encode, both = figures["prepare frames"], figures["encode"], figures["end to end"]
    share = max(prepare[0], encode[0]) / both[0]
    cpu_share = (prepare[1] + encode[1]) / both[1]
    print(f"speed of the slower half reached end to end: {share:.0%}")
    print(f"CPU seconds of both halves, over those end to end: {cpu_share:.0%}")
    if options.json:
        settings = {k: v for k, v in vars(options).items() if k != "json"}
        seconds = {name: {"wall": wall, "cpu": cpu} for name, (wall, cpu) in figures.items()}
        record = {"settings": settings, "frames": frames, "seconds": seconds, "share": share, "cpu_share": cpu_share}
        write_json(options.json, record | {"environment": made_on})


def make_videos(folder: Path, videos: int, frames: int) -> list[Video]:
    """Clips of blocks that drift under noise: about the size in bytes of a surveillance camera's."""
    made = []
    for number in range(videos):
        path = folder / f"{number}.mp4"
        write_video(path, _frames(number, frames), fps=FPS)
        made.append(Video(path.stem, (), path))
    return made


def _frames(seed: int, frames: int) -> Iterator[Frame]:
    noise = np.random.default_rng(seed)
    blocks = np.kron(noise.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3)), np.ones((8, 8, 1), int))
    for i in range(frames):
        moved = np.roll(blocks, (i, 3 * i), axis=(0, 1)) + noise.integers(-8, 9, blocks.shape)
        yield np.clip(moved, 0, 255).astype(np.uint8)


def measure(
    clip: Clip, videos: list[Video], folder: Path, options: argparse.Namespace
) -> dict[str, tuple[float, float]]:
    """Median wall and CPU seconds of each stage."""
    crops = CROPS[: options.crops]
    made = clip_fingerprint(clip, stride=STRIDE, pooling="mean", crops=crops, arithmetic=options.precision)
    encoder = FrameEncoder(clip, made, options.batch_size, options.workers)
    paths = [v.path for v in videos if v.path is not None]
    kept: list[torch.Tensor] = []

    def prepare() -> None:
        kept.clear()
        with encoder.decoder(paths) as decoder:
            for _, item in decoder.items():
                if isinstance(item, torch.Tensor):
                    # All batches are alike, so one of each length stands for the others and memory stays small.
                    kept.append(next((k for k in kept if len(k) == len(item)), item))
                else:
                    decoder.taken()

    def encode() -> None:
        for batch in kept:
            frames = batch.to(clip.device, non_blocking=True)
            for crop in crops:
                clip.encode_images(clip.crop(frames, crop), options.precision).cpu()

    def end_to_end() -> None:
        extract_features(videos, encoder, Path(tempfile.mkdtemp(dir=folder)))

    stages: dict[str, Callable[[], None]] = {"prepare frames": prepare, "encode": encode, "end to end": end_to_end}
    for stage in stages.values():
        stage()
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in stages}
    for _ in range(options.repeats):
        for name, stage in stages.items():
            wall, cpu = time.perf_counter(), time.process_time()
            stage()
            seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: (median(w for w, _ in s), median(c for _, c in s)) for name, s in seconds.items()}


if __name__ == "__main__":
    main()
