"""What preparing frames costs beside decoding them: frames of video in a CPU second, in alternating pairs.

    python benchmarks/speed/decoding.py [VIDEO...] [--stride 16] [--pooling first] [--pairs 25] [--json FILE]

decodes the videos, or 320 x 240 H.264 clips of its own, with the codec alone on one thread, and in turns with it
decodes them and converts and resizes the frames that rows are made of, as extraction does. CPU seconds are those of all
threads; a share is of the codec's frames in a CPU second, the median of all pairs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import get_args

import av
import torch
from machine import environment, words
from tabulate import tabulate

from extraction import make_videos
from vadbench.base.files import write_json
from vadbench.clip.framing import Framing
from vadbench.features.decoding import Decoder
from vadbench.features.fingerprint import Pooling
from vadbench.features.preparation import Preparation

IMAGE_SIZE, BATCH = 224, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path, help="video files  (default: four clips of its own)")
    parser.add_argument("--stride", default=16, type=int, help="frames from one row to the next")
    parser.add_argument("--pooling", default="first", choices=get_args(Pooling))
    parser.add_argument("--workers", default=1, type=int, help="threads that prepare frames")
    parser.add_argument("--pairs", default=25, type=int)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = options.videos or [v.path for v in make_videos(Path(folder), 4, 300)]
        frames, pairs = measure(paths, options.stride, options.pooling, options.workers, options.pairs)
    alone, both = zip(*pairs, strict=True)
    rows = [
        [name, frames / median(seconds), min(seconds), median(seconds), max(seconds)]
        for name, seconds in (("codec alone", alone), ("decode and prepare", both))
    ]
    made_on = environment(torch.device("cpu"))
    print(words(made_on))
    print(f"stride {options.stride}, {options.pooling}, {options.workers} workers, {frames} frames")
    print(tabulate(rows, ["CPU s", "frames/s", "min", "median", "max"], floatfmt=("", ".0f", ".4f", ".4f", ".4f")))
    share = median(a / b for a, b in pairs)
    print(f"share of the codec's frames in a CPU second: {share:.1%}")
    if options.json:
        settings = {k: v for k, v in vars(options).items() if k not in ("json", "videos")}
        record = {"settings": settings, "frames": frames, "pairs": pairs, "share": share}
        write_json(options.json, record | {"environment": made_on})


def measure(
    paths: list[Path], stride: int, pooling: Pooling, workers: int, pairs: int
) -> tuple[int, list[tuple[float, float]]]:
    """Return the number of frames, and pairs of CPU seconds: of the codec alone, of decoding and preparing."""
    preparation = Preparation(Framing(image_size=IMAGE_SIZE).preprocess, stride, pooling, BATCH)

    def alone() -> int:
        return sum(_decoded(path) for path in paths)

    def both() -> int:
        with Decoder(paths, preparation, workers) as decoder:
            for number in range(len(paths)):
                for _ in decoder.batches(number):
                    pass
            return decoder.decoded

    frames = alone()
    assert both() == frames
    return frames, [(_cpu(alone), _cpu(both)) for _ in range(pairs)]


def _decoded(path: Path) -> int:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        return sum(1 for _ in container.decode(stream))


def _cpu(work: Callable[[], int]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
