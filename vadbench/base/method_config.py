"""The settings that every method has: its feature rows and its recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from vadbench.base.config import Settings
from vadbench.base.needs import Facts, Needs


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


Share = Annotated[float, Field(ge=0, lt=1)]
"""A number from 0 to below 1."""


class Recipe(Settings):
    """The training of a method: everything that the harness's training loop can be told.

    A setting that has no effect in the combination given is refused; with 0 epochs none has, and all are accepted.
    """

    model_config = ConfigDict(validate_default=True)

    epochs: int = Field(
        50, ge=0, description="passes over the training split; 0 trains nothing and leaves the weights as they begin"
    )
    sampler: Literal["balanced", "paired", "mixed"] = Field(
        "balanced",
        description="balanced: half abnormal, half normal, the shorter list starting again within an epoch; paired: the"
        " same, but an epoch ends with the shorter list; mixed: all videos shuffled",
    )
    batch_size: int = Field(
        64, ge=1, description="videos in a batch; an even number where balanced or paired, half of them normal"
    )
    learning_rate: float = Field(1e-4, gt=0, description="AdamW learning rate at its peak")
    betas: tuple[Share, Share] = Field((0.9, 0.999), description="AdamW moment decay rates")
    epsilon: float = Field(1e-8, gt=0, description="AdamW term in the denominator")
    weight_decay: float = Field(0.01, ge=0, description="AdamW weight decay, on every parameter")
    schedule: Literal["constant", "warmup-cosine", "steps"] = Field(
        "constant", description="learning rate over epochs; steps multiplies it by gamma at each milestone"
    )
    warmup_epochs: int = Field(0, ge=0, description="epochs of linear warm-up; only with schedule=warmup-cosine")
    warmup_from_zero: bool = Field(
        True,
        description="warm-up starts with an epoch at learning rate 0, as AnomalyCLIP's authors' code does;"
        " false: epoch e of w runs at (e+1)/w of the peak; only with a warm-up",
    )
    milestones: tuple[int, ...] = Field(
        (),
        description="ascending epochs, counted from 0, from which on the rate is multiplied by gamma; those past the"
        " last epoch are never reached; only with schedule=steps",
    )
    gamma: float = Field(0.1, gt=0, description="factor at each milestone; only with schedule=steps")
    look_every: int = Field(
        0,
        ge=0,
        description="only under a selection rule: training steps from one look at the model to the next, counted anew"
        " in each epoch; 0, or an epoch too short for one: at its end",
    )
    rollback: bool = Field(
        False,
        description="only under a selection rule: every epoch begins from the best weights so far, the optimiser going"
        " on, as VadCLIP's authors train",
    )
    precision: Literal["fp32", "tf32", "bf16"] = Field(
        "fp32", description="arithmetic of training and scoring; tf32 and bf16 change numbers"
    )
    compile: bool = Field(
        False, description="train through torch.compile; takes a minute to begin, and changes numbers and random draws"
    )

    @field_validator("batch_size")
    @classmethod
    def _two_halves(cls, size: int, info: ValidationInfo) -> int:
        if size % 2 and info.data.get("sampler") in ("balanced", "paired"):
            raise ValueError(
                "must be even, one half of it for each kind of video; only recipe.sampler=mixed takes any number"
            )
        return size

    @field_validator("warmup_epochs")
    @classmethod
    def _a_schedule_that_warms_up(cls, warmup: int, info: ValidationInfo) -> int:
        if not warmup or not info.data.get("epochs"):
            return warmup
        if (schedule := info.data.get("schedule", "warmup-cosine")) != "warmup-cosine":
            raise ValueError(
                f"has no effect with recipe.schedule={schedule}, it needs warmup-cosine; set recipe.warmup_epochs=0"
                f"{cls._back('warmup_from_zero')}"
            )
        return warmup

    @field_validator("warmup_from_zero")
    @classmethod
    def _something_to_warm_up(cls, from_zero: bool, info: ValidationInfo) -> bool:
        without = info.data.get("warmup_epochs") == 0 and info.data.get("epochs")
        if without and from_zero != Recipe.model_fields["warmup_from_zero"].default:
            raise ValueError(
                "has no effect with recipe.warmup_epochs=0; set recipe.warmup_from_zero=true, or warm up with"
                " recipe.schedule=warmup-cosine and recipe.warmup_epochs"
            )
        return from_zero

    @field_validator("milestones")
    @classmethod
    def _ascending_steps(cls, milestones: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if not info.data.get("epochs") or (schedule := info.data.get("schedule")) is None:
            return milestones
        if milestones and schedule != "steps":
            raise ValueError(
                f"have no effect with recipe.schedule={schedule}, they need steps; set recipe.milestones=[]"
                f"{cls._back('gamma')}"
            )
        if schedule == "steps" and not milestones:
            raise ValueError(
                "must name the epochs of recipe.schedule=steps, as in [4, 8]; or set recipe.schedule=constant"
            )
        if milestones and (milestones[0] < 1 or any(b <= a for a, b in pairwise(milestones))):
            raise ValueError("must ascend from epoch 1 or later, none of them twice")
        return milestones

    @field_validator("gamma")
    @classmethod
    def _a_factor_of_steps(cls, gamma: float, info: ValidationInfo) -> float:
        usual = Recipe.model_fields["gamma"].default
        if gamma != usual and info.data.get("epochs") and info.data.get("schedule") in ("constant", "warmup-cosine"):
            raise ValueError(
                f"has no effect with recipe.schedule={info.data['schedule']}, it needs steps; set recipe.gamma={usual}"
            )
        return gamma

    @classmethod
    def _back(cls, name: str) -> str:
        """Return the second half of an advice: the setting to reset, which would be refused next."""
        usual = Recipe.model_fields[name].default
        return f" and recipe.{name}={str(usual).lower()}"


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
    dataset_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings per data set name, such as a paper's table of hyper-parameters; nested as the settings are."""

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
        """Return why the method cannot run on a data set and what to change, in words; an empty string if it can.

        What :meth:`needs` say is checked without it.
        """
        return ""

    def named_classes(self) -> Sequence[str] | None:
        """Return the names of the abnormal classes that the settings give, for scoring without a data set.

        An empty list means one abnormal class, ``None`` that the method needs the classes of a data set.
        """
        return None
