"""What a training step takes at least with the operations that torch has, beside its floor.

    python benchmarks/speed/products.py [METHOD...] [--quick]

A floor takes every matrix product and convolution at the rate of the fastest of them. Here each is done alone, several
times over, at its own best; random numbers and the optimiser as they are within a step; and all other operations move
their bytes at the bandwidth of memory and take no other time. What a step takes beyond the sum is the time that its
operations need to begin, and memory that is not in a cache. CPU seconds, the least of several, one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from machine import environment, words
from measuring import bandwidth, flop_formulas, operations_rate, timed
from tabulate import tabulate
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from works.training import step
from works.work import Options

METHODS = ("rtfm", "clip-tsa", "urdmu", "vadclip")
REPEATS = 9
VIEWS = {"view", "_unsafe_view", "t", "transpose", "permute", "expand", "slice", "select", "unsqueeze", "squeeze"}
VIEWS |= {"detach", "alias", "as_strided", "split", "split_with_sizes", "unbind", "unfold", "narrow", "_reshape_alias"}
VIEWS |= {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "lift_fresh"}
DRAWS = {"random_", "normal_", "rand", "randn", "uniform_", "bernoulli_"}


@dataclass
class Operations(TorchDispatchMode):
    """The operations of a step."""

    products: list[tuple[Callable[[], Any], int]] = field(default_factory=list)
    """Each product or convolution, to be done again, and its multiplications and additions."""
    given: float = 0
    """Seconds of random numbers and of the optimiser."""
    others: int = 0
    moved: int = 0
    """Bytes that all others read and write."""

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        before = time.thread_time()
        out = func(*args, **kwargs)
        if formula := flop_formulas().get(func._overloadpacket):
            self.products.append((partial(func, *args, **kwargs), formula(*args, **kwargs, out_val=out)))
        elif name in DRAWS or name.startswith("_fused_adam"):
            self.given += time.thread_time() - before
        elif name not in VIEWS:
            tensors = {id(t): t for t in tree_flatten((args, kwargs, out))[0] if isinstance(t, torch.Tensor)}
            self.moved += sum(min(t.nbytes, t.untyped_storage().nbytes()) for t in tensors.values())
            self.others += 1
        return out


def least(run: Callable[[], Any]) -> float:
    """CPU seconds of the fastest of several calls."""
    return min(timed(run)[1] for _ in range(REPEATS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=METHODS, metavar="METHOD")
    parser.add_argument("--quick", action="store_true", help="small batches")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in arguments.methods:
        with tempfile.TemporaryDirectory() as folder:
            work = step(name, Options(quick=arguments.quick), Path(folder))
        work.ours()
        with Operations() as found:
            work.ours()
        floor = sum(count for _, count in found.products) / operations_rate("cpu", "fp32")
        with torch.no_grad():
            alone = sum(least(product) for product, _ in found.products)
        parts = [alone, found.given, found.moved / bandwidth()]
        took = least(work.ours)
        seconds = [took, floor, *parts, sum(parts)]
        rows.append([name, *(1e3 * s for s in seconds), found.others, sum(parts) / floor, took / floor])
    print(words(environment(torch.device("cpu"))), end="\n\n")
    heads = ["step", "ms", "floor", "products", "draws, optimiser", "bytes", "at least", "other operations"]
    print(tabulate(rows, [*heads, "at least / floor", "ms / floor"], "github", floatfmt=(".3g")))


if __name__ == "__main__":
    main()
