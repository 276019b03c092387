"""Settings in layers: method defaults < its data set defaults < TOML file < environment < ``--set key=value``."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from vadbench.errors import ConfigError, did_you_mean

ENVIRONMENT_PREFIX = "VADBENCH_SET__"


class Settings(BaseModel):
    """Base of all settings: frozen, and a field nobody declared is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError("must not be true or false")
        return value


class Rows(Settings):
    """Which feature rows a method wants; the harness pools finer stored rows to this."""

    stride: int = Field(1, ge=1, le=100_000, description="frames from one row to the next")
    pooling: Literal["first", "middle", "mean"] = Field(
        "mean", description="which of a row's frames stand for it: the first, the middle one, or the mean of all"
    )
    crops: Literal["one", "all"] = Field(
        "one",
        description="what a training video of several crops gives: one sample, its center crop (the first where none is"
        " called so), or a sample a crop; which crop is scored is the protocol's",
    )


Share = Annotated[float, Field(ge=0, lt=1)]


class Recipe(Settings):
    """How a method is trained; the harness has one training loop and this is all it can be told.

    A setting that has no effect in the combination given is refused; without an epoch none has, and all are accepted.
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
    warmup_epochs: int = Field(
        0, ge=0, description="epochs of linear warm-up, fewer than there are epochs; only with schedule=warmup-cosine"
    )
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
    def _a_warmup_that_ends(cls, warmup: int, info: ValidationInfo) -> int:
        if not warmup or not (epochs := info.data.get("epochs")):
            return warmup
        if (schedule := info.data.get("schedule", "warmup-cosine")) != "warmup-cosine":
            raise ValueError(
                f"has no effect with recipe.schedule={schedule}, it needs warmup-cosine; set recipe.warmup_epochs=0"
                f"{cls._back('warmup_from_zero')}"
            )
        if warmup >= epochs:
            most = f"0{cls._back('warmup_from_zero')}" if epochs == 1 else f"{epochs - 1} or less"
            raise ValueError(
                f"must be less than recipe.epochs={epochs}, or the learning rate never reaches its peak; set"
                f" recipe.warmup_epochs={most}"
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
        """What else must be set back where a method's own default would be refused next."""
        usual = Recipe.model_fields[name].default
        return f" and recipe.{name}={str(usual).lower()}"


class MethodConfig(Settings):
    """Settings every method has; a method's own ``Config`` subclasses it and adds fields."""

    rows: Rows = Rows()
    recipe: Recipe | None = Field(None, description="how to train; none for a training-free method")

    @property
    def trains(self) -> bool:
        """Whether anything is trained: there is a recipe, and it has an epoch."""
        return self.recipe is not None and self.recipe.epochs > 0


C = TypeVar("C", bound=Settings)


def resolve(
    model: type[C],
    dataset_defaults: Mapping[str, Any],
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    assignments: Sequence[str] = (),
) -> C:
    """Put the layers on top of each other and validate the result.

    Args:
        model: the settings to fill; its field defaults are the lowest layer.
        dataset_defaults: what the method says about this data set, nested.
        file: a TOML file with the same nesting.
        environment: variables such as ``VADBENCH_SET__RECIPE__EPOCHS=5``.
        assignments: ``key=value`` with dotted keys and TOML values; a value that is not TOML is taken as text.

    Raises:
        ConfigError: a key that does not exist, or a value of the wrong type; says in which layer.
    """
    values: dict[str, Any] = defaults(model)
    origin: dict[str, str] = {}
    layers: list[tuple[str, Iterable[tuple[str, Any]]]] = [
        ("the method's data set defaults", flatten(dataset_defaults))
    ]
    if file is not None:
        layers.append((str(file), flatten(read_toml(file))))
    layers.append(("the environment", _from_environment(environment)))
    layers.append(("--set", [_assignment(a) for a in assignments]))
    known = field_names(model)
    for source, pairs in layers:
        for key, value in pairs:
            if key not in known:
                raise ConfigError(f"unknown setting '{key}' in {source}{did_you_mean(key, known)}")
            _put(values, key, value)
            origin[key] = source
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        where = next((f" from {s}" for k, s in origin.items() if key.startswith(k)), "")
        raise ConfigError(f"setting '{key}'{where}: {first['msg']}, found {first['input']!r}") from error


def defaults(model: type[Settings]) -> dict[str, Any]:
    """The lowest layer: every field's default, nested, as plain values."""
    return model().model_dump()


def field_names(model: type[Settings]) -> list[str]:
    """Dotted names of all settings, ``recipe`` sections included."""
    return [key for key, _ in flatten(defaults(model))]


def field_descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Dotted name to description, for ``vadbench show method``."""
    return {name: info.description or "" for name, info in _fields(model)}


def field_choices(model: type[BaseModel]) -> dict[str, str]:
    """Dotted name to the values a setting may take, where these can be counted."""
    return {
        name: " | ".join(map(str, get_args(info.annotation)))
        for name, info in _fields(model)
        if get_origin(info.annotation) is Literal
    }


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    instance = model()
    for name, info in model.model_fields.items():
        value = getattr(instance, name)
        if isinstance(value, BaseModel):
            yield from _fields(type(value), f"{prefix}{name}.")
        else:
            yield prefix + name, info


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested settings as pairs of dotted name and value.

    >>> flatten({"rows": {"stride": 4}, "n_ctx": 8})
    [('rows.stride', 4), ('n_ctx', 8)]
    """
    pairs: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            pairs.extend(flatten(value, f"{prefix}{key}."))
        else:
            pairs.append((prefix + key, value))
    return pairs


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing or not TOML; names the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path} as TOML: {error}") from error


def _assignment(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ConfigError(f"--set expects key=value, found '{text}'")
    return key.strip(), _value(value.strip())


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, Any]]:
    return [
        (name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", "."), _value(value))
        for name, value in sorted(environment.items())
        if name.startswith(ENVIRONMENT_PREFIX)
    ]


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *parents, leaf = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
    values[leaf] = value
