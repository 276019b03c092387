"""Rows as the videos that a method is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vadbench.dataset import ClassTable
from vadbench.inputs import TrainingData, TrainingVideo, VideoInput
from vadbench.training.batches import weak_labels


def as_videos(arrays: Iterable[Any]) -> list[VideoInput]:
    """Return each array ``(rows, dim)`` as a video."""
    return [VideoInput.of_rows(rows, f"v{i}") for i, rows in enumerate(arrays)]


def labelled(rows: Any, names: Sequence[str], table: ClassTable, name: str = "video") -> TrainingVideo:
    """Return rows as a training video that carries these classes."""
    labels, first = weak_labels(names, table)
    return TrainingVideo(**vars(VideoInput.of_rows(rows, name)), labels=labels, first_class=first)


def all_normal(arrays: Iterable[Any], table: ClassTable) -> TrainingData:
    """Return each array as a normal training video."""
    normal = table.names[table.normal]
    return TrainingData([labelled(rows, [normal], table, f"v{i}") for i, rows in enumerate(arrays)], table)
