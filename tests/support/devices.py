"""The devices that tests compute on: the CPU, and a GPU, which is pretended where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
import torch

from vadbench.base.arithmetic import arithmetic
from vadbench.testing.pretend import pretend

REAL = torch.cuda.is_available()
"""Whether there is a GPU."""
DEVICES = [pytest.param("cpu", id="cpu"), pytest.param("cuda", id="cuda" if REAL else "pretended-cuda")]


@contextmanager
def computing_on(name: str) -> Iterator[torch.device]:
    """Give a device by name, in full fp32 forward and backward."""
    device = torch.device(name)
    with pretend() if name == "cuda" and not REAL else nullcontext(), arithmetic("fp32", device):
        yield device
