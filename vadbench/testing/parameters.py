"""Checks of a method's parameters: their training, initialisation and checkpoints."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor

from vadbench.base.errors import listed
from vadbench.base.files import write_tensors
from vadbench.harness.checkpoints import load_checkpoint
from vadbench.inputs import Batch, LossTerms
from vadbench.method import Method
from vadbench.records.record import CHECKPOINT
from vadbench.testing.conformance import require
from vadbench.testing.tested_method import TestedMethod, furthest

SHOWN = 3
"""Maximum number of parameters named in a message."""


def gradients(subject: TestedMethod) -> str:
    """Check that every gradient is finite in a few steps of training, and that every parameter gets one."""
    if subject.recipe is None:
        raise SkipTest("the method is not trained")
    method = subject.build(0)
    trainable = {name: p for name, p in method.named_parameters() if p.requires_grad}
    require(
        bool(trainable),
        "the method has a recipe and no trainable parameter",
        "leave recipe at None, or register parameters as nn.Parameter or modules on self",
    )
    grouped = [id(p) for group in method.groups().values() for p in group]
    for problem, names in {
        "are in no group of groups()": [n for n, p in trainable.items() if id(p) not in grouped],
        "are in several groups of groups()": [n for n, p in trainable.items() if grouped.count(id(p)) > 1],
    }.items():
        require(not names, f"{_named(names)} {problem}", "name every trainable parameter in one group")
    seen = {name: 0.0 for name in trainable}

    def watch(name: str, parameter: Tensor) -> None:
        def look(p: Tensor) -> None:
            assert p.grad is not None
            seen[name] = max(seen[name], float(p.grad.abs().nan_to_num(float("inf")).max()))

        parameter.register_post_accumulate_grad_hook(look)  # type: ignore[no-untyped-call]

    for name, parameter in trainable.items():
        watch(name, parameter)
    terms = _watch_terms(method)
    subject.fit(method, 0)
    wide = [name for name, shape in terms.items() if shape]
    require(not wide, f"loss {_named(wide)} is {terms.get(wide[0] if wide else '')}", "give each term as a scalar")
    infinite = [n for n, size in seen.items() if not np.isfinite(size)]
    require(
        not infinite,
        f"gradients of {_named(infinite)} are not finite",
        "look for a square root or a logarithm at 0, or a division by a norm that can be 0",
    )
    dead = [n for n, size in seen.items() if size == 0]
    require(
        not dead,
        f"no gradient reaches {_named(dead)} in {subject.recipe.epochs} epochs or fewer",
        "use it in loss() without detach(), or make it a buffer if it is not to be trained",
    )
    return f"{len(trainable)} trainable parameters, loss of {', '.join(terms)}"


def _watch_terms(method: Method) -> dict[str, tuple[int, ...]]:
    """Return a dict that training fills with the shapes of the loss terms by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    inner = method.loss

    def loss(batch: Batch) -> LossTerms:
        terms = inner(batch)
        for name, term in terms.items():
            by_group = term if isinstance(term, Mapping) else {name: term}
            shapes.update({own: tuple(value.shape) for own, value in by_group.items()})
        return terms

    method.loss = loss  # type: ignore[method-assign]
    return shapes


def seeds(subject: TestedMethod) -> str:
    """Check that two trainings under one seed are the same, with other states of the process's generators."""
    weights = []
    for other in (1, 2):
        random.seed(other)
        np.random.seed(other)
        torch.manual_seed(other)
        weights.append(subject.train(0).state_dict())
    one, two = weights
    differing = sorted(k for k in one.keys() | two.keys() if k not in one or k not in two or not _same(one[k], two[k]))
    require(
        not differing,
        f"two trainings under seed 0 differ in {_named(differing)}",
        "draw from the generator that view() is given and from torch's, which the harness seeds; not from random,"
        " numpy.random, the clock or the order of a set",
    )
    return f"{len(one)} tensors are the same bit for bit after two trainings under seed 0"


def checkpoint(subject: TestedMethod) -> str:
    """Check that weights that are saved and loaded into a method of another seed give the same scores."""
    plain = subject.build(0)
    state: dict[str, Any] = plain.state_dict()
    others = [name for name, value in state.items() if not isinstance(value, Tensor)]
    require(
        not others,
        f"the state has {_named(others)}, which is {type(state[others[0]]).__name__ if others else ''}, not a tensor",
        "store what a checkpoint needs in buffers, not in get_extra_state()",
    )
    require(
        subject.clip.text not in list(plain.modules()),
        "CLIP's text tower is a module of the method, so every checkpoint has a copy",
        "call self.task.text where it is needed and do not store it on self",
    )
    method, fresh = subject.trained, subject.build(1)
    state = method.state_dict()
    with tempfile.TemporaryDirectory() as folder:
        write_tensors(Path(folder) / CHECKPOINT, state)
        load_checkpoint(Path(folder), fresh)
    again = fresh.state_dict()
    differing = [name for name in state if not _same(state[name], again[name])]
    require(
        not differing,
        f"{_named(differing)} come back from a checkpoint changed",
        "change nothing when a state is loaded",
    )
    rows = subject.videos()
    gap, what = furthest(subject.score(method, rows), subject.score(fresh, rows))
    require(
        gap == 0,
        f"{what} of a method restored from its checkpoint differ by {gap:.3g}",
        "keep everything that a score depends on in parameters and buffers: what prepare() computes, what the"
        " constructor draws, and what is cached must be dropped when a state is loaded",
    )
    return f"{len(state)} tensors, {sum(t.nbytes for t in state.values()) / 1024:,.0f} KiB; the same scores bit for bit"


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))


def _named(names: list[str]) -> str:
    return listed([f"'{n}'" for n in names], SHOWN)
