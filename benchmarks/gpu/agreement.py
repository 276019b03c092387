"""Whether the GPU computes what the CPU does, and the same every time."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from gpu.loops import fit, terms_of
from gpu.sections import Section
from gpu.subjects import SmallMethod, trained
from torch import Tensor

from vadbench.base.arithmetic import arithmetic
from vadbench.harness import environment
from vadbench.inputs import Batch
from vadbench.method import Scores
from vadbench.plugins.registry import installed
from vadbench.testing.device_check import LENGTHS, TOLERANCE, weights_apart
from vadbench.testing.fitting import late_stops, resumed
from vadbench.testing.parameters import differences
from vadbench.testing.rehearsal import Interruption
from vadbench.testing.tested_method import CPU, furthest
from vadbench.training.stage_state import load_state

ROOT = Path(__file__).resolve().parent.parent.parent
EPOCHS = 2
"""Of a training that is compared."""
EXACT = 1e-4
"""Largest difference of a product and of a convolution in fp32, as a share of the largest value."""


def machine(section: Section) -> None:
    """The GPU by name and versions, and whether it computes at all."""
    device = section.device
    free, total = torch.cuda.mem_get_info()
    made = torch.cuda.get_device_properties(device)
    section.tell(
        f"{torch.cuda.get_device_name(device)}, compute capability {made.major}.{made.minor}, torch"
        f" {torch.__version__}, CUDA {torch.version.cuda}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    )
    section.tell(f"processor: {environment.describe(device)['processor']}")
    generator = torch.Generator().manual_seed(0)
    square, image, weight = (
        torch.randn(shape, generator=generator) for shape in [(512, 512), (4, 32, 32, 16), (32, 32, 3, 3)]
    )
    with torch.no_grad(), arithmetic("fp32", device):
        for name, work in {
            "product": lambda at: square.to(at) @ square.to(at),
            "convolution": lambda at: F.conv2d(image.to(at), weight.to(at), padding=1),
        }.items():
            expected = work("cpu")
            gap = float((work(device).cpu() - expected).abs().max() / expected.abs().max())
            told = f"{name} in fp32: differs from the CPU's by {gap:.1g} of the largest value"
            if gap <= EXACT:
                section.tell(told)
            else:
                section.fail(told)


def parity(section: Section) -> None:
    """Every method beside the CPU: scores of the same weights, gradients of a step, and a short training."""
    for name in section.names():
        section.attempt(name, lambda name=name: _agrees(section, name))


def _agrees(section: Section, name: str) -> str:
    subject = SmallMethod(name, installed())
    if subject.unfit:
        return f"not on synthetic: {subject.unfit}"
    on_cpu = subject.rehearse(0, subject.build(0), epochs=EPOCHS)
    state, videos = on_cpu.method.state_dict(), subject.videos(LENGTHS)
    expected = subject.score(on_cpu.method.eval(), videos)
    method = subject.build(1, run=0, device=section.device)
    load_state(method, state)
    found, what = furthest([_on_the_cpu(scores) for scores in subject.score(method.eval(), videos)], expected)
    figures, said = {"scores": found}, [f"scores of the same weights {found:.1g}"]
    worst = f"scores, most in {what}"
    if subject.recipe is not None:
        (own, _), (there, drew) = (_gradients(subject, device, state) for device in (CPU, section.device))
        figures["gradients"], what = weights_apart(there, own)
        if drew:
            # It draws there by itself, as dropout does, and has other numbers than on the CPU.
            said.append(f"gradients {figures.pop('gradients'):.1g} (not judged: it draws on the GPU)")
        else:
            said.append(f"gradients of a step {figures['gradients']:.1g}")
            worst = worst if found >= figures["gradients"] else f"gradients, most in {what}"
        # A gradient of rounding alone moves a weight as far as any other under Adam.
        trained = resumed(
            subject, lambda: subject.build(0, device=section.device), late_stops(on_cpu), EPOCHS
        ).state_dict()
        apart, _ = weights_apart({key: value.cpu() for key, value in trained.items()}, state)
        said.append(f"weights after a training {apart:.1g} (not judged)")
    section.keep(f"{name}: parity", **figures)
    told = f"differs from the CPU's: {', '.join(said)}"
    if not max(figures.values()) <= TOLERANCE:
        section.fail(f"{name}: {told}; expected at most {TOLERANCE} ({worst})")
    return told


def _gradients(
    subject: SmallMethod, device: torch.device, state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], bool]:
    """Return the gradients of a step from some weights, on the CPU, and whether the GPU's generator was drawn from.

    Not from the first weights: where a last layer has zeros, all rows tie, and which count as the highest is chance.
    """
    method, found, drew = subject.build(0, device=device), dict[str, Tensor](), False
    assert subject.recipe is not None

    def first(step: int, batch: Batch) -> None:
        nonlocal drew
        load_state(method, state)
        torch.manual_seed(0)
        before = torch.cuda.get_rng_state()
        with arithmetic("fp32", device, deterministic=True):
            torch.stack(list(terms_of(method.loss(batch)))).sum().backward()
        drew = device != CPU and not torch.equal(torch.cuda.get_rng_state(), before)
        grads = {name: p.grad for name, p in method.named_parameters()}
        found.update({name: grad.cpu() for name, grad in grads.items() if grad is not None})
        raise Interruption

    fit(subject, method, subject.recipe.batch_size, 1, first)
    return found, drew


def bits(section: Section) -> None:
    """Every trained method fitted twice on the GPU, and once broken off and resumed: the same bits."""
    for name, subject in trained(section.names(), small=True):
        section.attempt(name, lambda name=name, subject=subject: _repeats(section, name, subject))


def _repeats(section: Section, name: str, subject: Any) -> str:
    if subject.unfit:
        return f"not on synthetic: {subject.unfit}"
    once, again = (subject.rehearse(0, subject.build(0, device=section.device), epochs=EPOCHS) for _ in range(2))
    broken = resumed(subject, lambda: subject.build(0, device=section.device), late_stops(once), EPOCHS)
    expected = once.method.state_dict()
    for what, state in {"a second fit": again.method.state_dict(), "a resumed fit": broken.state_dict()}.items():
        if differing := differences(expected, state):
            section.fail(f"{name}: {what} ends with other bits in {len(differing)} tensors, such as {differing[0]}")
    return "compared with a second and a resumed fit"


def tests(section: Section) -> None:
    """The tests that a GPU is for: the recorded values of the authors' code, and those of ``tests/cuda``."""
    if section.pretend:
        section.tell("not on a pretended device, on which the tests run by themselves")
        return
    there = [p for p in ("tests/parity", "tests/cuda") if (ROOT / p).is_dir()]
    if not there or importlib.util.find_spec("pytest") is None:
        section.tell("left out: they need a checkout, and pip install -e '.[dev]'")
        return
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-k", "cuda", "-p", "no:cacheprovider"]
    command += ["-n", "4"] if importlib.util.find_spec("xdist") else []
    call: dict[str, Any] = {"capture_output": True, "text": True, "timeout": max(1.0, section.left - 3)}
    try:
        done = subprocess.run([*command, *there], cwd=ROOT, check=False, **call)
    except subprocess.TimeoutExpired:
        section.fail("not finished in time; run: python -m pytest tests/parity tests/cuda -k cuda")
        return
    last = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
        section.fail(last)
    else:
        section.tell(last)


def _on_the_cpu(scores: Scores) -> Scores:
    def moved(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: moved(part) for name, part in value.items()}
        return value.cpu() if isinstance(value, Tensor) else value

    return replace(scores, **{name: moved(value) for name, value in vars(scores).items()})
