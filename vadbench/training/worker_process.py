"""What a worker process does: it makes a twin of the method, and with it the views of its batches."""

from __future__ import annotations

import importlib
import pickle
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import NoReturn, cast

import torch

from vadbench.base.child_process import pickled, send, served
from vadbench.base.errors import PluginError, one_line
from vadbench.base.method_config import MethodConfig
from vadbench.dataset import ClassTable
from vadbench.method import Method, Task
from vadbench.plugins.targets import import_scratch
from vadbench.training.shared_slots import SLOTS, FilledSlot, SlotWriter
from vadbench.training.views import KEPT_BYTES, BatchPlan, ViewMaker

READ = "read"
"""What a worker is told when a slot was read; else it is told the numbers of epochs."""


@dataclass(frozen=True)
class WorkerJob:
    """What a worker is told: how to make the method's twin, and which batches to make.

    Args:
        files: scratch plugins to import first.
        method, config: paths of the classes, ``module:name``.
        settings: as JSON.
        classes, dims, spacings, known: of the task.
        view: name of the method that makes a view.
        plan: says which videos form the batches.
        number, count: it makes the batches ``number``, ``number + count`` and so on of an epoch.
    """

    files: Sequence[Path]
    method: str
    config: str
    settings: str
    classes: ClassTable
    dims: Mapping[str, int]
    spacings: Mapping[str, float]
    known: Sequence[str]
    view: str
    plan: BatchPlan
    number: int
    count: int

    def twin(self) -> Method:
        """Return an object of the method's class on which only the settings and the task are set.

        Raises:
            PluginError: a class cannot be imported here.
        """
        for file in self.files:
            with suppress(Exception):  # one that is of no use here may be gone by now
                import_scratch(file)
        kind, config = cast(type[Method], _imported(self.method)), cast(type[MethodConfig], _imported(self.config))
        task = Task(self.classes, self.dims, torch.device("cpu"), _no_text, spacings=self.spacings, known=self.known)
        twin = kind.__new__(kind)
        Method.__init__(twin, config.model_validate_json(self.settings), task)
        return twin


def _imported(path: str) -> type:
    module, _, name = path.partition(":")
    found: type = attrgetter(name)(importlib.import_module(module))
    return found


def _no_text() -> NoReturn:
    raise PluginError("view() may read the classes and widths of self.task, and no text; use it in loss() and score()")


def serve() -> None:
    """Make views as the process that started this one asks, until it closes the pipe."""
    asked, answers = served()
    torch.set_num_threads(1)
    try:
        job: WorkerJob = pickle.load(asked)
        slots = SlotWriter(pickle.load(asked))
        maker = ViewMaker(job.plan, getattr(job.twin(), job.view), KEPT_BYTES // job.count)
    except Exception:
        send(answers, ("ready", False))
        return
    send(answers, ("ready", True))
    unread = 0
    while True:
        try:
            while (epoch := pickle.load(asked)) == READ:
                unread -= 1
            for number, (place, indices) in enumerate(job.plan.batches(epoch)):
                if number % job.count != job.number:
                    continue
                while unread == SLOTS:
                    assert pickle.load(asked) == READ
                    unread -= 1
                slots.begin()
                made = maker.batch(epoch, place, indices, lambda index: send(answers, ("begun", index)), slots.array)
                given = slots.given(made)
                unread += isinstance(given, FilledSlot)
                send(answers, ("views", given))
        except (EOFError, BrokenPipeError):
            return
        except Exception as error:
            send(answers, ("failed", _packed(error, job)))


def _packed(error: Exception, job: WorkerJob) -> tuple[bytes | None, str, str]:
    """Return an exception for another process: pickled, where that can be, in a line, and with its traceback."""
    name = job.method.rpartition(":")[2].rpartition(".")[2]
    if isinstance(error, AttributeError) and f"'{name}' object" in str(error):
        error = PluginError(
            f"{name}.{job.view}() reads an attribute that only the trained method has ({error}); in a worker process it"
            " may read self.config, the classes and widths of self.task, the video and rng; or train with --workers 0"
        )
    return pickled(error), one_line(f"{type(error).__name__}: {error}"), traceback.format_exc()
