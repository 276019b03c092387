"""The state of a stage of a training in its file, from which the stage goes on to the same bits, or ends."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from vadbench.base.errors import CheckpointError
from vadbench.base.files import write_tensors
from vadbench.method import Method


@dataclass
class StageState:
    """How far a stage is. Random numbers have no part in it, for those of an epoch come from seeds of its own.

    Args:
        stage: its name.
        lines: of the log, one for each finished epoch.
        tensors: those of the method after the last of these epochs.
        optimisers: those of the optimisers.
        best: the method's at the best look so far.
        value: of that look.
        finished: ``tensors`` are the weights that the stage ends with.
        devices: those that it was trained on, in words, one after the other; empty where that is not known.
    """

    stage: str
    lines: list[dict[str, Any]] = field(default_factory=list)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    optimisers: Mapping[str, Tensor] = field(default_factory=dict)
    best: Mapping[str, Tensor] = field(default_factory=dict)
    value: float = -math.inf
    finished: bool = False
    devices: list[str] = field(default_factory=list)

    def continue_on(self, device: str) -> None:
        """Note that the stage goes on on a device; its first epochs may have been trained where nobody noted it."""
        if device and self.devices[-1:] != [device] and (self.devices or not self.lines):
            self.devices.append(device)

    def write(self, path: Path) -> None:
        """Write the state atomically.

        Raises:
            StorageError: the disk is full or may not be written.
        """
        parts = {"method": self.tensors, "optimiser": self.optimisers, "best": self.best}
        tensors = {f"{part}.{name}": t for part, named in parts.items() for name, t in named.items()}
        facts = {"lines": self.lines, "value": repr(self.value), "finished": self.finished, "devices": self.devices}
        write_tensors(path, tensors, {"stage": self.stage, "facts": json.dumps(facts)})


def read_state(path: Path, stage: str) -> StageState:
    """Return the state of a stage; one that has not begun where there is no file.

    Raises:
        CheckpointError: the file is damaged, or of another stage.
    """
    if not path.is_file():
        return StageState(stage)
    parts: dict[str, dict[str, Tensor]] = {"method": {}, "optimiser": {}, "best": {}}
    try:
        with safe_open(os.fspath(path), "pt", device="cpu") as file:
            found, facts = file.metadata()["stage"], json.loads(file.metadata()["facts"])
            for name in file.keys():  # noqa: SIM118
                part, _, own = name.partition(".")
                parts[part][own] = file.get_tensor(name)
        state = StageState(
            found,
            facts["lines"],
            parts["method"],
            parts["optimiser"],
            parts["best"],
            float(facts["value"]),
            facts["finished"],
            [str(device) for device in facts.get("devices", ())],
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path}: {error}; delete it and run again") from error
    if found != stage:
        raise CheckpointError(
            f"{path} is of the stage '{found}', now the method's fit() runs '{stage}' in its place; delete"
            f" {path.parent} and run again"
        )
    return state


def load_state(method: Method, tensors: Mapping[str, Tensor]) -> None:
    """Load the state of a method, every name and shape matched, after its buffers got their stored sizes."""
    method.resize({name: tensor.shape for name, tensor in tensors.items()})
    place(method)
    method.load_state_dict(dict(tensors))


def place(method: Method) -> None:
    """Move what is elsewhere to the method's device: ``prepare``, ``fit`` and ``resize`` may assign tensors of the CPU.

    Must come before the optimisers are made, which hold the parameters.
    """
    device = method.task.device
    if any(tensor.device.type != device.type for tensor in chain(method.parameters(), method.buffers())):
        method.to(device)
