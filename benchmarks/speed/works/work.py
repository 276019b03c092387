"""What a piece of work is, how large it is, and how its numbers are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from measuring import operations, operations_rate
from numpy.typing import NDArray


@dataclass(frozen=True)
class Options:
    """How large the work is and where it is done; see the options of the command."""

    full: bool = False
    quick: bool = False
    device: str = "cpu"
    precision: str = "fp32"

    @property
    def clock(self) -> int:
        """Which of wall and CPU seconds are compared: on a GPU the processor mostly waits."""
        return int(self.device == "cpu")


@dataclass(frozen=True)
class Work:
    """A piece of work.

    Args:
        ours: what vadbench does.
        literal: the same, literally, always in float32; ``None`` where there is no other way to do it.
        floor: seconds that it needs at least, wall or CPU as :attr:`Options.clock` says.
        difference: largest relative difference between the two in float32, over what is tolerated.
        times: how often the literal version's seconds count, where it does only a part.
        before: done before ours is timed.
        facts: further figures, asked for when ours has been timed.
    """

    ours: Callable[[], Any]
    literal: Callable[[], Any] | None
    floor: Callable[[], float]
    difference: Callable[[], float] = lambda: 0.0
    times: int = 1
    before: Callable[[], Any] = lambda: None
    facts: Callable[[], dict[str, float]] = dict


def off(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest difference over what the parity tests tolerate: 1e-5 of the largest value and of the value itself."""
    size = np.abs(expected.astype(float))
    return float((np.abs(found.astype(float) - expected) / (1e-5 * (size + size.max()))).max())


def floor_of(run: Callable[[], Any], options: Options) -> float:
    """Seconds that the operations of a call take at the rate of the fastest of them."""
    return operations(run) / operations_rate(options.device, options.precision, options.quick)
