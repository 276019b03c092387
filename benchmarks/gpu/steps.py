"""Training steps: how fast they are, what they take, and where they make the processor wait for the GPU."""

from __future__ import annotations

import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from gpu.loops import fit, terms_of
from gpu.sections import Section
from gpu.subjects import PublishedMethod, SmallMethod, trained
from measuring import operations, operations_rate, timed

from vadbench.base.arithmetic import arithmetic
from vadbench.inputs import Batch
from vadbench.method import Method
from vadbench.testing.pretend.world import calling_line
from vadbench.testing.rehearsal import Interruption
from vadbench.training.loop import autocast
from vadbench.training.optimisers import build_optimiser

PRECISIONS = ("fp32", "tf32", "bf16")
ESTIMATES: dict[str, dict[str, str]] = {
    "anomalyclip": {"fp32": "45-55", "tf32": "12-14", "bf16": "13-15"},
    "vadclip": {"fp32": "45-50", "tf32": "16-20", "bf16": "10-13"},
}
"""Milliseconds of a step alone on an H200: estimated from the operations and bytes that it asks for, before any GPU had
been measured."""
PEAKS = {"anomalyclip": 1.6, "vadclip": 5.1, "descriptions-video": 1.8, "clip-temporal-linear": 1.6}
"""GiB of a training in fp32, counted on a pretended device. These methods come first."""
WARM, STEPS = 3, 8
"""Steps of a loop that do not count, and steps that do."""
READING = "vadbench/training/loop.py"
"""Where a step may wait for the GPU, once: what reads the losses."""
REPEATS = 5
SMALL_BATCH = 8


def steps(section: Section) -> None:
    """A step of every trained method: alone on a batch that is there, and in the loop, batches and all."""
    # A pretended device has no autocast where gradients are needed.
    rates = {p: operations_rate("cuda", p) for p in PRECISIONS} if not section.pretend else {"fp32": None, "tf32": None}
    for name, subject in trained(section.names(list(PEAKS)), section.pretend):
        section.attempt(name, lambda name=name, subject=subject: _timed(section, name, subject, rates))


def _timed(section: Section, name: str, subject: Any, rates: Mapping[str, float | None]) -> str:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    method = subject.build(0, device=section.device)
    size, warm, count = _sizes(section, subject)
    marks: list[tuple[float, float]] = []
    kept: list[Batch] = []

    def before(step: int, batch: Batch) -> None:
        kept[:] = [batch]
        if step in (warm, warm + count):
            torch.cuda.synchronize()
            marks.append((time.perf_counter(), time.process_time()))
        if step == warm + count:
            raise Interruption

    fit(subject, method, size, warm + count + 1, before)
    (wall, cpu), (wall_end, cpu_end) = marks
    loop, loop_cpu = (wall_end - wall) / count, (cpu_end - cpu) / count
    peak = torch.cuda.max_memory_allocated() / 2**30
    said = [f"{1000 * loop:.1f} ms in the loop, {1000 * loop_cpu:.0f} CPU ms"]
    for precision, rate in rates.items():
        run = _step(method, kept[0], precision)
        run()
        alone, alone_cpu = timed(run, 1 if section.pretend else REPEATS)
        section.keep(
            f"{name}: training step, {precision}",
            wall=alone,
            cpu=alone_cpu,
            gpu_gb=torch.cuda.max_memory_allocated() / 2**30,
            floor=operations(run) / rate if rate else None,
            batch_size=size,
            estimate_ms="" if section.pretend else ESTIMATES.get(name, {}).get(precision, ""),
            **({"loop_wall": loop, "loop_cpu": loop_cpu, "loop_gpu_gb": peak} if precision == "fp32" else {}),
            **({"estimate_gib": PEAKS[name]} if precision == "fp32" and name in PEAKS and not section.pretend else {}),
        )
        said.append(f"{precision} {1000 * alone:.1f} ms")
    return f"batch {size}: {', '.join(said)}; {peak:.1f} GiB"


def _sizes(section: Section, subject: SmallMethod | PublishedMethod) -> tuple[int, int, int]:
    """Return the batch size, the steps that do not count, and those that do."""
    assert subject.recipe is not None
    if section.pretend:
        return min(SMALL_BATCH, subject.recipe.batch_size), 1, 1
    return subject.recipe.batch_size, WARM, STEPS


def _step(method: Method, batch: Batch, precision: str) -> Callable[[], None]:
    """Return a training step on a batch: loss, gradients, optimiser."""
    parameters = [p for group in method.groups().values() for p in group]
    optimiser = build_optimiser(parameters, method.config.recipe)
    device, deterministic = method.task.device, method.config.recipe.deterministic
    method.train()

    def run() -> None:
        with arithmetic(precision, device, deterministic):
            with autocast(precision, device):
                terms = list(terms_of(method.loss(batch)))
            optimiser.zero_grad(set_to_none=True)
            losses = torch.stack([t.float().reshape(()) for t in terms])
            losses.sum().backward()
        losses.tolist()
        optimiser.step()

    return run


def waits(section: Section) -> None:
    """Where a step of the loop makes the processor wait for the GPU; to read the losses, once, is what it takes."""
    for name, subject in trained(section.names(list(PEAKS)), section.pretend):
        section.attempt(name, lambda name=name, subject=subject: _waits(section, name, subject))


def _waits(section: Section, name: str, subject: Any) -> str:
    method = subject.build(0, device=section.device)
    size, warm, _ = _sizes(section, subject)
    size, found = min(size, SMALL_BATCH), Counter[str]()
    with _watched(section, found) as watch:

        def before(step: int, batch: Batch) -> None:
            watch(step == warm)
            if step > warm:
                raise Interruption

        fit(subject, method, size, warm + 2, before)
    section.keep(f"{name}: waits of a step", waits=dict(found))
    said = f"{sum(found.values())}: {', '.join(map(_times, sorted(found.items())))}"
    if sum(found.values()) > 1 or any(not line.startswith(READING) for line in found):
        section.fail(f"{name}: a step waits more than once to read its losses in {READING}: {said}")
    return said


def _times(found: tuple[str, int]) -> str:
    line, count = found
    return f"{line} x {count}" if count > 1 else line


@contextmanager
def _watched(section: Section, found: Counter[str]) -> Iterator[Callable[[bool], None]]:
    """Yield a function that switches the recording of waits on, or off and adds up what was recorded."""
    if section.world is not None:

        def switch(on: bool) -> None:
            if not on:
                found.update(section.world.waits() if switch.on else {})
            section.world.reset()
            switch.on = on

        switch.on = False
        yield switch
        return

    here = threading.get_ident()

    def record(message: Warning | str, *_: Any, **__: Any) -> None:
        # The loader's thread copies batches, and nobody waits for it.
        if "synchronizing" in str(message) and threading.get_ident() == here:
            found[calling_line()] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = record
        try:
            yield lambda on: torch.cuda.set_sync_debug_mode("warn" if on else "default")
        finally:
            torch.cuda.set_sync_debug_mode("default")
