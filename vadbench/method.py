"""The base class of method plugins: what it is told of its task, what it implements and what it returns.

The harness owns data, seeds, the training loop, devices and checkpoints; a method owns its layers, its losses and how
rows become scores. What it is given is in :mod:`vadbench.inputs`, what it gives in :mod:`vadbench.outputs`. Which
streams it reads, whether it decodes frames and what it learns from is said by its settings, in
:meth:`vadbench.base.method_config.MethodConfig.needs`. docs/kinds-of-methods.md has a working example of each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vadbench.base.arithmetic import arithmetic
from vadbench.base.errors import FeatureError, PluginError
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.base.needs import CLIP_STREAM
from vadbench.dataset import ClassTable
from vadbench.inputs import ArraysByKey, Batch, LossTerms, TrainingData, TrainingVideo, VideoInput
from vadbench.outputs import Reach, Remarks, Scores

if TYPE_CHECKING:
    from vadbench.clip import TextTower

__all__ = [
    "Batch",
    "Loop",
    "Method",
    "MethodConfig",
    "Reach",
    "Recipe",
    "Remarks",
    "Scores",
    "Task",
    "TrainingData",
    "VideoInput",
    "build_method",
]


class Task:
    """The task of a method: the classes, the widths of its streams and CLIP's text side.

    The text tower belongs to CLIP, not to the method: it is frozen, loaded when first used and never written to a
    checkpoint.

    Args:
        classes: class table of the data set.
        dims: width of a row of each stream, the time line first; a single number is that of the stream ``clip``.
        device: where the method will live.
        load_text: gives the text tower of the CLIP that made the features; raises where that is unknown.
        spacings: frames from one row of a stream to the next.
        known: names of the classes that may be read in training; by default all.
        cache: folder for what the method writes (``needs().writes``).
        seed: of the run.
    """

    def __init__(
        self,
        classes: ClassTable,
        dims: int | Mapping[str, int],
        device: torch.device,
        load_text: Callable[[], TextTower],
        *,
        spacings: Mapping[str, float] | None = None,
        known: Sequence[str] | None = None,
        cache: Path | None = None,
        seed: int = 0,
    ) -> None:
        self.classes, self.device, self._load_text = classes, device, load_text
        self.dims: Mapping[str, int] = {CLIP_STREAM: dims} if isinstance(dims, int) else dims
        self.spacings = dict(spacings or {})
        self.known = tuple(classes.names if known is None else known)
        self.cache, self.seed = cache, seed

    @property
    def dim(self) -> int:
        """Width of a row of the time line.

        Raises:
            PluginError: the method has no stream.
        """
        if not self.dims:
            raise PluginError("the method's needs() name no stream, so there are no rows and no task.dim")
        return next(iter(self.dims.values()))

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


_OF_CONFIG = {
    "version": "Config.version",
    "reference_selection": "Config.reference_selection",
    "needs_training": "Config.needs_training",
    "dataset_defaults": "Config.dataset_defaults",
    "named_classes": "Config.named_classes(self)",
    "require_classes": "Config.unfit(self, facts), which returns the reason",
}
"""What a method's ``Config`` says, and the class of the method used to say."""


class Method(nn.Module):
    """A model that turns the rows or frames of a video into scores.

    A trained method implements :meth:`view`, :meth:`loss` and :meth:`score`; a training-free one leaves
    ``config.recipe`` at ``None`` and needs only :meth:`score`. With ``recipe.epochs`` at 0 a method is scored as it
    begins. Parameters are initialised in the constructor under a seed that the harness has set. Everything else here
    is optional.

    Args:
        config: an instance of the method's own ``Config``.
        task: classes, widths of streams and text tower.
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    """What can be known of the method without torch: settings, version, needs. The spec names it."""
    known_failures: ClassVar[Mapping[str, str]] = {}
    """Checks of :mod:`vadbench.testing` that the method cannot pass, by name, each with the reason and the figures.
    They are shown as known, never as passed, and one that passes after all is a failure."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        # They would have no effect here, which nobody would notice.
        if moved := [name for name in _OF_CONFIG if hasattr(cls, name)]:
            where = " and ".join(f"'{name}' to {_OF_CONFIG[name]}" for name in moved)
            raise PluginError(f"{cls.__module__}.{cls.__name__} must say this in its Config class: move {where}")

    def __init__(self, config: MethodConfig, task: Task) -> None:
        super().__init__()
        self.config: Any = config
        self.task = task

    def prepare(self, data: TrainingData) -> None:
        """Look at the training videos before training, in one pass and bounded memory.

        Store the results in buffers, so that they are saved in the checkpoint; what is assigned on the CPU is placed.
        """

    def fit(self, data: TrainingData, loop: Loop) -> None:
        """Train: by default :meth:`prepare`, then one stage of the loop where there is a recipe with epochs."""
        self.prepare(data)
        if self.config.trains:
            loop.run(self, data.videos, self.config.recipe)

    def view(self, video: VideoInput, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """Return one training sample of a video.

        Called in a thread or process of its own, while the batch before is trained on: it may read ``self.config``, the
        classes and widths of ``self.task``, and the video, and draw from ``rng`` and nothing else. Data for a later
        stage is looked up in :meth:`loss` by ``batch.keys``, at numbers of rows that the view gives.

        Args:
            video: its ``rows`` are memory-mapped: index them, do not copy them whole.
            rng: the only source of randomness; a sample without draws is kept (up to 1 GiB of all), not asked for anew.

        Returns:
            arrays of the same names, shapes and dtypes for every video, so that they can be stacked.
        """
        raise NotImplementedError(f"{type(self).__name__} has a recipe but no view()")

    def loss(self, batch: Batch) -> LossTerms:
        """Return named, already weighted terms, each a scalar; the harness adds them and logs each.

        Terms by group, ``{group: {term: scalar}}``, have a backward pass for each: the gradient of a group's terms
        reaches the parameters of that group alone, and a group without terms stays as it is.
        """
        raise NotImplementedError(f"{type(self).__name__} has a recipe but no loss()")

    def groups(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Return the trainable parameters by group, each in one; ``recipe.groups.NAME`` says how a group is trained.

        One without a recipe of its own is trained as the group ``default``.
        """
        return {"default": [p for p in self.parameters() if p.requires_grad]}

    def optimisers(self, recipe: Recipe) -> Mapping[str, torch.optim.Optimizer] | None:
        """Return optimisers by name where those of :meth:`groups` and the recipe do not do; their states are saved.

        The learning rates that they are made with are kept, unless a name is that of a group with a schedule.
        """
        return None

    def stepped(self, step: int) -> None:
        """Called without gradients after each optimiser step, as to update a teacher; ``step`` counts finished ones."""

    def score(self, videos: Sequence[VideoInput]) -> Iterable[Scores]:
        """Score several videos, each with at least one row, under ``torch.inference_mode``.

        Which videos are scored together must not change a score, unless ``needs()`` declare it; an iterator of all
        videos of the split is then given.
        """
        raise NotImplementedError(f"{type(self).__name__} has no score()")

    def estimate(self, videos: Sequence[VideoInput]) -> Mapping[str, float]:
        """Return what scoring would cost, by name, for ``--dry-run``; read nothing of the videos but counts."""
        return {}

    @property
    def threshold(self) -> float | None:
        """The anomaly score from which on rows count as anomalous; ``None`` to measure it on training videos."""
        return None

    @property
    def reach(self) -> Reach:
        """The rows that a row's score depends on; by default all of the video."""
        return Reach(512, whole=True)

    def resize(self, shapes: Mapping[str, torch.Size]) -> None:
        """Give buffers whose size the data decides the shapes of a stored state, called before each is loaded."""

    def retarget(self, classes: ClassTable) -> Method:
        """Return the method for other classes: built anew with the trained state and the same text tower.

        Called only where its settings say ``open_vocabulary``.
        """
        own = self.task
        task = Task(
            classes, own.dims, own.device, lambda: own.text, spacings=own.spacings, cache=own.cache, seed=own.seed
        )
        other = build_method(type(self), self.config, task, own.seed)
        state = self.state_dict()
        other.resize({name: value.shape for name, value in state.items()})
        other.to(own.device).load_state_dict(state)
        return other.train(self.training)

    def import_reference(self, state: Mapping[str, Tensor]) -> None:
        """Load the authors' released weights, every key and shape matched strictly.

        Raises:
            CheckpointError: keys or shapes differ; lists them.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot import a released checkpoint")


class Loop(Protocol):
    """The training loop, as :meth:`vadbench.method.Method.fit` is given it. Every stage resumes to the same bits."""

    def run(
        self,
        method: Method,
        videos: Sequence[TrainingVideo],
        recipe: Recipe,
        stage: str = "main",
        *,
        view: Callable[[VideoInput, np.random.Generator], Mapping[str, NDArray[Any]]] | None = None,
        loss: Callable[[Batch], LossTerms] | None = None,
        select: bool = True,
    ) -> None:
        """Train a stage, or load its end if it is finished; optimisers begin anew with each stage.

        Args:
            method: trained in place.
            videos: the samples, those of :class:`TrainingData` or some of them.
            recipe: how to train.
            stage: its name.
            view: a method of ``method``, by default ``method.view``.
            loss: by default ``method.loss``.
            select: whether the selection rule of the run may choose among the weights of this stage. A stage before
                the last says no: what it passes on must not depend on test videos.
        """

    def once(self, stage: str, make: Callable[[], ArraysByKey]) -> ArraysByKey:
        """Return what ``make`` gave, now or before the interruption, as it was stored."""

    def score(self, method: Method, videos: Sequence[VideoInput], classes: bool = False) -> ArraysByKey:
        """Return anomaly scores ``(rows,)`` by key; with ``classes`` and probabilities, ``(rows, 1 + classes)``."""


def build_method(kind: type[Method], config: MethodConfig, task: Task, seed: int) -> Method:
    """Return a fresh method on the task's device, its parameters drawn under ``seed``."""
    # CUDA draws other numbers than the CPU; building on the CPU gives every device the same start.
    torch.manual_seed(seed)
    with arithmetic("fp32", task.device):
        return kind(config, task).to(task.device)
