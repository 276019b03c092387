"""The sections of the check: each in a process of its own, within its time, telling what it finds as it finds it."""

from __future__ import annotations

import multiprocessing
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from vadbench.base.arithmetic import fix_workspace
from vadbench.plugins.registry import installed

if TYPE_CHECKING:
    import torch

PARTS: dict[str, tuple[str, str, float]] = {
    "machine": ("gpu.agreement", "machine", 30),
    "parity": ("gpu.agreement", "parity", 110),
    "bits": ("gpu.agreement", "bits", 60),
    "waits": ("gpu.steps", "waits", 50),
    "steps": ("gpu.steps", "steps", 100),
    "extraction": ("gpu.frames", "extraction", 60),
    "tests": ("gpu.agreement", "tests", 70),
}
"""Module and function of each section, and the seconds that it may take: eight minutes together."""

_LEAST = 6.0
"""Seconds without which no further method is begun."""


@dataclass
class Section:
    """A section at work, as its function sees it.

    Args:
        pretend: on a pretended device, with small sizes.
        methods: names of the only methods to look at; empty: all.
        ends: when its time is over, on the monotonic clock.
        pipe: to the process that shows the findings.
        world: what the pretended device was asked for; ``None`` on a real one.
    """

    pretend: bool
    methods: Sequence[str]
    ends: float
    pipe: Connection
    world: Any = None

    @property
    def device(self) -> torch.device:
        """The GPU: torch's current one."""
        import torch

        return torch.device("cuda", torch.cuda.current_device())

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.ends - time.monotonic()

    def tell(self, text: str) -> None:
        """Show a line."""
        self.pipe.send(("line", text))

    def keep(self, work: str, **figures: Any) -> None:
        """Keep figures of a piece of work for the file and the table."""
        self.pipe.send(("figures", {"work": work, **figures}))

    def fail(self, text: str) -> None:
        """Show and keep what is not as it should be; the section goes on."""
        self.pipe.send(("failure", text))

    def attempt(self, name: str, work: Callable[[], str]) -> None:
        """Show what a part of the section says, or that it failed and why; the next parts go on."""
        import torch

        began = time.monotonic()
        try:
            said = work()
        except Exception as error:
            if isinstance(error, torch.AcceleratorError):
                raise  # the rest of this process can only fail
            self.fail(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
            traceback.print_exc(limit=-4)
            return
        self.tell(f"{name}: {said} ({time.monotonic() - began:.1f} s)")

    def names(self, first: Sequence[str] = ()) -> Iterator[str]:
        """Yield the names of the methods to look at, ``first`` before the others, as long as there is time."""
        there = [n for n in installed().specs("method") if not self.methods or n in self.methods]
        for name in [*(n for n in first if n in there), *(n for n in there if n not in first)]:
            if self.left < _LEAST:
                self.fail(f"no time for {name} and the methods after it")
                return
            yield name


@dataclass
class Findings:
    """What came of a section.

    Args:
        seconds: how long it took.
        figures: of its pieces of work.
        failures: what is not as it should be.
    """

    seconds: float = 0.0
    figures: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def load() -> None:
    """Import what all sections need, once, in the process that theirs are copies of; nothing of it starts CUDA."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "open_clip", "vadbench.testing.tested_method", "vadbench.clip.loading"])
    process = context.Process(target=time.monotonic)
    process.start()
    process.join()


def run(name: str, pretend: bool, methods: Sequence[str], seconds: float, show: Callable[[str], None]) -> Findings:
    """Return the findings of a section, which is ended after some seconds, or once its process is no more.

    Args:
        name: of the section.
        pretend, methods: as for :class:`Section`.
        seconds: for which it may run.
        show: called with each line that it tells.
    """
    context = multiprocessing.get_context("forkserver")
    receive, send = context.Pipe(duplex=False)
    began, found = time.monotonic(), Findings()
    process = context.Process(target=_work, args=(*PARTS[name][:2], pretend, methods, seconds, send), daemon=False)
    process.start()
    send.close()
    finished = False
    while not finished:
        if not receive.poll(max(0.0, began + seconds - time.monotonic())):
            found.failures.append(f"stopped after {seconds:.0f} s, which is all that it may take")
            break
        try:
            kind, value = receive.recv()
        except (EOFError, OSError):
            process.join()
            found.failures.append(f"its process ended with status {process.exitcode}")
            break
        finished = kind == "end"
        if kind == "figures":
            found.figures.append(value)
        elif kind == "line":
            show(value)
        elif kind == "failure":
            found.failures.append(value)
            show(f"FAILED {value}")
    process.kill()
    process.join()
    found.seconds = time.monotonic() - began
    return found


def _work(module: str, function: str, pretend: bool, methods: Sequence[str], seconds: float, pipe: Connection) -> None:
    section = Section(pretend, methods, time.monotonic() + seconds, pipe)
    fix_workspace()
    try:
        with ExitStack() as stack:
            if pretend:
                import torch

                from vadbench.testing.pretend import pretend as pretended

                torch.set_num_threads(1)
                # Training needs the one, CUDA's autocast the other.
                section.world = stack.enter_context(pretended("cuda" if function == "extraction" else "meta"))
            getattr(import_module(module), function)(section)
    except BaseException as error:
        traceback.print_exc(limit=-4, file=sys.stderr)
        section.fail(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    pipe.send(("end", None))
