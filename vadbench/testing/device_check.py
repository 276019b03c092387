"""Check of what a method does on a GPU, which is pretended: nobody needs to have one to find what would stop there."""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vadbench.base.errors import VadbenchError, listed, one_line
from vadbench.base.files import write_tensors
from vadbench.harness.checkpoints import load_checkpoint
from vadbench.method import Method, Scores
from vadbench.plugins.provenance import OWN
from vadbench.records.record import CHECKPOINT
from vadbench.testing.conformance import Failure, require
from vadbench.testing.fitting import late_stops, resumed
from vadbench.testing.guards import CHECKS_FOLDER
from vadbench.testing.pretend import DeviceMixError, pretend
from vadbench.testing.tested_method import CPU, TestedMethod, furthest

GPU = torch.device("cuda")
TOLERANCE = 1e-3
"""Largest difference from the CPU's weights and scores."""
SEEDS = (0, 1, 2)
"""Seeds under one of which the values must be equal."""
MOVED = 1e-2
"""Deviation of what parameters are moved by before a training."""
FEW_EPOCHS = 2
"""Epochs of a stage: after many steps, rounding would have become another training."""
LENGTHS = (1, 16, 17, 300)
"""Lengths in rows of the videos to score."""
SHOWN = 3
"""Maximum number of tensors named in a message."""
_MIXED = (
    "make a tensor where those are that it is used with, as torch.arange(n, device=rows.device), and keep it from call"
    " to call as a buffer, which follows the method"
)
_REMEDIES = {
    "to numpy": "call .detach().cpu() before .numpy(), or stay in torch",
    "for generator": "draw on the CPU and move what was drawn: torch.randn(n, generator=g).to(rows.device)",
    "deterministic": "take an operation with a deterministic form on a GPU, see torch.use_deterministic_algorithms",
    "unsafe to autocast": "call it under torch.autocast(device_type, enabled=False), or on logits",
}
"""What to do about an error, by words of its message."""


def device(subject: TestedMethod) -> str:
    """Check that a method is trained, resumed and scored on a GPU with the CPU's values, and all of it is there."""
    return "on a pretended GPU " + compared(subject, pretend)


def compared(subject: TestedMethod, entered: Callable[[], AbstractContextManager[Any]]) -> str:
    """Return what was found of a method on a GPU beside the CPU.

    Args:
        subject: the method.
        entered: gives a context within which there is a GPU.

    Raises:
        Failure: it does not work there, gives other values, or a part of it is elsewhere.
    """
    for seed in SEEDS:
        # Rounding turns a choice where two rows are as good as equal, and then all that follows; never under each seed.
        apart = _apart(subject, entered, seed)
        if max(apart.weights, apart.scores) <= TOLERANCE:
            break
    fix = "look for what depends on the device: an `if` over its type, or numbers that are drawn on it"
    found = f"trained on a GPU, the weights differ from the CPU's by {apart.weights:.2g}, most in {apart.tensor}"
    require(apart.weights <= TOLERANCE, found, fix)
    require(apart.scores <= TOLERANCE, f"on a GPU {apart.kind} differ from the CPU's by {apart.scores:.2g}", fix)
    stages = listed([repr(stage) for stage in apart.stages], SHOWN)
    trained = f"trained, broken off in {stages}, and " if stages else ""
    return f"{trained}scored: the CPU's values within {max(apart.weights, apart.scores):.1g}"


@dataclass(frozen=True)
class _Apart:
    """How far a GPU is from the CPU: weights after a training, and scores."""

    weights: float
    tensor: str
    scores: float
    kind: str
    stages: list[str]


def _apart(subject: TestedMethod, entered: Callable[[], AbstractContextManager[Any]], seed: int) -> _Apart:
    on_cpu = subject.rehearse(seed, _started(subject, seed, CPU), epochs=FEW_EPOCHS)
    stops, weights, videos = late_stops(on_cpu), on_cpu.method.state_dict(), subject.videos(LENGTHS)
    expected = subject.score(on_cpu.method, videos)
    with entered():
        try:
            method = resumed(subject, lambda: _started(subject, seed, GPU), stops, FEW_EPOCHS, seed).eval()
            _require_placed(method, "after fit()")
            found = {name: value.cpu() for name, value in method.state_dict().items()}
            fresh = _restored(subject, method, seed)
            _require_placed(fresh, "of a method restored from its checkpoint")
            scores = [_of_the_cpu(own) for own in subject.score(fresh, videos)]
        except (Failure, VadbenchError):
            raise
        except Exception as error:
            raise _stopped(subject, error) from error
    return _Apart(*weights_apart(found, weights), *furthest(scores, expected), [stage for stage, _ in stops])


def _started(subject: TestedMethod, seed: int, device: torch.device) -> Method:
    """Return a new method whose parameters are moved a little.

    Layers that begin at zero give all rows the same score, and which of equal ones is chosen nobody can say.
    """
    method = subject.build(seed, device=device)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in method.parameters():
            if parameter.requires_grad:
                parameter.add_(MOVED * torch.randn(parameter.shape, generator=rng).to(device))
    return method


def _restored(subject: TestedMethod, method: Method, seed: int) -> Method:
    """Return a new method of another seed with the weights of a checkpoint of ``method``."""
    fresh = subject.build(seed + 1, run=seed, device=GPU)
    with tempfile.TemporaryDirectory(prefix=CHECKS_FOLDER) as folder:
        write_tensors(Path(folder) / CHECKPOINT, method.state_dict())
        load_checkpoint(Path(folder), fresh)
    return fresh


def _require_placed(method: Method, when: str) -> None:
    """Raise if a parameter, a buffer or a tensor that a module keeps as an attribute is not on the device.

    Raises:
        Failure: so it is; names them.
    """
    registered = [*method.named_parameters(), *method.named_buffers()]
    lost = [name for name, tensor in registered if tensor.device.type != GPU.type]
    require(
        not lost,
        f"{when} {listed(lost, SHOWN)} are not on the GPU",
        "write into a buffer, self.center.copy_(found), or assign what is on self.task.device",
    )
    kept = [
        f"{place}.{name}" if place else name
        for place, module in method.named_modules()
        for name, value in vars(module).items()
        if name not in ("_parameters", "_buffers", "_modules")
        and any(tensor.device.type != GPU.type for tensor in _tensors(value))
    ]
    require(
        not kept,
        f"{when} {listed(kept, SHOWN)}, kept as attributes, are not on the GPU",
        "register them as buffers, with persistent=False if a checkpoint need not have them: buffers follow the method",
    )


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield a tensor, or those in a list, a tuple or a dictionary."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _of_the_cpu(scores: Scores) -> Scores:
    def moved(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: moved(part) for name, part in value.items()}
        return value.cpu() if isinstance(value, Tensor) else value

    return replace(scores, **{name: moved(value) for name, value in vars(scores).items()})


def weights_apart(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> tuple[float, str]:
    """Return how far two states are apart, and the tensor in which most.

    The distance of all their values, as a share of the length of all expected ones: a bias in front of a normalisation
    has a gradient of rounding alone, by which an optimiser moves it as far as any other parameter.
    """
    if unlike := sorted(n for n in found.keys() | expected if n not in found or n not in expected):
        return float("inf"), unlike[0]
    total, apart, most, what = 0.0, 0.0, -1.0, ""
    for name, value in expected.items():
        if found[name].shape != value.shape:
            return float("inf"), name
        square = float((found[name].double() - value.double()).nan_to_num(float("inf")).square().sum())
        total, apart = total + float(value.double().square().sum()), apart + square
        if square > most:
            most, what = square, name
    return (apart / total) ** 0.5 if total else apart**0.5, what


def _stopped(subject: TestedMethod, error: Exception) -> Failure:
    """Return the failure of a method that works on the CPU and raised an error on the device: says in which line."""
    said = one_line(f"{type(error).__name__}: {error}")
    fix = _MIXED if isinstance(error, DeviceMixError) else "fix it: on the CPU the same calls work"
    remedy = next((text for words, text in _REMEDIES.items() if words in said), fix)
    return Failure(f"on a GPU it raised {said} ({_line(subject, error)})", remedy)


def _line(subject: TestedMethod, error: Exception) -> str:
    """Return the innermost line of the method's own package on the way to an error, or else the innermost of all."""
    stack = traceback.extract_tb(error.__traceback__)
    roots = list(_roots(subject.kind))
    own = [frame for frame in stack if any(Path(frame.filename).is_relative_to(root) for root in roots)]
    last = (own or stack)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}: {last.line}"


def _roots(kind: type[Method]) -> Iterator[Path]:
    """Yield the folders of the packages, or the files, in which a method's class and those it is built on are."""
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        if issubclass(base, Method) and package != OWN:
            file = Path(sys.modules[package].__file__ or "")
            yield file.parent if file.name == "__init__.py" else file
