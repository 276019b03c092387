"""Recipes: everything that the training loop can be told, for all parameters and for groups of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from vadbench.base.config import Settings
from vadbench.base.fields import Introduced
from vadbench.base.recipe_rules import problem_of

DEFAULT_GROUP = "default"
"""The group of the parameters that no other group of the recipe trains: the recipe's own fields are its settings."""
LOOK_FIELDS = ("look_every", "look_count", "look_from", "look_ties", "rollback")
"""The settings that have an effect only under a selection rule."""
Share = Annotated[float, Field(ge=0, lt=1)]
"""A number from 0 to below 1."""
OptimiserKind = Literal["adamw", "adam-l2", "stable-adamw"]
ScheduleKind = Literal["constant", "warmup-cosine", "steps"]
_Planned = Literal["taken", "both-lists"] | Annotated[int, Field(ge=1)]


class GroupRecipe(Settings):
    """The training of one group of parameters, ``recipe.groups.NAME``: what is left out is as in the recipe itself."""

    optimiser: OptimiserKind | None = None
    learning_rate: float | None = Field(None, gt=0)
    betas: tuple[Share, Share] | None = None
    epsilon: float | None = Field(None, gt=0)
    weight_decay: float | None = Field(None, ge=0)
    amsgrad: bool | None = None
    schedule: ScheduleKind | None = None
    schedule_unit: Literal["epoch", "step"] | None = None
    warmup_epochs: int | None = Field(None, ge=0)
    warmup_steps: int | None = Field(None, ge=0)
    warmup_from_zero: bool | None = None
    warmup_to_peak: bool | None = None
    milestones: tuple[int, ...] | None = None
    gamma: float | None = Field(None, gt=0)
    floor: float | None = Field(None, ge=0, le=1)
    planned_steps: _Planned | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The fields that are not left out."""
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}

    @model_serializer(mode="wrap")
    def _without_what_is_left_out(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


class Recipe(Settings):
    """The training of a method: everything that the harness's training loop can be told.

    A setting that has no effect in the combination given is refused; with 0 epochs none has, and all are accepted.
    """

    model_config = ConfigDict(validate_default=True)

    epochs: int = Field(
        50, ge=0, description="passes over the training split; 0 trains nothing and leaves the weights as they begin"
    )
    sampler: Literal["balanced", "paired", "mixed", "cycled"] = Field(
        "balanced",
        description="balanced: half abnormal, half normal, the shorter list starting again within an epoch; paired: the"
        " same, but an epoch ends with the shorter list; cycled: the same, but each list starts again, in a new order,"
        " only when it is used up, however many epochs that takes; mixed: all videos shuffled",
    )
    batch_size: int = Field(
        64, ge=1, description="videos in a batch; an even number where half of them are normal, that is, unless mixed"
    )
    epoch_steps: Annotated[int, Introduced(0)] = Field(
        0, ge=0, description="training steps in an epoch, 0: a pass over the longer list; only with sampler=cycled"
    )
    steps: Annotated[int, Introduced(0)] = Field(
        0,
        ge=0,
        description="training steps in all, in place of epochs, the last epoch being cut short where they end within"
        " it; 0: as many epochs as epochs says",
    )
    optimiser: Annotated[OptimiserKind, Introduced("adamw")] = Field(
        "adamw",
        description="adamw; adam-l2: Adam with weight decay added to the gradient; stable-adamw: AdamW whose step is"
        " divided, tensor by tensor, by the root mean square of the scaled gradient where that is above 1",
    )
    learning_rate: float = Field(1e-4, gt=0, description="AdamW learning rate at its peak")
    betas: tuple[Share, Share] = Field((0.9, 0.999), description="AdamW moment decay rates")
    epsilon: float = Field(1e-8, gt=0, description="AdamW term in the denominator")
    weight_decay: float = Field(0.01, ge=0, description="AdamW weight decay, on every parameter")
    amsgrad: Annotated[bool, Introduced(False)] = Field(
        False, description="divide by the largest second moment so far instead of the present one"
    )
    schedule: ScheduleKind = Field(
        "constant", description="learning rate over epochs; steps multiplies it by gamma at each milestone"
    )
    schedule_unit: Annotated[Literal["epoch", "step"], Introduced("epoch")] = Field(
        "epoch",
        description="what the schedule counts, and when the rate changes: epochs, or training steps; not with"
        " schedule=constant",
    )
    warmup_epochs: int = Field(0, ge=0, description="epochs of linear warm-up; only with schedule=warmup-cosine")
    warmup_steps: Annotated[int, Introduced(0)] = Field(
        0, ge=0, description="training steps of linear warm-up; only with schedule=warmup-cosine, schedule_unit=step"
    )
    warmup_from_zero: bool = Field(
        True,
        description="warm-up starts with an epoch at learning rate 0, as AnomalyCLIP's authors' code does;"
        " false: epoch e of w runs at (e+1)/w of the peak; only with a warm-up",
    )
    warmup_to_peak: Annotated[bool, Introduced(False)] = Field(
        False,
        description="a warm-up from zero whose last epoch or step is at the peak already: e of w runs at e/(w-1) of"
        " it instead of e/w; only with a warm-up",
    )
    milestones: tuple[int, ...] = Field(
        (),
        description="ascending epochs (or training steps, as schedule_unit says), counted from 0, from which on the"
        " rate is multiplied by gamma; those past the last are never reached; only with schedule=steps",
    )
    gamma: float = Field(0.1, gt=0, description="factor at each milestone; only with schedule=steps")
    floor: Annotated[float, Introduced(0.0)] = Field(
        0.0, ge=0, le=1, description="share of the peak that the cosine falls to; only with schedule=warmup-cosine"
    )
    planned_steps: Annotated[_Planned, Introduced("taken")] = Field(
        "taken",
        description="training steps after which the cosine has reached its floor: those that are taken; both-lists:"
        " in each epoch those of a pass over one list and of one over the other, as where the lengths of two loaders"
        " are added; or a number; only with schedule=warmup-cosine, schedule_unit=step",
    )
    look_every: int = Field(
        0,
        ge=0,
        description="only under a selection rule: training steps from one look at the model to the next, counted anew"
        " in each epoch unless look_count says otherwise; 0, or an epoch too short for one: at its end",
    )
    look_count: Annotated[Literal["epoch", "run"], Introduced("epoch")] = Field(
        "epoch",
        description="epoch: a look after look_every + 1, 2 look_every + 1, ... steps of each epoch; run: whenever the"
        " steps since the training began are a multiple of look_every, and at its end if there was none",
    )
    look_from: Annotated[int, Introduced(0)] = Field(
        0, ge=0, description="training steps after which there are looks at the earliest; only with look_count=run"
    )
    look_ties: Annotated[Literal["first", "last"], Introduced("first")] = Field(
        "first", description="only under a selection rule: which of several equally good looks is kept"
    )
    rollback: bool = Field(
        False,
        description="only under a selection rule: every epoch begins from the best weights so far, the optimiser going"
        " on, as VadCLIP's authors train",
    )
    precision: Literal["fp32", "tf32", "bf16"] = Field(
        "fp32", description="arithmetic of training and scoring; tf32 and bf16 change numbers. On a CPU tf32 is fp32"
    )
    deterministic: Annotated[bool, Introduced(True)] = Field(
        True,
        description="on a GPU: train and score with deterministic algorithms alone, so that a run ends with the same"
        " bits on the same kind of GPU with the same versions; false: with whatever is fastest, and with operations"
        " that have no such algorithm. A CPU has no others",
    )
    compile: bool = Field(
        False, description="train through torch.compile; takes a minute to begin, and changes numbers and random draws"
    )
    groups: Annotated[dict[str, GroupRecipe], Introduced({})] = Field(
        {},
        description="training of groups of parameters that the method names, each with an optimiser of its own:"
        f" recipe.groups.NAME.FIELD for {', '.join(GroupRecipe.model_fields)}; a field left out is as in the recipe",
    )

    @field_validator("*")
    @classmethod
    def _has_an_effect(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        usual = _usual() | {"epochs": cls.model_fields["epochs"].default}
        if said := problem_of(name, {**info.data, name: value}, usual, "recipe"):
            raise ValueError(said)
        return value

    @field_validator("groups")
    @classmethod
    def _groups_have_an_effect(cls, groups: dict[str, GroupRecipe], info: ValidationInfo) -> dict[str, GroupRecipe]:
        if DEFAULT_GROUP in groups:
            raise ValueError(f"'{DEFAULT_GROUP}' is trained as the recipe itself says; set recipe.FIELD")
        for name, group in groups.items():
            values = {**info.data, **group.given}
            for field in GroupRecipe.model_fields:
                # What a group inherits may be of no use to it, but must not contradict what it sets.
                if (field in group.given or field == "milestones") and (
                    said := problem_of(field, values, _usual(), f"recipe.groups.{name}")
                ):
                    raise ValueError(f"{name}.{field} {said}")
        return groups

    def group(self, name: str) -> Recipe:
        """Return the recipe of a group: its own fields are those of ``groups[name]``, else of the whole recipe.

        >>> recipe = Recipe(learning_rate=0.01, groups={"head": GroupRecipe(optimiser="adam-l2")})
        >>> recipe.group("head").optimiser, recipe.group("head").learning_rate
        ('adam-l2', 0.01)
        """
        given = self.groups[name].given if name in self.groups else {}
        return self.model_copy(update={**given, "groups": {}})


def _usual() -> dict[str, Any]:
    """Return the values that are right where a setting has no effect, whatever the defaults of a method's recipe."""
    return {name: field.default for name, field in Recipe.model_fields.items()}
