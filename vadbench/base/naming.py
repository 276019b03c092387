"""Settings by name: how nested ones are named, written, read from text and compared.

A table that is the value of a setting counts as one setting per entry, so that a record can be read without the class
of its settings.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

SettingPath = tuple[str, ...]
"""The parts of a setting's dotted name."""

_PLAIN = r'[^."=\s](?:[^."=]*[^."=\s])?'
_PART = rf'"(?:[^"\\]|\\.)*"|{_PLAIN}'
NAME = re.compile(rf"\s*(?:{_PART})(?:\s*\.\s*(?:{_PART}))*\s*")
"""A dotted name; parts with dots, blanks at the ends and the like stand in quotes."""


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested settings as pairs of dotted name and value; a table without entries is a value.

    >>> flatten({"rows": {"stride": 4}, "n_ctx": 8})
    [('rows.stride', 4), ('n_ctx', 8)]
    >>> flatten({"weights": {"a.b": 1}, "words": {}})
    [('weights."a.b"', 1), ('words', {})]
    """
    pairs: list[tuple[str, Any]] = []
    for key, value in values.items():
        # At the top a key may be a dotted name already; below, a dot is part of the key.
        name = prefix + _quoted(str(key)) if prefix else str(key)
        if isinstance(value, Mapping) and value:
            pairs.extend(flatten(value, f"{name}."))
        else:
            pairs.append((name, value))
    return pairs


def split_name(name: str) -> tuple[str, ...]:
    """Split a dotted name into its parts.

    >>> split_name("recipe.epochs"), split_name('weights."a.b"')
    (('recipe', 'epochs'), ('weights', 'a.b'))
    """
    try:
        parts = re.findall(_PART, name) if NAME.fullmatch(name) else [name]
        return tuple(json.loads(part) if part.startswith('"') else part for part in parts)
    except ValueError:  # quoted, but not as JSON or TOML quote
        return (name,)


def written(value: Any) -> str:
    """Write a value as ``--set`` takes it, and as tables and MLflow show it.

    >>> written(True), written("plain words"), written("5"), written(None), written((1, 2))
    ('true', 'plain words', '"5"', 'null', '[1, 2]')
    """
    if isinstance(value, str) and value and value.strip() == value and read_value(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def assignments(settings: Mapping[str, Any]) -> list[str]:
    """Write nested settings as ``--set`` takes them.

    >>> assignments({"recipe": {"epochs": 5}, "temporal": "mlp"})
    ['recipe.epochs=5', 'temporal=mlp']
    """
    return [f"{name}={written(value)}" for name, value in flatten(settings)]


def same(a: Any, b: Any) -> bool:
    """Return True if two values of a setting are the same; true is not 1, but 1 is 1.0.

    >>> same(1, 1.0), same(1, True), same((1, 2), [1, 2])
    (True, False, True)
    """
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def changed_names(settings: BaseModel, usual: BaseModel) -> list[str]:
    """Return the names of the settings in which two of a class differ, as in a record's ``changed``.

    A section that is absent by default differs in the fields that are not its own defaults; without any, its own name
    is returned.
    """
    here, away = (dict(flatten(s.model_dump(mode="json"))) for s in (settings, usual))
    begun = dict(_begun(settings, usual))
    for name, section in begun.items():
        away |= flatten(defaults(section, mode="json"), f"{name}.")
        del away[name]
    found = [name for name, value in here.items() if name not in away or not same(away[name], value)]
    found += [n for n in away if n not in here and not any(is_of(n, f) or is_of(f, n) for f in found)]
    return found + [name for name in begun if not any(is_of(f, name) for f in found)]


def defaults(model: type[BaseModel], mode: Literal["python", "json"] = "python") -> dict[str, Any]:
    """Return the default of every field, nested, as plain or JSON values; a field without one is absent."""
    try:
        return model().model_dump(mode=mode)
    except ValidationError:
        return model.model_construct().model_dump(mode=mode, warnings=False)


def is_of(name: str, whole: str) -> bool:
    """Return True if a setting is another one, or an entry of it.

    >>> is_of("weights.fire", "weights"), is_of("weights_too", "weights")
    (True, False)
    """
    return name == whole or name.startswith(f"{whole}.")


def read_value(text: str) -> Any:
    """Read a value of the command line: TOML, JSON if it is a table or ``null``, else text."""
    try:
        found = tomllib.loads(f"value = {text}")
        # A setting has no dates, and a line break may have begun another key.
        if found.keys() == {"value"} and not isinstance(found["value"], date | time):
            return found["value"]
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(text) if text == "null" or text.startswith(("[", "{", '"')) else text
    except (ValueError, RecursionError):
        return text


def joined(place: Sequence[str]) -> str:
    """Return the dotted name of a setting; the inverse of :func:`split_name`."""
    first, *others = place
    return ".".join([first, *map(_quoted, others)])


def _quoted(key: str) -> str:
    return key if re.fullmatch(_PLAIN, key) else json.dumps(key, ensure_ascii=False)


def _begun(settings: BaseModel, usual: BaseModel, prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Return the sections of ``settings`` that ``usual`` lacks."""
    for attribute, info in type(settings).model_fields.items():
        section, other, name = getattr(settings, attribute), getattr(usual, attribute, None), info.alias or attribute
        if isinstance(section, BaseModel) and isinstance(other, BaseModel):
            yield from _begun(section, other, f"{prefix}{name}.")
        elif isinstance(section, BaseModel) and other is None:
            yield prefix + name, type(section)
