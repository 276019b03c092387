"""Settings in layers: method defaults < its data set defaults < TOML file < environment < ``--set key=value``."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from vadbench.base.errors import ConfigError, complaint, cut, did_you_mean, listed, shortened
from vadbench.base.fields import Setting, choices, fields, is_known, known_settings, misplaced_truth
from vadbench.base.naming import NAME, SettingPath, flatten, joined, read_value, split_name, written

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
ENVIRONMENT_PREFIX = "VADBENCH_SET__"
SHOWN = 5
"""Settings that a message lists."""


class Settings(BaseModel):
    """Base of all settings: frozen, and a field nobody declared is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        if misplaced_truth(value, cls.model_fields[info.field_name or ""].annotation):
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
        " called so) or of regions the most confident one of each frame, or a sample a crop; which crop is scored is"
        " the protocol's",
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

    A table stands for its entries: it changes those that it names and leaves the others. An empty one takes all away.

    Args:
        model: the settings to fill; its field defaults are the lowest layer.
        dataset_defaults: what the method says about this data set, nested.
        file: a TOML file with the same nesting.
        environment: variables such as ``VADBENCH_SET__RECIPE__EPOCHS=5``.
        assignments: ``key=value`` with dotted keys and TOML values; a value that is not TOML is taken as text.

    Raises:
        ConfigError: a key that does not exist, or a value of the wrong type; says in which layer.
    """
    known = known_settings(model)
    values: dict[str, Any] = defaults(model)
    given: dict[SettingPath, tuple[str, Any]] = {}
    layers: list[tuple[str, Callable[[], Iterable[tuple[str, Any]]]]] = [
        ("the method's data set defaults", lambda: flatten(dataset_defaults)),
        ("the environment", lambda: _from_environment(known, values, environment)),
        ("--set", lambda: (pair for text in assignments for pair in _assignment(text))),
    ]
    if file is not None:
        layers.insert(1, (str(file), lambda: flatten(read_toml(file))))
    for source, pairs in layers:
        for name, value in pairs():
            place = split_name(name)
            if not is_known(place, known):
                raise ConfigError(f"unknown setting '{name}' in {source}{did_you_mean(name, field_names(model))}")
            _put(known, values, place, value)
            given = {p: v for p, v in given.items() if p[: len(place)] != place} | {place: (source, value)}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_what_is_wrong(error, values, given)) from error


def defaults(model: type[BaseModel]) -> dict[str, Any]:
    """The lowest layer: every field's default, nested, as plain values; a field without one is absent."""
    try:
        return model().model_dump()
    except ValidationError:
        return model.model_construct().model_dump(warnings=False)


def field_names(model: type[BaseModel]) -> list[str]:
    """Dotted names of all settings, those in sections included."""
    return [s.name for s in fields(model) if s.section is None or s.optional]


def field_descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Dotted name to description, for ``vadbench show method``."""
    return {s.name: s.info.description or "" for s in fields(model) if s.section is None or s.optional}


def field_choices(model: type[BaseModel]) -> dict[str, str]:
    """Dotted name to the values a setting may take, where these can be counted."""
    return {s.name: " | ".join(map(written, found)) for s in fields(model) if (found := choices(s.info.annotation))}


def of_field(name: str, texts: Mapping[str, str]) -> str:
    """What is said of a setting, or of the one whose entry it is.

    >>> of_field("weights.fire", {"weights": "of the classes"})
    'of the classes'
    """
    parts = split_name(name)
    return next((texts[n] for i in range(len(parts), 0, -1) if (n := ".".join(parts[:i])) in texts), "")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing or not TOML; names the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path} as TOML: {error}") from error


def is_content(table: Mapping[str, Any], given: str) -> bool:
    """Return true if a table in a record is what a :class:`vadbench.base.fields.FromFile` setting was given as.

    Args:
        table: the content as a record has it.
        given: the path of a file, or the name of what comes with the method.
    """
    if not Path(given).is_file():
        return table.get("title") == given
    try:
        return _content(read_toml(Path(given))) == _content(table)
    except ConfigError:
        return False


def _content(table: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that say something. Records hold a table in a table as pairs, because its order counts."""
    plain = {key: [list(pair) for pair in v.items()] if isinstance(v, Mapping) else v for key, v in table.items()}
    return {key: value for key, value in plain.items() if value}


def _assignment(text: str) -> list[tuple[str, Any]]:
    key = NAME.match(text)
    if not key or text[key.end() : key.end() + 1] != "=":
        raise ConfigError(f"--set expects key=value, found '{text}'")
    return flatten({key[0].strip(): read_value(text[key.end() + 1 :].strip())})


def _from_environment(
    known: Mapping[SettingPath, Setting], values: Mapping[str, Any], environment: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    """Settings that variables name, whose letters may be of either case."""
    there = dict.fromkeys([*known, *(split_name(name) for name, _ in flatten(values))])
    for variable, value in sorted(environment.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        asked = variable.removeprefix(ENVIRONMENT_PREFIX)
        meant = [place for place in there if _variable(place) == asked.casefold()]
        if not meant:
            # The entry of a table is called as the variable spells it.
            tables = [p for p, s in known.items() if s.table and asked.casefold().startswith(_variable((*p, "")))]
            meant = [(*p, *asked[len(_variable((*p, ""))) :].split("__")) for p in tables]
        if len(meant) > 1:
            names = " or ".join(f"'{joined(place)}'" for place in meant)
            raise ConfigError(f"{variable} may mean {names}; give the setting in a file or by --set")
        name = joined(meant[0]) if meant else asked.lower().replace("__", ".")
        yield from flatten({name: read_value(value)})


def _variable(place: SettingPath) -> str:
    return "__".join(place).casefold()


def _put(known: Mapping[SettingPath, Setting], values: dict[str, Any], place: SettingPath, value: Any) -> None:
    for depth, part in enumerate(place):
        # Keys of a table may be numbers.
        key = next((k for k in values if str(k) == part), part)
        setting = known.get(place[: depth + 1])
        begun = defaults(setting.section) if setting is not None and setting.section is not None else {}
        there = values.get(key)
        if depth < len(place) - 1:
            # A section or a table that was absent begins with its first entry.
            values[key] = values = there if isinstance(there, dict) else begun
        elif value == {} and isinstance(value, Mapping):
            values[key] = there if begun and isinstance(there, dict) else begun
        else:
            values[key] = value


def _what_is_wrong(
    error: ValidationError, values: Mapping[str, Any], given: Mapping[SettingPath, tuple[str, Any]]
) -> str:
    """The first thing wrong with settings, where it comes from, and what was found."""
    placed = [(_place(values, found), found) for found in error.errors()]
    place, first = placed[0]
    # Each type of a union has its own complaint.
    said = " or ".join(dict.fromkeys(complaint(found) for other, found in placed if other == place))
    name = f"setting '{joined(place)}'" if place else "settings"
    if first["type"] != "missing" and place and not isinstance(first["input"], Mapping | BaseModel):
        origin = [given[place[:i]][0] for i in range(len(place), 0, -1) if place[:i] in given]
        return f"{name}{f' from {origin[0]}' if origin else ''}: {said}, found {shortened(first['input'])}"
    latest = sorted(reversed(list(given.items())), key=lambda entry: entry[0][: len(place)] != place)
    texts = [f"{joined(p)}={_short(value)} ({source})" for p, (source, value) in latest]
    return f"{name}: {said}; given: {listed(texts, SHOWN) or 'nothing but the defaults'}"


def _place(values: Any, found: ErrorDetails) -> SettingPath:
    """The setting that pydantic complains of: its path without the types of unions."""
    place = []
    for part in found["loc"]:
        if isinstance(values, Mapping) and part in values:
            values = values[str(part)]
        elif isinstance(values, list | tuple) and isinstance(part, int) and part < len(values):
            values = values[part]
        elif found["type"] != "missing" or part != found["loc"][-1]:
            continue
        place.append(str(part))
    return tuple(place)


def _short(value: Any) -> str:
    return cut(written(value), 40)
