"""A GPU: the real one where there is one, and otherwise one that is pretended."""

from contextlib import nullcontext

import pytest
import torch

from devices import REAL
from vadbench.clip import load_clip
from vadbench.plugins.registry import installed
from vadbench.testing.pretend import pretend
from vadbench.testing.tested_method import TestedMethod

_DRAWING = ("rand", "randn", "randint")


def _drawn_on_cpu(draw):
    """Numbers of the CPU's generator, wherever they are asked for: a GPU draws others from the same seed."""

    def call(*arguments, device=None, **settings):
        return draw(*arguments, **settings).to(device or "cpu")

    return call


@pytest.fixture
def as_on_cpu(monkeypatch):
    """The random numbers of the CPU on a real GPU as well; a pretended one has no others."""
    if REAL:
        for name in _DRAWING:
            monkeypatch.setattr(torch, name, _drawn_on_cpu(getattr(torch, name)))
        monkeypatch.setattr(
            torch.nn.functional,
            "dropout",
            lambda x, p=0.5, training=True, inplace=False: (
                x * torch.empty(x.shape).bernoulli_(1 - p).div_(1 - p).to(x.device) if training and p else x
            ),
        )


@pytest.fixture
def some_gpu(as_on_cpu):
    """Gives a context within which there is a GPU, for what is compared with the CPU before."""
    return nullcontext if REAL else pretend


@pytest.fixture
def gpu(as_on_cpu):
    """A GPU; what it is asked for is counted where it is pretended."""
    with nullcontext() if REAL else pretend() as world:
        yield world


@pytest.fixture
def autocast_gpu(as_on_cpu):
    """A GPU whose autocast is CUDA's own; pretended, it has no backward pass."""
    with nullcontext() if REAL else pretend("cuda") as world:
        yield world


@pytest.fixture(scope="session")
def small_clip():
    return load_clip()


@pytest.fixture
def subject(small_clip):
    """A method with some settings, on generated videos."""

    def of(name, config=None, registry=None):
        made = TestedMethod(name, registry or installed())
        made.clip = small_clip
        if config is not None:
            made.config = config
        return made

    return of
