"""Settings in layers: method defaults < its data set defaults < TOML file < environment < ``--set key=value``."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from vadbench.base.errors import ConfigError, complaint, cut, did_you_mean, listed, shortened
from vadbench.base.fields import Setting, choices, fields, is_known, known_settings, misplaced_truth, names_inside
from vadbench.base.files import regular
from vadbench.base.locations import expanded
from vadbench.base.naming import NAME, SettingPath, defaults, flatten, joined, read_value, split_name, written

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
ENVIRONMENT_PREFIX = "VADBENCH_SET__"
SHOWN_BY = "vadbench show method NAME"
"""The command that shows every setting of a method."""
SHOWN = 5
"""Settings that a message lists."""


class Settings(BaseModel):
    """Base of all settings: frozen, and a field that is not declared is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, serialize_by_alias=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        if misplaced_truth(value, cls.model_fields[info.field_name or ""].annotation):
            raise ValueError("must not be true or false")
        return value


C = TypeVar("C", bound=Settings)


def resolve(
    model: type[C],
    dataset_defaults: Mapping[str, Any],
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    assignments: Sequence[str] = (),
    assigned_by: str = "--set",
) -> C:
    """Put the layers on top of each other and validate the result.

    A table stands for its entries: it changes those that it names and leaves the others. An empty one takes all away.

    Args:
        model: the settings to fill; its field defaults are the lowest layer.
        dataset_defaults: what the method says about this data set, nested.
        file: a TOML file with the same nesting.
        environment: variables such as ``VADBENCH_SET__RECIPE__EPOCHS=5``.
        assignments: ``key=value`` with dotted keys and TOML values; a value that is not TOML is taken as text.
        assigned_by: what gave these, for messages.

    Raises:
        ConfigError: a key that does not exist, or a value of the wrong type; says in which layer.
    """
    known = known_settings(model)
    values: dict[str, Any] = defaults(model)
    given: dict[SettingPath, tuple[str, Any]] = {}
    layers: list[tuple[str, Callable[[], Iterable[tuple[str, Any]]]]] = [
        ("the method's data set defaults", lambda: flatten(dataset_defaults)),
        ("the environment", lambda: _from_environment(known, values, environment)),
        (assigned_by, lambda: (pair for text in assignments for pair in parse_assignment(text))),
    ]
    if file is not None:
        layers.insert(1, (str(file), lambda: flatten(read_toml(file))))
    for source, pairs in layers:
        for name, value in pairs():
            place = split_name(name)
            if not is_known(place, known):
                near = [*field_names(model), *map(joined, names_inside(place, known))]
                raise ConfigError(f"unknown setting '{name}' in {source}{did_you_mean(name, near, SHOWN_BY)}")
            _put(known, values, place, value)
            given = {p: v for p, v in given.items() if p[: len(place)] != place} | {place: (source, value)}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_what_is_wrong(error, values, given)) from error


def field_names(model: type[BaseModel]) -> list[str]:
    """Return the dotted names of all settings, those in sections included."""
    return [s.name for s in fields(model) if s.section is None or s.optional]


def field_descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return each setting's description by its dotted name, for ``vadbench show method``."""
    return {s.name: s.info.description or "" for s in fields(model) if s.section is None or s.optional}


def field_choices(model: type[BaseModel]) -> dict[str, str]:
    """Return the values that each setting may take by its dotted name, where they can be counted."""
    return {s.name: " | ".join(map(written, found)) for s in fields(model) if (found := choices(s.info.annotation))}


def of_field(name: str, texts: Mapping[str, str]) -> str:
    """Return the text about a setting, or about the table setting that it is an entry of.

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
        return tomllib.loads(regular(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path} as TOML: {error}") from error


def is_content(table: Mapping[str, Any], given: str) -> bool:
    """Return True if a table in a record is what a :class:`vadbench.base.fields.FromFile` setting was given as.

    Args:
        table: the content as a record has it.
        given: the path of a file, or the name of what comes with the method.
    """
    try:
        path = expanded(given, "a setting")
        return _content(read_toml(path)) == _content(table) if path.is_file() else table.get("title") == given
    except ConfigError:
        return False


def _content(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that are not empty. Records hold a table in a table as pairs, because its order counts."""
    plain = {key: [list(pair) for pair in v.items()] if isinstance(v, Mapping) else v for key, v in table.items()}
    return {key: value for key, value in plain.items() if value}


def parse_assignment(text: str) -> list[tuple[str, Any]]:
    """Return the settings that ``key=value`` gives, each by its dotted name; a table gives those in it.

    Raises:
        ConfigError: it has another form.
    """
    key = NAME.match(text)
    if not key or text[key.end() : key.end() + 1] != "=":
        raise ConfigError(f"--set expects key=value, found '{text}'")
    return flatten({key[0].strip(): read_value(text[key.end() + 1 :].strip())})


def _from_environment(
    known: Mapping[SettingPath, Setting], values: Mapping[str, Any], environment: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    """Yield the settings that variables name, in upper or lower case."""
    there = dict.fromkeys([*known, *(split_name(name) for name, _ in flatten(values))])
    for variable, value in sorted(environment.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        asked = variable.removeprefix(ENVIRONMENT_PREFIX)
        meant = [place for place in there if _variable(place) == asked.casefold()]
        if not meant:
            # The entry of a table has the name that the variable spells.
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
    """Return the first thing wrong with settings, where it comes from, and what was found."""
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
    """Return the path of the setting that pydantic complains of, without the types of unions."""
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
