"""How fast the trained methods are at their published sizes, beside the authors' code.

    python benchmarks/speed/methods.py [--threads 2] [--full] [--quick] [--json FILE]

UCF-Crime's 14 classes, a text tower of ViT-B/16's size with random weights, drawn features. Every measurement has a
process of its own, so that peak memory is its own: what torch and the whole CLIP take is in it. Short ones are medians
of several after one that does not count. The table ends with two pieces of work that are the same here and in the
authors' code: by how much they are faster is the doing of machine, library and settings, not ours. Threads that wait
sleep here; under torch's own setting, which the authors' code probably had, they spin and their seconds count.

Of a test split of UCF-Crime's size, 290 videos and 1,111,808 frames, a tenth is scored and counted ten times, or with
``--full`` all of it; video after video, text encoded once. ``--quick`` runs the same work in small sizes within
seconds, to see that it runs.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from measuring import Figures, peak_gb, timed
from tabulate import tabulate
from torch import Tensor
from vadbench_anomalyclip.method import AnomalyClip
from vadbench_mil.cliptsa import ClipTsa
from vadbench_mil.rtfm import Rtfm
from vadbench_ucfcrime.dataset import UcfCrime
from vadbench_urdmu.method import UrDmu
from vadbench_vadclip.method import VadClip

from vadbench.base.arithmetic import arithmetic
from vadbench.base.config import resolve
from vadbench.base.files import write_json
from vadbench.clip import ClipSource, load_clip
from vadbench.harness import environment
from vadbench.inputs import VideoInput
from vadbench.method import Batch, Method, Task
from vadbench.training.loop import autocast
from vadbench.training.optimisers import build_optimiser

VIDEOS, FRAMES = 290, 1_111_808
"""UCF-Crime's test split."""
METHODS: dict[str, type[Method]] = {
    "anomalyclip": AnomalyClip,
    "vadclip": VadClip,
    "rtfm": Rtfm,
    "clip-tsa": ClipTsa,
    "urdmu": UrDmu,
}
SMALL_BATCH = {"anomalyclip": 8, "vadclip": 16, "rtfm": 8, "clip-tsa": 8, "urdmu": 8}


@dataclass(frozen=True)
class Sizes:
    """How large the work is.

    Args:
        clip: whose text tower is used.
        settings: data set whose defaults the methods take.
        video: frames of the video that is scored alone.
        split: number of videos and frames of the split that is scored.
        times: how often the split is counted.
        repeats: measurements of what is short.
    """

    clip: ClipSource
    settings: str
    video: int
    split: tuple[int, int]
    times: int
    repeats: int


PUBLISHED = Sizes(ClipSource("ViT-B-16-quickgelu", "random:0"), "ucfcrime", 5000, (VIDEOS // 10, FRAMES // 10), 10, 5)
QUICK = Sizes(ClipSource("small"), "synthetic", 100, (3, 600), 1, 1)

STEP, SMALL_STEP = "training step, published batch", "training step, 8 (8 + 8) videos"
ALONE, NEXT = "score 5,000 frames, text included", "score 5,000 frames, text known"
SPLIT = "score the test split"
PROMPTS, CONVOLUTIONS = "14 prompts of 77 tokens", "four 3 x 3 convolutions, both ways"

REFERENCE: dict[tuple[str, str], tuple[float, float]] = {
    ("anomalyclip", STEP): (26, 33),
    ("anomalyclip", SMALL_STEP): (7, 10),
    ("anomalyclip", ALONE): (2.5, 2.7),
    ("anomalyclip", NEXT): (2.5, 2.7),
    # Counted by frames, and by videos: most of a video's seconds are its prompts'.
    ("anomalyclip", SPLIT): (2.5 * FRAMES / 5000, 2.7 * VIDEOS),
    ("vadclip", STEP): (48, 52),
    ("vadclip", SMALL_STEP): (9.9, 9.9),
    ("vadclip", ALONE): (1.9, 1.9),
    ("vadclip", NEXT): (1.9, 1.9),
    ("vadclip", SPLIT): (545, 545),
    ("both", PROMPTS): (0.88 * 1.9, 0.88 * 1.9),
    ("anomalyclip", CONVOLUTIONS): (11, 11),
}
"""CPU seconds of the authors' code, lowest and highest: measured by running it on two shared cores without a GPU, torch
2.15, float32. It encodes the prompts anew for every video."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: %(default)s)")
    parser.add_argument("--full", action="store_true", help="score the whole split")
    parser.add_argument("--quick", action="store_true", help="small sizes, not to be compared")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    sizes = QUICK if options.quick else PUBLISHED
    if options.full:
        sizes = Sizes(**vars(PUBLISHED) | {"split": (VIDEOS, FRAMES), "times": 1})
    # Threads that wait by spinning would count as work, several times over where other programs run.
    os.environ |= {"OMP_NUM_THREADS": str(options.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    processes = get_context("forkserver")
    processes.set_forkserver_preload(["vadbench_anomalyclip.method", "vadbench_vadclip.method", "vadbench.clip"])
    before = os.getloadavg()[0]
    rows, record = [], []
    for (name, work), reference in REFERENCE.items():
        with ProcessPoolExecutor(1, processes) as process:
            found = process.submit(measure, name, work, sizes).result()
        low, high = reference
        compared = ["", ""] if options.quick else [f"{low:.3g}-{high:.3g}" if low < high else f"{low:.3g}"]
        compared += [] if options.quick else [f"{low / found.cpu:.1f}"]
        rows.append([name, work, found.wall, found.cpu, found.peak_gb, *compared])
        record.append({"method": name, "work": work, **asdict(found), "reference_cpu": reference})
    after = os.getloadavg()[0]
    headers = ["method", "work", "wall s", "CPU s", "peak GB", "authors' CPU s", "times as fast"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=("", "", ".2f", ".2f", ".1f"), disable_numparse=[5, 6]))
    print(f"threads: {options.threads}; load: {before:.1f} before, {after:.1f} after")
    if options.json:
        settings = {"threads": options.threads, "full": options.full, "quick": options.quick}
        machine = environment.describe(torch.device("cpu")) | {"threads": options.threads, "load": [before, after]}
        write_json(options.json, {"settings": settings, "figures": record, "environment": machine})


def measure(name: str, work: str, sizes: Sizes) -> Figures:
    """Do a piece of work in this process, which does nothing else."""
    torch.manual_seed(0)
    times, repeats, warm = 1, sizes.repeats, True
    run: Callable[[], object]
    if work == PROMPTS:
        run = prompts(sizes)
    elif work == CONVOLUTIONS:
        run = convolutions(sizes)
    else:
        method = build(name, sizes)
        if work in (STEP, SMALL_STEP):
            batch = batch_of(method, method.config.recipe.batch_size if work == STEP else SMALL_BATCH[name])
            run = step(method, lambda: torch.stack(list(method.loss(batch).values())).sum())
            repeats = min(3, repeats) if work == STEP else repeats
        elif work == SPLIT:
            run, times, repeats, warm = score(method, lengths(*sizes.split), True), sizes.times, 1, False
        else:
            run = score(method, [sizes.video], work == ALONE)
    if warm:
        run()
    wall, cpu = (times * seconds for seconds in timed(run, repeats))
    return Figures(wall, cpu, peak_gb())


def build(name: str, sizes: Sizes, device: str = "cpu") -> Method:
    """A method with random weights."""
    text = load_clip(sizes.clip).text
    method = METHODS[name]
    config = resolve(method.Config, method.Config.dataset_defaults.get(sizes.settings, {}), environment={})
    return method(config, Task(UcfCrime.classes, text.dim, torch.device(device), lambda: text)).to(device)


def batch_of(method: Method, videos: int) -> Batch:
    """A training batch of drawn features, the first half of the videos abnormal."""
    rng, device = np.random.default_rng(0), method.task.device
    views = [
        method.view(VideoInput.of_rows(rng.standard_normal((600, method.task.dim), np.float32)), rng)
        for _ in range(videos)
    ]
    stacked = {key: torch.from_numpy(np.stack([v[key] for v in views])).to(device) for key in views[0]}
    return Batch(stacked, labels_of(method, videos).to(device))


def labels_of(method: Method, videos: int) -> Tensor:
    """Labels ``(videos, classes)``, the first half of the videos abnormal, a class after the other."""
    classes = method.task.classes
    labels = torch.zeros(videos, len(classes))
    for i in range(videos):
        labels[i, classes.abnormal[i % len(classes.abnormal)] if i < videos // 2 else classes.normal] = 1
    return labels


def step(
    method: Method, loss: Callable[[], Tensor], precision: str = "fp32", fused: bool | None = True
) -> Callable[[], None]:
    """A training step as in :func:`vadbench.training.loop.fit`: loss, gradients, AdamW."""
    method.train()
    optimiser = build_optimiser([p for g in method.groups().values() for p in g], method.config.recipe, fused)

    def run() -> None:
        with arithmetic(precision, method.task.device):
            with autocast(precision, method.task.device):
                total = loss()
            optimiser.zero_grad(set_to_none=True)
            total.backward()
        optimiser.step()

    return run


def score(method: Method, frames: list[int], forget: bool) -> Callable[[], None]:
    """Scoring videos one after another; ``forget``: text is encoded before the first of them."""
    stride = method.config.rows.stride
    videos = [VideoInput.of_rows(torch.randn(-(-n // stride), method.task.dim)) for n in frames]
    method.eval()

    @torch.inference_mode()
    def run() -> None:
        if forget:
            method.eval()
        for video in videos:
            method.score([video])

    return run


def lengths(videos: int, frames: int) -> list[int]:
    """How many frames each video of a split has: a few are long, most short, as in UCF-Crime."""
    share = np.random.default_rng(0).dirichlet(np.full(videos, 0.7))
    return [160 + int(s * (frames - 160 * videos)) for s in share]


def prompts(sizes: Sizes) -> Callable[[], Tensor]:
    """The prompts of all classes, all positions of them, through the text tower."""
    text = load_clip(sizes.clip).text
    embedded = torch.randn(len(UcfCrime.classes), text.context_length, text.width)
    ends = torch.full((len(embedded),), text.context_length - 1)
    return torch.no_grad()(lambda: text.encode(embedded, ends))


def convolutions(sizes: Sizes) -> Callable[[], None]:
    """AnomalyCLIP's convolutions over the grids of a batch and their gradients, twice from E to 4 E and back."""
    config = resolve(AnomalyClip.Config, AnomalyClip.Config.dataset_defaults[sizes.settings], environment={})
    width = config.emb_size
    grid = torch.randn(config.recipe.batch_size, width, config.segments, config.segment_length)
    weights = [torch.randn(n, m, 3, 3) for n, m in 2 * [(4 * width, width), (width, 4 * width)]]
    layers = [w.to(memory_format=torch.channels_last).requires_grad_() for w in weights]
    grid = grid.to(memory_format=torch.channels_last).requires_grad_()

    def run() -> None:
        rows = grid
        for weight in layers:
            rows = F.conv2d(rows, weight, padding=1)
        rows.sum().backward()

    return run


if __name__ == "__main__":
    main()
