"""Where the time of scoring one's own video goes: decoding, encoding, the method, everything together.

    python benchmarks/speed/own_video.py [--clip ViT-B-16-quickgelu --clip-weights random:0] [--method vadclip]

makes its own 320 x 240 H.264 video in a temporary folder and prints, for each second of video, the wall and CPU seconds
of each part alone and of scoring as ``vadbench score`` does it, medians of a few repetitions that take turns. A method
is untrained here, which does not change how long it takes. Decoding holds conversion, resizing and the small pictures.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import machine
import numpy as np
import torch
from tabulate import tabulate

from vadbench.base.config import resolve
from vadbench.base.files import write_json
from vadbench.clip import ClipSource, load_clip
from vadbench.data.media import write_video
from vadbench.dataset import ClassTable, VideoClass
from vadbench.features.encoders import FrameEncoder
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.harness import environment
from vadbench.method import Task
from vadbench.plugins.registry import installed
from vadbench.watch.pipeline import Pictures, Stopwatch, encoded_rows, score_rows
from vadbench.watch.reader import Reader
from vadbench.watch.scored_video import score_video
from vadbench.watch.scorer import Scorer
from vadbench.watch.sources import VideoSource
from vadbench.watch.thresholds import fixed_threshold

HEIGHT, WIDTH, FPS = 240, 320, 25
CLASSES = ClassTable(tuple(map(VideoClass, ("Normal", "Abuse", "Arson", "Assault", "Explosion", "Fighting"))), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", default="small", help="an open_clip model name (default: small)")
    parser.add_argument("--clip-weights", default="", help="an open_clip tag, a file, or random:SEED")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--method", default="zero-shot", help="an installed method (default: zero-shot)")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seconds", default=20, type=int, help="length of the video")
    parser.add_argument("--repeats", default=3, type=int)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    scorer = make_scorer(options)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_video(path, (frame(i) for i in range(options.seconds * FPS)), fps=FPS)
        figures = measure(VideoSource(path, path.name, "video"), scorer, Path(folder) / "out", options.repeats)
    figures = {name: (wall / options.seconds, cpu / options.seconds) for name, (wall, cpu) in figures.items()}
    made_on = machine.environment(scorer.clip.device)
    print(machine.words(made_on))
    stride = scorer.fingerprint.stride
    print(f"{scorer.clip.name}, {scorer.name}, a row every {stride} frames ({scorer.fingerprint.pooling}), {FPS} fps")
    rows = [[name, *(1000 * value for value in pair)] for name, pair in figures.items()]
    print(tabulate(rows, ["ms for a second of video", "wall", "CPU"], floatfmt=("", ".2f", ".2f")))
    if options.json:
        record = {
            "settings": {k: v for k, v in vars(options).items() if k != "json"},
            "seconds_per_video_second": {name: {"wall": wall, "cpu": cpu} for name, (wall, cpu) in figures.items()},
            "environment": made_on,
        }
        write_json(options.json, record)


def make_scorer(options: argparse.Namespace) -> Scorer:
    device = environment.choose_device(options.device)
    clip = load_clip(ClipSource(options.clip, options.clip_weights), device)
    kind = installed().method(options.method)
    config = resolve(kind.Config, {}, assignments=options.settings)
    method = kind(config, Task(CLASSES, clip.dim, device, lambda: clip.text)).to(device).eval()
    made = clip_fingerprint(clip, stride=config.rows.stride, pooling=config.rows.pooling)
    return Scorer(options.method, method, clip, made, "fp32", fixed_threshold(0.5, ""), options.method)


def frame(number: int) -> np.ndarray:
    """Blocks that drift under noise: about the size in bytes of a surveillance camera's."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    blocks = ((x + number) // 40 + (y + number // 2) // 40) % 5 * 40
    return np.clip(blocks[..., None] + rng.integers(0, 12, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)


def measure(source: VideoSource, scorer: Scorer, out: Path, repeats: int) -> dict[str, tuple[float, float]]:
    """Median wall and CPU seconds of each part."""

    encoder = FrameEncoder(scorer.clip, scorer.fingerprint)

    def decode() -> list[torch.Tensor]:
        with Pictures(Reader(source), encoder) as pictures:
            return list(pictures.batches(0))

    batches = decode()

    def encode() -> np.ndarray:
        kept = _Kept(batches)
        return np.concatenate(list(encoded_rows(kept, encoder, Stopwatch())), 1)  # type: ignore[arg-type]

    rows = encode()

    def method() -> None:
        list(score_rows([rows], scorer, False, Stopwatch()))

    def everything() -> None:
        score_video(Reader(source), scorer, out)

    parts: dict[str, Callable[[], object]] = {
        "decode": decode,
        "encode": encode,
        "method": method,
        "all of it, tables and pictures included": everything,
    }
    method()  # The first call encodes the texts.
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in parts}
    for _ in range(repeats):
        for name, part in parts.items():
            wall, cpu = time.perf_counter(), time.process_time()
            part()
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: (median(w for w, _ in t), median(c for _, c in t)) for name, t in taken.items()}


@dataclasses.dataclass
class _Kept:
    """Prepared batches, as if they were being decoded."""

    kept: list[torch.Tensor]

    def batches(self, number: int) -> object:
        return iter(self.kept)


if __name__ == "__main__":
    main()
