"""A detector of torchvision finds the regions of those frames that give rows, and writes them to a file of boxes."""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.models import detection, get_model, get_model_weights, list_models

from vadbench.base.arithmetic import arithmetic
from vadbench.base.errors import CheckpointError, ConfigError, UnknownNameError, first_line, listed
from vadbench.base.files import mismatches, replacing, storage_errors
from vadbench.clip.weights import hash_weights, why_unreadable
from vadbench.features.boxes import COLUMNS
from vadbench.features.regions import REGIONS, Corners, RegionSource

_UNKEPT = "num_batches_tracked"
"""A counter of batch norms on which no output depends; torchvision's own files lack it."""


class Detector(RegionSource):
    """A detection model of torchvision; objects of all its classes are regions (our decision).

    Boxes with a confidence of at least ``threshold`` are encoded, at most the :data:`REGIONS` most confident ones of a
    frame. They are written to ``boxes-I-of-N.csv`` in the store's folder, from where the extraction can be repeated
    without the detector.

    Args:
        name: of the model, as torchvision calls it.
        weights: a name that torchvision has for its weights, such as ``DEFAULT``, or a file with a state dict.
        threshold: least confidence, 0 to 1.
        device: where it computes.

    Raises:
        UnknownNameError: torchvision has no such detector, or no such weights of it.
        CheckpointError: the weights are absent, contain more than tensors or are of another model; says what to do.
    """

    def __init__(self, name: str, weights: str, threshold: float, device: torch.device) -> None:
        if not 0 <= threshold <= 1:
            raise ConfigError(f"a detector's threshold must be from 0 to 1, found {threshold}")
        known = list_models(module=detection)
        if name not in known:
            raise UnknownNameError("detector", name, known)
        model = _named(name, weights) if not Path(weights).suffix else _from_file(name, Path(weights))
        kept = {key: value for key, value in model.state_dict().items() if not key.endswith(_UNKEPT)}
        self.label = f"{name} {hash_weights(kept)[:12]} from {threshold:g}"
        self._model = model.eval().requires_grad_(False).to(device)
        self._threshold, self._device = threshold, device
        self._found: list[tuple[Any, ...]] = []

    def begin(self, folder: Path, shard: tuple[int, int], names: Sequence[str]) -> None:
        self._file = folder / f"boxes-{shard[0]}-of-{shard[1]}.csv"
        again = set(names)
        kept: list[list[str]] = []
        if self._file.is_file():
            with self._file.open(encoding="utf-8", newline="") as file:
                # What a killed extraction wrote of a video it had not finished is written again.
                kept = [row for row in list(csv.reader(file))[1:] if len(row) == len(COLUMNS) and row[0] not in again]
        with replacing(self._file) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *kept])

    def find(self, name: str, numbers: Sequence[int], frames: Tensor) -> list[Corners]:
        images = list(frames.to(self._device).float() / 255)
        with torch.inference_mode(), arithmetic("fp32", self._device):
            results: list[dict[str, Tensor]] = self._model(images)
        regions = []
        for number, result in zip(numbers, results, strict=True):
            corners, confidence = (result[key].double().cpu().numpy() for key in ("boxes", "scores"))
            solid = (corners[:, 0] < corners[:, 2]) & (corners[:, 1] < corners[:, 3])
            found = np.flatnonzero(solid & (confidence >= self._threshold))
            best = found[np.argsort(-confidence[found], kind="stable")[:REGIONS]]
            self._found += [(name, number, *map(float, corners[i]), float(confidence[i])) for i in best]
            regions.append(corners[best])
        return regions

    def end(self, name: str, frames: int) -> None:
        with storage_errors(self._file), self._file.open("a", encoding="utf-8", newline="") as file:
            # Boxes left of a damaged video have another name.
            csv.writer(file).writerows(row for row in self._found if row[0] == name)
        self._found.clear()


def _named(name: str, weights: str) -> torch.nn.Module:
    """Return a model with weights that torchvision knows by name, from its cache or downloaded."""
    choices = {w.name: w for w in get_model_weights(name)} | {"DEFAULT": get_model_weights(name).DEFAULT}
    if weights not in choices:
        raise UnknownNameError(f"weights of {name}", weights, choices)
    chosen = choices[weights]
    try:
        # Read as tensors alone; what torchvision then reads again is this file of its cache. It tells of the download
        # on stdout, which may be JSON.
        with redirect_stdout(sys.stderr):
            chosen.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except Exception as error:  # urllib, the unpickler and the hash check each have their own
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        raise CheckpointError(
            f"no weights '{weights}' of {name} in the cache and none could be downloaded ({first_line(error)});"
            f" download {chosen.url} into {cache}, or name a file of your own with --detector-weights"
        ) from error
    model: torch.nn.Module = get_model(name, weights=chosen)
    return model


def _from_file(name: str, path: Path) -> torch.nn.Module:
    """Return a model with the tensors of a file."""
    model: torch.nn.Module = get_model(name, weights=None, weights_backbone=None)
    if not path.is_file():
        raise CheckpointError(f"cannot read the detector's weights: there is no file {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about formats that are refused anyway
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can make the unpickler stumble in any way
        raise CheckpointError(
            f"cannot read the detector's weights {path} as tensors only: {why_unreadable(path, error)}; save a state"
            f" dict of {name} with torch.save"
        ) from error
    wanted = model.state_dict()
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"{path} must hold a state dict of {name}, names and tensors; found something else")
    needed = {k: v.shape for k, v in wanted.items() if k in state or not k.endswith(_UNKEPT)}
    if wrong := mismatches(state, needed):
        raise CheckpointError(f"{path} does not fit {name}: {listed(wrong, 3, '; ')}; name its model")
    model.load_state_dict(state, strict=False)
    return model
