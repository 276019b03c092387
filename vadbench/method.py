"""The base class of method plugins, and the types they exchange with the harness.

The harness owns data, seeds, the training loop, devices and checkpoints; a method owns its layers, its losses and how
rows become scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vadbench.base.errors import ConfigError, FeatureError, PluginError
from vadbench.base.method_config import MethodConfig
from vadbench.dataset import ClassTable

if TYPE_CHECKING:
    from vadbench.clip import TextTower


class Task:
    """The task of a method: the classes, the width of a feature row and CLIP's text side.

    The text tower belongs to CLIP, not to the method: it is frozen, loaded when first used and never written to a
    checkpoint.

    Args:
        classes: class table of the data set.
        dim: width of a feature row.
        device: where the method will live.
        load_text: gives the text tower of the CLIP that made the features; raises where that is unknown.
    """

    def __init__(self, classes: ClassTable, dim: int, device: torch.device, load_text: Callable[[], TextTower]) -> None:
        self.classes, self.dim, self.device, self._load_text = classes, dim, device, load_text

    @cached_property
    def text(self) -> TextTower:
        """CLIP's text tower on the task's device, frozen and in evaluation mode."""
        return self._load_text().to(self.device)

    def comparable_text(self, otherwise: str = "") -> TextTower:
        """Return the text tower, for a method that compares rows with text features.

        Args:
            otherwise: settings with which the method needs no text, such as ``branches=coarse``; the error names them.

        Raises:
            FeatureError: rows and text features differ in width.
        """
        if self.text.dim != self.dim:
            raise FeatureError(
                f"features are {self.dim} wide, the text features of this CLIP {self.text.dim}; use features extracted"
                f" with the same CLIP{f', or set {otherwise}' if otherwise else ''}"
            )
        return self.text


@dataclass(frozen=True)
class Batch:
    """A training batch, abnormal videos first where the sampler is balanced.

    Args:
        views: the results of :meth:`Method.view` for each video, stacked: ``(videos, ...)``.
        labels: ``(videos, classes)`` float, the weak labels: 1 for each class that a video carries, at least one, and 0
            for the others.
        first: ``(videos,)`` int64, the class that each video names first. May be left out where no video carries
            several.
    """

    views: Mapping[str, Tensor]
    labels: Tensor
    first: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.first is None:
            object.__setattr__(self, "first", self.labels.argmax(1))


@dataclass(frozen=True)
class Scores:
    """Scores of one video.

    Args:
        anomaly: ``(rows,)``, larger means more anomalous. Between 0 and 1 where the method gives probabilities.
        classes: ``(rows, classes)`` probabilities with the normal class in its place, or ``None``.
        branches: anomaly scores ``(rows,)`` by branch, where a method has several ways to one; ``anomaly`` is the one
            that the method's settings choose.
    """

    anomaly: Tensor
    classes: Tensor | None = None
    branches: Mapping[str, Tensor] = field(default_factory=dict)

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


class Method(nn.Module):
    """A model that turns feature rows into scores.

    A trained method implements :meth:`view`, :meth:`loss` and :meth:`score`; a training-free one leaves
    ``config.recipe`` at ``None`` and needs only :meth:`score`. With ``recipe.epochs`` at 0 a method is scored as it
    begins. Parameters are initialised in the constructor under a seed that the harness has set.

    Args:
        config: an instance of the method's own ``Config``.
        task: classes, feature width and text tower.
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    version: ClassVar[str] = "1"
    """Raise it when a change makes old results incomparable: it is part of every run's key."""
    reference_selection: ClassVar[Literal["last", "validation", "best-on-test"]] = "last"
    """The authors' way of choosing the weights that they released."""
    needs_training: ClassVar[bool] = True
    """True if its scores mean nothing before it is trained. False for a method whose ``recipe.epochs`` may be 0:
    ``vadbench score --method`` then takes it as it begins."""
    dataset_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings per data set name, such as a paper's table of hyper-parameters; nested as ``Config`` is."""
    known_failures: ClassVar[Mapping[str, str]] = {}
    """Checks of :mod:`vadbench.testing` that the method cannot pass, by name, each with the reason and the figures.
    They are shown as known, never as passed, and one that passes after all is a failure."""

    def __init__(self, config: MethodConfig, task: Task) -> None:
        super().__init__()
        self.config: Any = config
        self.task = task

    @classmethod
    def require_classes(cls, config: Any, classes: ClassTable) -> None:
        """Raise if settings do not fit the classes of a data set; called before anything expensive starts.

        Raises:
            ConfigError: says what to change.
        """

    @classmethod
    def named_classes(cls, config: Any) -> Sequence[str] | None:
        """Return the names of the abnormal classes that the settings give, for scoring without a data set.

        An empty list means one abnormal class, ``None`` that the method needs the classes of a data set.
        """
        return None

    def prepare(self, normal_features: Iterable[NDArray[np.floating[Any]]]) -> None:
        """Pass once over the rows ``(rows, dim)`` of each normal training video, before training.

        Store the results in buffers, so that they are saved in the checkpoint.
        """

    def view(self, features: NDArray[np.floating[Any]], rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """Return one training sample of a video.

        Called in a thread of its own, while the batch before is trained on: it may read settings, and draw from ``rng``
        and nothing else.

        Args:
            features: ``(rows, dim)`` of one video, memory-mapped: index it, do not copy it whole.
            rng: the only source of randomness.

        Returns:
            arrays of the same names and shapes for every video, so that they can be stacked.
        """
        raise NotImplementedError(f"{type(self).__name__} has a recipe but no view()")

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return named, already weighted terms, each a scalar; the harness adds them and logs each."""
        raise NotImplementedError(f"{type(self).__name__} has a recipe but no loss()")

    def score(self, videos: Sequence[Tensor]) -> list[Scores]:
        """Score several videos, each ``(rows, dim)`` with at least one row, under ``torch.inference_mode``.

        Which videos are scored together must not change a score.
        """
        raise NotImplementedError(f"{type(self).__name__} has no score()")

    @property
    def reach(self) -> Reach:
        """The rows that a row's score depends on; by default all of the video."""
        return Reach(512, whole=True)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return groups for the optimiser; by default all trainable parameters in one group."""
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    def import_reference(self, state: Mapping[str, Tensor]) -> None:
        """Load the authors' released weights, every key and shape matched strictly.

        Raises:
            CheckpointError: keys or shapes differ; lists them.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot import a released checkpoint")


def build_method(kind: type[Method], config: MethodConfig, task: Task, seed: int) -> Method:
    """Return a fresh method on the task's device, its parameters drawn under ``seed``."""
    # CUDA draws other numbers than the CPU; building on the CPU gives every device the same start.
    torch.manual_seed(seed)
    return kind(config, task).to(task.device)


def require_trainable(name: str, method: type[Method], config: MethodConfig) -> None:
    """Raise if a method with a recipe has no loss.

    Raises:
        ConfigError: it has a recipe and no loss; a training-free method was given settings of ``recipe``.
    """
    if config.recipe is not None and method.loss is Method.loss:
        raise ConfigError(f"'{name}' is not trained: it has no loss that a recipe would be for; leave recipe out")
