"""The outputs of a method: the scores of a video with what belongs to them, and the rows that a score depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vadbench.base.errors import PluginError
from vadbench.base.remarks import Remarks as Remarks
from vadbench.dataset import ClassTable


@dataclass(frozen=True)
class Scores:
    """Scores of one video.

    Args:
        anomaly: ``(rows,)``, larger means more anomalous. Between 0 and 1 unless the method's ``needs()`` say
            otherwise.
        classes: ``(rows, classes)`` probabilities with the normal class in its place, or ``None``.
        branches: anomaly scores ``(rows,)`` by branch, where a method has several ways to one; ``anomaly`` is the one
            that the method's settings choose.
        video: ``(classes,)`` probabilities of the whole video, or several of them by the name of a rule, where the
            method has its own way to one. They are kept; no metric reads them.
        extras: values ``(rows,)`` by name to keep beside the scores; nothing is measured on them.
        costs: what the video cost, by name, such as ``{"calls": 12, "tokens": 3400}``.
        remarks: remarks in words on rows; of a method that makes any, empty ones where there is nothing to say.
    """

    anomaly: Tensor
    classes: Tensor | None = None
    branches: Mapping[str, Tensor] = field(default_factory=dict)
    video: Tensor | Mapping[str, Tensor] | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    remarks: Remarks | None = None

    @classmethod
    def from_classes(cls, classes: Tensor, table: ClassTable) -> Scores:
        """Make scores from class probabilities: a row is as anomalous as the abnormal classes together.

        Their sum is taken, not ``1 - p[normal]``, which rounds to 0 where the method is sure.

        Args:
            classes: ``(rows, classes)``, each row a softmax over all classes.
            table: the task's.
        """
        return cls(classes[:, list(table.abnormal)].sum(-1).clamp(max=1), classes)

    @classmethod
    def from_shares(cls, anomaly: Tensor, shares: Tensor, table: ClassTable) -> Scores:
        """Make scores from the anomaly of a row and its class if it is anomalous; normal gets the rest.

        Args:
            anomaly: ``(rows,)``, 0 to 1.
            shares: ``(rows, classes - 1)`` probabilities of the abnormal classes, in their order, of an anomalous row.
            table: the task's.
        """
        abnormal, normal = anomaly[:, None] * shares, table.normal
        return cls(anomaly, torch.cat([abnormal[:, :normal], 1 - anomaly[:, None], abnormal[:, normal:]], 1))


@dataclass(frozen=True)
class Reach:
    """The rows of a video that the score of a row depends on, which decides how a long video is cut into windows.

    A run and ``vadbench score`` cut alike (:mod:`vadbench.scoring.windows`). Where neighbours matter, windows of up to
    4,096 rows, seen with their margins, give the scores of the whole video up to float32 rounding. Where the whole
    video matters, the method gets all of it up to 131,072 rows (rounded down to whole chunks). A longer one is cut into
    windows of that length, each scored as a video of its own; the last one starts earlier to be equally long. Only a
    stream that is followed has other windows: single chunks where the whole video matters, for it has no end.

    Args:
        chunk: rows in a chunk, counted from the video's first row; 1 where each row counts by itself.
        margin: number of rows before and after a chunk that matter as well.
        whole: all rows of the video matter; a stream is then cut into chunks, such as of the size of a training
            sample.

    Raises:
        PluginError: ``chunk`` is below 1 or ``margin`` below 0.
    """

    chunk: int = 1
    margin: int = 0
    whole: bool = False

    def __post_init__(self) -> None:
        if self.chunk < 1 or self.margin < 0:
            raise PluginError(
                f"reach must have a chunk of 1 row or more and a margin of 0 or more, found {self.chunk} and"
                f" {self.margin}; fix the method's reach"
            )
