"""The settings that every method has: its feature rows and its recipe, which :mod:`vadbench.base.recipe` has."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vadbench.base.config import Settings
from vadbench.base.needs import Facts, Needs
from vadbench.base.recipe import Recipe, Share

__all__ = ["MethodConfig", "Recipe", "Rows", "Share"]


class Rows(Settings):
    """The feature rows that a method wants; the harness pools finer stored rows to them."""

    stride: int = Field(1, ge=1, le=100_000, description="frames from one row to the next")
    pooling: Literal["first", "middle", "mean"] = Field(
        "mean", description="which of a row's frames stand for it: the first, the middle one, or the mean of all"
    )
    crops: Literal["one", "all"] = Field(
        "one",
        description="what a training video of several crops gives: one sample, its center crop (the first if none has"
        " that name) or the most confident region of each frame, or one sample per crop; the protocol says which crop"
        " is scored",
    )


class MethodConfig(Settings):
    """The settings that every method has; a method's own ``Config`` subclasses it and adds fields.

    It also says what can be known of a method without importing its code: it must be importable without torch.
    """

    rows: Rows = Rows()
    recipe: Recipe | None = Field(None, description="how to train; none for a training-free method")

    @property
    def trains(self) -> bool:
        """True if there is a recipe with at least one epoch."""
        return self.recipe is not None and self.recipe.epochs > 0

    def needs(self) -> Needs:
        """Return what the method needs under these settings."""
        return Needs(supervision="weak" if self.trains else "training-free")

    def unfit(self, facts: Facts) -> str:
        """Return why the method cannot run on a data set, in words, or an empty string if it can."""
        return ""
