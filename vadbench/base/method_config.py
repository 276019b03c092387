"""The settings that every method has: its feature rows and its recipe, which :mod:`vadbench.base.recipe` has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from vadbench.base.config import Settings
from vadbench.base.needs import Facts, Needs
from vadbench.base.recipe import GroupRecipe, Recipe, Share

__all__ = ["GroupRecipe", "MethodConfig", "Recipe", "Rows", "Share"]


class Rows(Settings):
    """The feature rows that a method wants; the harness pools finer stored rows to them."""

    stride: int = Field(1, ge=1, le=100_000, description="frames from one row to the next")
    pooling: Literal["first", "middle", "mean"] = Field(
        "mean", description="which of a row's frames stand for it: the first, the middle one, or the mean of all"
    )
    crops: Literal["one", "all", "bag"] = Field(
        "one",
        description="what a training video of several crops gives: one sample, its center crop (the first if none has"
        " that name) or the most confident region of each frame; all: one sample per crop; the protocol says which crop"
        " is scored. bag: one sample of (crops, rows, dim), in scoring too, of the crops that the protocol scores",
    )


class MethodConfig(Settings):
    """The settings that every method has; a method's own ``Config`` subclasses it and adds fields.

    It also says what can be known of a method without importing its code. In a module that is importable without torch,
    and named by the method's spec, it keeps commands that only look at a method fast.
    """

    version: ClassVar[str] = "1"
    """Raise it when a change makes old results incomparable: it is part of every run's key."""
    reference_selection: ClassVar[Literal["last", "validation", "best-on-test"]] = "last"
    """The authors' way of choosing the weights that they released."""
    needs_training: ClassVar[bool] = True
    """True if the method's scores mean nothing before it is trained. False where ``recipe.epochs`` may be 0:
    ``vadbench score --method`` then takes it as it begins."""
    any_rows: ClassVar[bool] = False
    """True if the method does not mind which rows it gets. Of features that are given and cannot be pooled to its
    default rows, it then takes the rows as they are, and its settings say which; others refuse such features."""
    dataset_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings per data set name, such as a paper's table of hyper-parameters; nested as the settings are."""

    rows: Rows = Rows()
    recipe: Recipe | None = Field(None, description="how to train; none for a training-free method")

    @property
    def trains(self) -> bool:
        """True if there is a recipe with at least one epoch."""
        return self.recipe is not None and self.recipe.epochs > 0

    @property
    def takes_bags(self) -> bool:
        """True if ``rows.crops`` may be ``bag``; by default where it is so by default."""
        return bool(type(self).model_fields["rows"].get_default().crops == "bag")

    @property
    def open_vocabulary(self) -> bool:
        """True if it can score other classes than those that it was trained on, see
        :meth:`vadbench.method.Method.retarget`."""
        return False

    def needs(self) -> Needs:
        """Return what the method needs under these settings."""
        return Needs(supervision="weak" if self.trains else "training-free")

    def post(self) -> str:
        """Return the post-processing of its scores that the method proposes, such as ``gaussian(10)``; none by default.

        Part of the evaluation alone, never of the training: a user changes it, or takes it away, with ``--post``.
        """
        return ""

    def unfit(self, facts: Facts) -> str:
        """Return why the method cannot run on a data set and what to change, in words; an empty string if it can.

        What :meth:`needs` say is checked without it.
        """
        return ""

    def named_classes(self) -> Sequence[str] | None:
        """Return the names of the abnormal classes that the settings give, for scoring without a data set.

        An empty list means one abnormal class, ``None`` that the method needs the classes of a data set.
        """
        return None
