"""Checkpoints: tensors in safetensors, what they belong to in JSON, nothing that could run code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError, model_validator
from safetensors import SafetensorError

from vadbench.base.errors import CheckpointError, first_complaint, listed
from vadbench.base.files import mismatches, read_json, regular, write_json, write_tensors
from vadbench.base.method_config import MethodConfig
from vadbench.base.needs import Facts
from vadbench.dataset import ClassTable, Dataset, Split, VideoClass
from vadbench.records.keys import restored
from vadbench.records.record import CHECKPOINT, CHECKPOINT_INFO, Name, SplitRecord, StreamRecord
from vadbench.scoring.protocol import Selection

if TYPE_CHECKING:
    from vadbench.method import Method


class ClassEntry(BaseModel):
    """A class of the data set that a checkpoint was trained on, by its id."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    words: str
    aliases: list[str]


class ClipEntry(BaseModel):
    """The CLIP of a checkpoint's features and prompts: as :class:`vadbench.clip.ClipSource` names it, and its hash."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str
    weights: str
    sha256: str


class CheckpointInfo(BaseModel):
    """The description of a checkpoint: enough to build its method again without the data set.

    ``group`` names what all seeds of the training share, empty for imported weights. ``edition`` is the
    :data:`vadbench.records.keys.EDITION` that it was trained under, ``code`` has the digests of the files of method and
    data set. ``streams`` are as in a record; without features ``dim`` is 0, without a CLIP there is no ``clip``.
    ``train`` and ``validation`` are the videos that it was trained and selected on, ``None`` where it was on none;
    ``judge`` is that of the protocol, ``selected_by`` says in words what the looks at validation videos measured.
    ``imported`` names the authors' file that the weights come from, if they do. ``partition`` is the division of the
    data set that it was trained in, empty for the data set's own. ``threshold`` is the anomaly score from
    which on frames count as anomalous, ``None`` where it was not measured: see
    :func:`vadbench.harness.threshold.normal_threshold`. ``devices`` are those that it was trained on, one after the
    other, each with the version of torch; empty where that is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    key: Name
    method: Name
    version: str
    config: dict[str, Any]
    dataset: Name
    train: SplitRecord | None = None
    validation: SplitRecord | None = None
    classes: list[ClassEntry]
    normal: int
    dim: int
    fingerprint: dict[str, Any]
    clip: ClipEntry | None
    seed: int
    subset: str = "all"
    selection: Selection = "last"
    judge: str = ""
    selected_by: str = ""
    group: str = ""
    edition: int = 1
    code: dict[str, str] = {}
    streams: dict[str, StreamRecord] = {}
    imported: str = ""
    partition: str = ""
    threshold: FiniteFloat | None = None
    devices: list[str] = []

    @model_validator(mode="after")
    def _normal_is_a_class(self) -> CheckpointInfo:
        if not 0 <= self.normal < len(self.classes):
            raise ValueError(f"normal must be the id of one of {len(self.classes)} classes, found {self.normal}")
        return self

    @property
    def splits(self) -> dict[Split, SplitRecord]:
        """The videos that it was made from, by split."""
        found: dict[Split, SplitRecord | None] = {"train": self.train, "validation": self.validation}
        return {split: own for split, own in found.items() if own is not None}

    def class_table(self) -> ClassTable:
        """Return the class table of the data set it was trained on."""
        return ClassTable(tuple(VideoClass(c.name, c.words, tuple(c.aliases)) for c in self.classes), self.normal)


def class_entries(table: ClassTable) -> list[ClassEntry]:
    """Return the classes of a table, for :class:`CheckpointInfo`."""
    return [ClassEntry(name=c.name, words=c.words, aliases=list(c.aliases)) for c in table.classes]


def save_checkpoint(folder: Path, method: Method, info: CheckpointInfo) -> None:
    """Write ``checkpoint.json`` and then ``checkpoint.safetensors``; the latter's presence means both are whole."""
    write_json(folder / CHECKPOINT_INFO, info.model_dump(mode="json"))
    write_tensors(folder / CHECKPOINT, method.state_dict())


def read_info(folder: Path) -> CheckpointInfo:
    """Return the description of the checkpoint in a run folder.

    Raises:
        CheckpointError: there is none, or it cannot be used.
    """
    path = folder / CHECKPOINT_INFO
    if not path.is_file():
        raise CheckpointError(f"no checkpoint in {folder}: expected {CHECKPOINT_INFO}; give a folder of a finished run")
    try:
        return CheckpointInfo.model_validate(read_json(path))
    except ValidationError as error:
        raise CheckpointError(f"{path} does not describe a checkpoint: {first_complaint(error)}") from error


def trained_config(info: CheckpointInfo, settings: type[MethodConfig], version: str) -> MethodConfig:
    """Return the settings that a finished training was made with.

    Args:
        info: of the training.
        settings: the settings class of its method.
        version: of the method that is installed.

    Raises:
        CheckpointError: the method is of another version, or has other settings.
    """
    if version != info.version:
        raise CheckpointError(
            f"the run was made with version {info.version} of '{info.method}', installed is {version}; train again"
        )
    try:
        return restored(settings, info.config)
    except ValidationError as error:
        raise CheckpointError(f"the run's settings do not fit '{info.method}': {first_complaint(error)}") from error


def retargets(config: MethodConfig, info: CheckpointInfo, dataset: Dataset) -> bool:
    """Return True if a training was made for other classes than a data set's, or other words, and can score these."""
    trained, here = info.class_table(), dataset.classes
    other = (trained.names, trained.words, trained.normal) != (here.names, here.words, here.normal)
    return other and config.open_vocabulary and not config.unfit(Facts(dataset.name, here))


def load_checkpoint(folder: Path, method: Method) -> None:
    """Load the weights of a run folder, every key and shape matched.

    Raises:
        CheckpointError: the file is missing, damaged, or of other weights; lists what differs.
    """
    import torch
    from safetensors.torch import load_file

    from vadbench.training.stage_state import place

    path = folder / CHECKPOINT
    try:
        found = load_file(os.fspath(regular(path)), device="cpu")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {path}: {error}; train again") from error
    method.resize({name: tensor.shape for name, tensor in found.items()})
    place(method)
    expected = method.state_dict()
    if wrong := mismatches(found, {k: v.shape for k, v in expected.items()}):
        raise CheckpointError(f"{path} does not fit {type(method).__name__}: {listed(wrong, 5, '; ')}")
    with torch.no_grad():
        method.load_state_dict(found)
