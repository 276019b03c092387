"""How long a frame takes, whole or as its objects: table 7 of Dong, ICPRAM 2024.

    python benchmarks/speed/regions.py [--clip ViT-B-16-quickgelu --clip-weights random:0] [--json FILE]

One frame of 320 x 240 at a time, as a camera gives them, already decoded: resized and encoded, or 20 boxes of it cut
out, resized and encoded together; then compared with the phrases of the bank ``general``, the highest of the boxes'
scores being the frame's. Finding the boxes is not counted, as it is not in the paper. Milliseconds, medians of
repetitions that take turns, after one that does not count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import machine
import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor
from vadbench_descriptions.frame import DescriptionsFrame
from vadbench_shanghaitech.dataset import ShanghaiTech

from vadbench.base.config import resolve
from vadbench.base.files import write_json
from vadbench.clip import Clip, ClipSource, load_clip
from vadbench.features.regions import REGIONS, cut
from vadbench.harness import environment
from vadbench.inputs import VideoInput
from vadbench.method import Task

HEIGHT, WIDTH = 240, 320
PAPER = {"frame-based": (4.79, 0.19, 4.98), "object-centric": (None, None, 20.69)}
"""Milliseconds on an RTX 3060 with ViT-B/32: feature, similarity, total."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", default="small", help="an open_clip model name (default: small)")
    parser.add_argument("--clip-weights", default="", help="an open_clip tag, a file, or random:SEED")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--repeats", default=20, type=int, help="frames that are timed (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    device = environment.choose_device(options.device)
    clip = load_clip(ClipSource(options.clip, options.clip_weights), device)
    figures = measure(clip, options)
    made_on = machine.environment(device)
    print(machine.words(made_on))
    print(f"{clip.name}, {options.precision}, {REGIONS} objects a frame, {torch.get_num_threads()} threads")
    steps = ["feature", "similarity", "total"]
    rows = [
        [step, *(figures[way][step] for way in figures), *(times[i] for times in PAPER.values())]
        for i, step in enumerate(steps)
    ]
    heads = ["ms a frame", *figures, *(f"paper, {way}" for way in PAPER)]
    print(tabulate(rows, heads, tablefmt="github", floatfmt=".2f", missingval="-"))
    if options.json:
        settings = {k: v for k, v in vars(options).items() if k != "json"}
        write_json(options.json, {"settings": settings, "ms": figures, "environment": made_on})


def measure(clip: Clip, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Median milliseconds of each step of both ways."""
    config = resolve(DescriptionsFrame.Config, {"vote": "none"})
    method = DescriptionsFrame(config, Task(ShanghaiTech.classes, clip.dim, clip.device, lambda: clip.text))
    method = method.to(clip.device).eval()
    draw = np.random.default_rng(0)
    frame = torch.from_numpy(draw.integers(0, 256, (1, 3, HEIGHT, WIDTH), np.uint8))
    # People and bicycles of a walkway camera: some 15 x 40 to 40 x 100 pixels.
    width, height = draw.uniform(15, 40, REGIONS), draw.uniform(40, 100, REGIONS)
    left, top = draw.uniform(0, WIDTH - width), draw.uniform(0, HEIGHT - height)
    boxes = np.stack([left, top, left + width, top + height], axis=1)

    def whole() -> Tensor:
        return clip.encode_images(clip.preprocess(frame), options.precision)

    def objects() -> Tensor:
        return clip.encode_images(torch.cat([clip.preprocess(cut(frame, b)) for b in boxes]), options.precision)

    def similarity(rows: Tensor) -> float:
        with torch.inference_mode():
            return float(method.score([VideoInput.of_rows(rows)])[0].anomaly.max())

    ways: dict[str, Callable[[], Tensor]] = {"frame-based": whole, "object-centric": objects}
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(options.repeats + 1):
        for way, encode in ways.items():
            start = time.perf_counter()
            rows = encode()
            if clip.device.type == "cuda":
                torch.cuda.synchronize()
            encoded = time.perf_counter()
            similarity(rows)
            taken[way].append((1000 * (encoded - start), 1000 * (time.perf_counter() - encoded)))
    return {
        way: {
            "feature": median(f for f, _ in times[1:]),
            "similarity": median(s for _, s in times[1:]),
            "total": median(f + s for f, s in times[1:]),
        }
        for way, times in taken.items()
    }


if __name__ == "__main__":
    main()
