"""What each trick of the code gains: a piece of work as vadbench does it, in turns with the plain way.

    OMP_NUM_THREADS=1 python benchmarks/speed/tricks.py [TRICK...] [--pairs 9] [--json FILE]

Both do the same work at published sizes, in one process and in turns; gains are ratios of CPU seconds, plain over ours.
A trick that gains less than 1.15 stays only for another reason, which is named: memory, exactness, or the bits of
what was trained with it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from machine import environment, words
from measuring import once
from tabulate import tabulate
from torch import Tensor, nn
from vadbench_anomalyclip import axial
from works.methods import own_step
from works.scoring import built
from works.work import Options

from vadbench.base.files import write_json
from vadbench.nn.attention import Attention, quick_gelu
from vadbench.nn.convolution import RowConvolution, side_by_side
from vadbench.nn.dropout import dropout
from vadbench.nn.linear import _outer, linear
from vadbench.nn.normalisation import RowNorm
from vadbench.nn.sampling import binned_sample

LEAST = 0.02
"""CPU seconds that a turn takes at least: what is shorter is done several times in it."""
Pair = tuple[Callable[[], Any], Callable[[], Any]]
"""Ours and the plain way."""


def both_passes(work: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Callable[[], Any]:
    """A forward and a backward pass."""

    def run() -> None:
        found = work()
        torch.autograd.grad(found, inputs, torch.ones_like(found))

    return run


def scored_linear() -> Pair:
    rows, weight, bias = torch.randn(2048, 512), torch.randn(2048, 512), torch.randn(2048)
    return in_inference(lambda: linear(rows, weight, bias)), in_inference(lambda: F.linear(rows, weight, bias))


def trained_linear() -> Pair:
    inputs = [torch.randn(3840, 512).requires_grad_(), *nn.Linear(512, 2048).parameters()]
    return both_passes(lambda: linear(*inputs), inputs), both_passes(lambda: F.linear(*inputs), inputs)


def weight_gradient() -> Pair:
    outer, rows = torch.randn(3840, 2048), torch.randn(3840, 512)
    return lambda: _outer(outer, rows), lambda: outer.T @ rows


def taps() -> Pair:
    layers = [RowConvolution(512, 128, 3, step) for step in (1, 2, 4)]
    rows = torch.randn(64, 32, 512).requires_grad_()
    inputs = [rows, *(p for layer in layers for p in layer.parameters())]

    def plain() -> Tensor:
        found = [
            F.conv1d(rows.mT, own.kernel(), own.bias, padding=own.taps.reach, dilation=own.taps.dilation).mT
            for own in layers
        ]
        return torch.cat(found, -1)

    return both_passes(lambda: torch.cat(side_by_side(rows, layers), -1), inputs), both_passes(plain, inputs)


def dropped() -> Pair:
    rows = torch.randn(64, 32, 512)
    return lambda: dropout(rows, 0.7), lambda: F.dropout(rows, 0.7)


def norm() -> Pair:
    rows, ours, plain = torch.randn(64, 32, 512).requires_grad_(), RowNorm(512), nn.BatchNorm1d(512)
    inputs = [[rows, *layer.parameters()] for layer in (ours, plain)]
    return both_passes(lambda: ours(rows), inputs[0]), both_passes(lambda: plain(rows.mT).mT, inputs[1])


def one_head() -> Pair:
    layer, rows = Attention(512, 1, window=64), torch.randn(15, 256, 512).requires_grad_()
    inputs = [rows, *layer.parameters()]

    def plain() -> Tensor:
        query, key, value = layer.inputs(rows).view(60, 64, 3, 1, 512).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        return layer.output(attended.transpose(1, 2).reshape(rows.shape))

    return both_passes(lambda: layer(rows), inputs), both_passes(plain, inputs)


def pieces() -> Pair:
    layer, grid = axial.GridFeedForward(256), torch.randn(16, 32, 16, 256).requires_grad_()
    inputs = [grid, *layer.parameters()]
    at_once = axial._AT_ONCE

    def of(channels: int) -> Tensor:
        axial._AT_ONCE = channels
        return layer(grid)

    return both_passes(partial(of, at_once), inputs), both_passes(partial(of, 4 * 256), inputs)


def activation() -> Pair:
    rows = torch.randn(3840, 2048).requires_grad_()
    return both_passes(lambda: quick_gelu(rows), [rows]), both_passes(
        lambda: rows * torch.sigmoid(1.702 * rows), [rows]
    )


def bins() -> Pair:
    rows = np.random.default_rng(0).standard_normal((400, 512), np.float32)

    def plain() -> Any:
        edges = np.arange(33) * 400 // 32
        return np.stack([rows[a:b].mean(0) for a, b in pairwise(edges)])

    return lambda: binned_sample(rows, 32), plain


def parts(name: str) -> Pair:
    """A whole training step; the peak of memory is what parts are for as well."""
    method = built(name, Options())
    step = own_step(method, method.config.recipe.batch_size, "fp32")
    module: Any = sys.modules[type(method).__module__]
    at_once = module.ROWS_IN_PART

    def with_rows(rows: int) -> None:
        module.ROWS_IN_PART = rows
        method._part_counts.clear()
        step()

    return partial(with_rows, at_once), partial(with_rows, 10**9)


def in_inference(work: Callable[[], Any]) -> Callable[[], Any]:
    """The same without anything kept for gradients, as scoring runs."""
    return torch.inference_mode()(work)


TRICKS: dict[str, tuple[Callable[[], Pair], str]] = {
    "linear layer, scoring": (scored_linear, "oneDNN; plain: MKL"),
    "linear layer, training": (trained_linear, "oneDNN; plain: MKL"),
    "gradient of weights": (weight_gradient, "as of a convolution; plain: a product"),
    "convolutions by taps": (taps, "one product of all taps; plain: torch's convolutions"),
    "dropout": (dropped, "four units of each random number; plain: torch's"),
    "batch norm": (norm, "sums over rows, for exactness as well; plain: torch's, channels first"),
    "one head": (one_head, "weights multiplied before; plain: queries, keys and values"),
    "pieces of 512 channels": (pieces, "two convolutions of half the channels, kept for its bits; plain: one"),
    "activation": (activation, "torch's silu; plain: a product with a sigmoid"),
    "bins": (bins, "summed at once; plain: a mean for each"),
    "vadclip: parts": (partial(parts, "vadclip"), "15 videos at a time, for memory as well; plain: the batch"),
    "urdmu: parts": (partial(parts, "urdmu"), "pairs at a time, for memory as well; plain: the batch"),
}


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tricks", nargs="*", metavar="TRICK", help=f"of {', '.join(TRICKS)}  (default: all)")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    if unknown := set(options.tricks) - set(TRICKS):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(TRICKS)}")
    torch.set_num_threads(1)
    made_on = environment(torch.device("cpu"))
    print(words(made_on))
    found, rows = {}, []
    for name in options.tricks or TRICKS:
        make, what = TRICKS[name]
        ours, plain = taken(make(), options.pairs)
        gains = [b / a for a, b in zip(ours, plain, strict=True)]
        found[name] = {"ours": ours, "plain": plain}
        spread = f"{median(gains):.2f} ({min(gains):.2f}-{max(gains):.2f})"
        rows.append([name, what, f"{1000 * median(ours):.3g}", f"{1000 * median(plain):.3g}", spread])
    heads = ["trick", "ours; plain", "ours, CPU ms", "plain, CPU ms", "gain"]
    print(tabulate(rows, heads, tablefmt="github", disable_numparse=True))
    if options.json:
        write_json(options.json, {"environment": made_on, "tricks": found})


def taken(pair: Pair, pairs: int) -> tuple[list[float], list[float]]:
    """CPU seconds of each call of both, in turns, after two of each that do not count."""
    for work in pair * 2:
        work()
    often = max(1, round(LEAST / max(1e-6, once(pair[0])[1])))

    def several(work: Callable[[], Any]) -> float:
        return once(lambda: [work() for _ in range(often)])[1] / often

    seconds = [(several(pair[0]), several(pair[1])) for _ in range(pairs)]
    return [a for a, _ in seconds], [b for _, b in seconds]


if __name__ == "__main__":
    main()
