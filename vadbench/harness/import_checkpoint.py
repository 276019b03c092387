"""The authors' released weights: read as tensors and nothing else, and made one of our run folders.

Such files pickle whatever their training held: settings, optimisers, classes of the authors' code. Names of packages
that are known to occur become objects that do nothing; a name of any other package is refused, and in no case is
anything from the file called.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from vadbench.base.arithmetic import arithmetic
from vadbench.base.errors import CheckpointError, listed
from vadbench.base.files import locked
from vadbench.base.hashing import digest, file_digest
from vadbench.base.types import Progress, silent
from vadbench.clip.weights import why_unreadable
from vadbench.dataset import Split
from vadbench.harness.experiment import Experiment
from vadbench.harness.identities import Training, training_identity
from vadbench.harness.training import build, save_training
from vadbench.harness.video_inputs import training_data
from vadbench.records.folders import RunFolder
from vadbench.records.record import SplitRecord
from vadbench.training.stage_state import place

FOREIGN = frozenset(
    {"collections", "dotmap", "functools", "lightning", "numpy", "omegaconf", "pathlib", "pytorch_lightning"}
    | {"src", "torch", "torchmetrics", "typing"}
)
"""Packages whose names occur in released training checkpoints (spec of AnomalyCLIP, section 7)."""
HARMLESS_BUILTINS = frozenset(
    f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "set", "str", "tuple")
)
_WRAPPINGS = ("state_dict", "model_state_dict")


class Stub:
    """Stand-in for an object of a class that is not loaded; accepts all that a pickle does to it, and forgets it."""

    def __new__(cls, *_: Any, **__: Any) -> Stub:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...

    def __setitem__(self, _: Any, __: Any) -> None: ...

    def __hash__(self) -> int:
        return 0


def read_reference(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a released checkpoint: a bare state dict, or one inside a training checkpoint.

    Raises:
        CheckpointError: the file is absent, damaged, no checkpoint, or names code that has no place in one.
    """
    if not path.is_file():
        raise CheckpointError(f"expected a released checkpoint (.ckpt, .pth or .pt), found no file {path}")
    try:
        foreign = get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else []
        refused = [n for n in foreign if n.split(".")[0] not in FOREIGN and n not in HARMLESS_BUILTINS]
        if refused:
            raise CheckpointError(
                f"{path} names {listed(refused, 3)}, which no checkpoint needs and which could run code; nothing"
                " was loaded: get the file from its authors again"
            )
        with safe_globals([(Stub, name) for name in foreign]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about formats that are refused below anyway
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # a damaged pickle can make the unpickler stumble in any way
        raise CheckpointError(
            f"cannot read {path} as a checkpoint of tensors: {why_unreadable(path, error)}; get the file again"
        ) from error
    for name in _WRAPPINGS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not content:
        raise CheckpointError(f"{path} must hold a dictionary of tensors, found {type(content).__name__}")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path} must map names to tensors, found {key!r}: {type(value).__name__}")
        _require_numbers(path, key, value)
    return dict(content)


def _require_numbers(path: Path, key: str, value: Tensor) -> None:
    """Raise if weights are not plain numbers; a single whole number is a counter."""
    plain = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
    if not plain or not (value.is_floating_point() or (value.dtype == torch.int64 and value.numel() == 1)):
        raise CheckpointError(
            f"{path}: expected dense floating-point weights, found {value.dtype} ({value.layout}, {value.device}) in"
            f" {key!r}; get the file from its authors again"
        )
    if not bool(torch.isfinite(value).all()):
        raise CheckpointError(f"{path}: {key!r} holds NaN or infinity; get the file from its authors again")


def import_checkpoint(
    experiment: Experiment, path: Path, state: Mapping[str, Tensor], progress: Progress = silent
) -> Path:
    """Make a released checkpoint one of our run folders, ready for ``run --from``.

    What the file lacks and the method prepares from normal training videos, AnomalyCLIP's centroid, is computed.

    Args:
        experiment: the method with its settings, and the data set the weights were trained on.
        path: the authors' file.
        state: what :func:`read_reference` read in it.
        progress: told how far the preparation is.

    Returns:
        the run folder.

    Raises:
        CheckpointError: the weights are not of this method, its settings, this CLIP or these classes.
    """
    made_of = file_digest(path)
    provision = experiment.provision
    if "train" not in provision.videos:
        raise CheckpointError(
            f"{experiment.dataset.name} has no train split; name with --dataset the one that {path} was trained on"
        )
    method = build(experiment, experiment.dataset.classes, seed=0)
    try:
        method.import_reference(state)
    except NotImplementedError as error:
        raise CheckpointError(f"'{experiment.method_name}' has no released checkpoints to import") from error
    dataset = experiment.dataset
    progress("preparing", 0, 1)
    learnt = training_data(provision, provision.videos["train"], dataset.classes, experiment.config.rows.crops, seed=0)
    with arithmetic("fp32", experiment.device):
        method.prepare(learnt)
    place(method)
    progress("preparing", 1, 1)
    splits: dict[Split, SplitRecord] = {"train": provision.record(experiment.dataset, "train")}
    key = digest({"imported": made_of, "training": training_identity(experiment, splits)})
    folder = RunFolder(experiment.out / experiment.dataset.name / experiment.method_name / key)
    with locked(folder.path, f"run {key}"):
        training = Training(folder, key, group="", seed=0, splits=splits)
        imported = f"{path.name}, sha256 {made_of}"
        save_training(experiment, training, method, experiment.config.reference_selection, imported=imported)
    return folder.path
