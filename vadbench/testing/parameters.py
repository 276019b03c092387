"""Checks of a method's parameters: their training, initialisation, checkpoints, and use for other classes."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor

from vadbench.base.classes import VideoClass
from vadbench.base.errors import CheckpointError, listed
from vadbench.base.files import write_tensors
from vadbench.base.needs import Facts
from vadbench.dataset import ClassTable
from vadbench.harness.checkpoints import load_checkpoint
from vadbench.method import Method
from vadbench.records.record import CHECKPOINT
from vadbench.testing.conformance import Failure, require
from vadbench.testing.tested_method import TestedMethod, furthest

SHOWN = 3
"""Maximum number of parameters named in a message."""
OTHER = ClassTable(
    tuple(VideoClass(name, words) for name, words in (("Calm", "normal"), ("Parade", "parade"), ("Flood", "flood"))), 0
)
"""Classes that no data set has."""


def gradients(subject: TestedMethod) -> str:
    """Check that every gradient is finite in a few steps of training, and that every parameter gets one."""
    method = subject.build(0)
    trainable = {name: p for name, p in method.named_parameters() if p.requires_grad}
    if subject.recipe is not None:
        require(
            bool(trainable),
            "the method has a recipe and no trainable parameter",
            "leave recipe at None, or register parameters as nn.Parameter or modules on self",
        )
        _require_grouped(method, subject, trainable)
    seen = {name: 0.0 for name in trainable}

    def watch(name: str, parameter: Tensor) -> None:
        def look(p: Tensor) -> None:
            assert p.grad is not None
            seen[name] = max(seen[name], float(p.grad.abs().nan_to_num(float("inf")).max()))

        parameter.register_post_accumulate_grad_hook(look)  # type: ignore[no-untyped-call]

    for name, parameter in trainable.items():
        watch(name, parameter)
    rehearsal = subject.rehearse(0, method)
    if not rehearsal.trained:
        raise SkipTest("the method is not trained by the loop" if subject.needs.learns else "the method is not trained")
    terms = rehearsal.terms
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
        f"no gradient reaches {_named(dead)} in {rehearsal.epochs} epochs or fewer",
        "use it in loss() without detach(), or make it a buffer if it is not to be trained",
    )
    return f"{len(trainable)} trainable parameters, loss of {', '.join(terms)}"


def _require_grouped(method: Method, subject: TestedMethod, trainable: Mapping[str, Tensor]) -> None:
    """Raise if a parameter is trained by no optimiser, or by two."""
    assert subject.recipe is not None
    own = method.optimisers(subject.recipe)
    if own is None:
        where, grouped = "groups()", [id(p) for group in method.groups().values() for p in group]
    else:
        where = "optimisers()"
        grouped = [id(p) for made in own.values() for group in made.param_groups for p in group["params"]]
    for problem, names in {
        f"are in no group of {where}": [n for n, p in trainable.items() if id(p) not in grouped],
        f"are in several groups of {where}": [n for n, p in trainable.items() if grouped.count(id(p)) > 1],
    }.items():
        require(not names, f"{_named(names)} {problem}", "name every trainable parameter in one group")


def seeds(subject: TestedMethod) -> str:
    """Check that two trainings under one seed are the same, with other states of the process's generators."""
    weights = []
    for other in (1, 2):
        random.seed(other)
        np.random.seed(other)
        torch.manual_seed(other)
        weights.append(subject.train(0).state_dict())
    differing = differences(*weights)
    require(
        not differing,
        f"two trainings under seed 0 differ in {_named(differing)}",
        "draw from the generator that view() is given and from torch's, which the harness seeds; not from random,"
        " numpy.random, the clock or the order of a set",
    )
    return f"{len(weights[0])} tensors are the same bit for bit after two trainings under seed 0"


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
        not subject.asked_for_text or subject.clip.text not in list(plain.modules()),
        "CLIP's text tower is a module of the method, so every checkpoint has a copy",
        "call self.task.text where it is needed and do not store it on self",
    )
    method, fresh = subject.trained, subject.build(1, run=0)
    state = method.state_dict()
    with tempfile.TemporaryDirectory() as folder:
        write_tensors(Path(folder) / CHECKPOINT, state)
        try:
            load_checkpoint(Path(folder), fresh)
        except CheckpointError as error:
            raise Failure(
                f"its own checkpoint cannot be loaded: {str(error).partition(': ')[2]}",
                "give buffers whose size the data decides their size in resize(shapes), which is called before",
            ) from error
    differing = [name for name in differences(state, fresh.state_dict()) if name in state]
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


def vocabulary(subject: TestedMethod) -> str:
    """Check that a method of an open vocabulary keeps its weights under other classes, and gives scores of these."""
    if not subject.config.open_vocabulary:
        raise SkipTest("its settings do not say open_vocabulary: other classes are those that two data sets share")
    method, own = subject.trained, subject.classes
    table = next((t for t in (OTHER, _turned(own)) if not subject.config.unfit(Facts("", t))), None)
    if table is None:
        raise SkipTest("its settings fit no other classes than those of its data set")
    videos = subject.videos((1, 17, 40))
    before = subject.score(method, videos)
    other = method.retarget(table)
    require(
        isinstance(other, Method) and other is not method and other.task.classes is table,
        f"retarget() gave {type(other).__name__} for {len(getattr(other, 'task', method.task).classes)} classes",
        "return a new method whose task has the classes that it is given, and leave the one it is called on as it was",
    )
    kept, now = dict(method.named_parameters()), dict(other.named_parameters())
    lost = [n for n, p in kept.items() if n not in now or not _same(p.data, now[n].data)]
    require(
        not lost,
        f"{_named(lost)} are not those of the trained method after retarget()",
        "keep what was trained: where weights belong to classes, the settings must not say open_vocabulary",
    )
    require(
        not subject.needs.text or other.task.text is method.task.text,
        "retarget() gave the method another text tower",
        "hand self.task.text on to the new task: CLIP's text tower is large, and one is enough",
    )
    for video, scores in zip(videos, subject.score(other, videos), strict=True):
        shape = (video.row_count, len(table))
        require(
            scores.classes is None or tuple(scores.classes.shape) == shape,
            f"class probabilities for {len(table)} other classes are {tuple(scores.classes.shape)}, expected {shape}"
            if scores.classes is not None
            else "",
            "make what belongs to classes of task.classes, in the constructor",
        )
    back = subject.score(other.retarget(own), videos)
    for what, again in (("after it", subject.score(method, videos)), ("back under its own classes", back)):
        gap, which = furthest(before, again)
        require(
            gap == 0,
            f"{what}, {which} differ by {gap:.3g} from those before retarget()",
            "change nothing of the method that retarget() is called on, and build the new one of the same state",
        )
    return f"{len(kept)} parameters are kept under {', '.join(table.names)}; back again, the same scores bit for bit"


def _turned(table: ClassTable) -> ClassTable:
    """Return the classes of a table in the opposite order."""
    return ClassTable(table.classes[::-1], len(table) - 1 - table.normal)


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the names of the tensors that two states do not share bit for bit."""
    names: Iterable[str] = one.keys() | other.keys()
    return sorted(n for n in names if n not in one or n not in other or not _same(one[n], other[n]))


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))


def _named(names: list[str]) -> str:
    return listed([f"'{n}'" for n in names], SHOWN)
