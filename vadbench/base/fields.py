"""The fields of settings classes and what their annotations allow: sections, tables with free keys, true and false."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from datetime import date, timedelta
from enum import Enum
from numbers import Number
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, is_typeddict

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_NUMBERS = (Number, date, timedelta, Enum)
"""Types for which pydantic would take true for 1."""


@dataclass(frozen=True)
class Setting:
    """A field of a settings class or of one of its sections.

    Args:
        name: its dotted name.
        info: what pydantic knows of it.
        section: the class of its own settings where it is a section.
        optional: whether it is no section by default: it has a value of its own as well.
        table: whether it takes a table whose keys are not declared.
        entries: the class of settings that each entry of this table is, where it is one.
    """

    name: str
    info: FieldInfo
    section: type[BaseModel] | None
    optional: bool
    table: bool
    entries: type[BaseModel] | None = None


def fields(model: type[BaseModel], prefix: str = "", above: tuple[type[BaseModel], ...] = ()) -> Iterator[Setting]:
    """Yield every field of a settings class, each section before its own fields."""
    for name, info in named_fields(model).items():
        default = _default(info)
        members = list(members_of(info.annotation))
        if isinstance(default, BaseModel):
            section: type[BaseModel] | None = type(default)
        else:
            section = next((m for m in members if isinstance(m, type) and issubclass(m, BaseModel)), None)
        # A class may contain itself: the names of its fields would have no end.
        if section in above:
            section = None
        optional = not isinstance(default, BaseModel | Mapping)
        yield Setting(prefix + name, info, section, optional, _holds_table(members), _entries(members))
        if section is not None:
            yield from fields(section, f"{prefix}{name}.", (*above, model))


def named_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a settings class by their names in settings: a field's alias where it has one."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def known_settings(model: type[BaseModel]) -> dict[tuple[str, ...], Setting]:
    """Return every field of a settings class by the parts of its name."""
    return {tuple(s.name.split(".")): s for s in fields(model)}


def is_known(place: tuple[str, ...], known: Mapping[tuple[str, ...], Setting]) -> bool:
    """Return True if a name is that of a setting, or of an entry of a table that a setting holds."""
    if place in known:
        return True
    for table, setting in known.items():
        if setting.table and place[: len(table)] == table:
            inside = place[len(table) + 1 :]
            if setting.entries is None or not inside or is_known(inside, known_settings(setting.entries)):
                return True
    return False


def names_inside(place: tuple[str, ...], known: Mapping[tuple[str, ...], Setting]) -> list[tuple[str, ...]]:
    """Return the names that a table's entry may have where ``place`` names one that it has not."""
    return [
        (*place[: len(table) + 1], *inside)
        for table, setting in known.items()
        if setting.entries is not None and place[: len(table)] == table and len(place) > len(table)
        for inside in known_settings(setting.entries)
    ]


def choices(annotation: Any) -> list[Any] | None:
    """Return the values that a field takes, where these can be counted.

    >>> choices(Literal["a", "b"] | None), choices(bool), choices(int)
    (['a', 'b', None], [True, False], None)
    """
    found: list[Any] = []
    for member in members_of(annotation):
        if get_origin(member) is Literal:
            found.extend(get_args(member))
        elif member is bool:
            found.extend((True, False))
        elif member in (None, type(None)):
            found.append(None)
        else:
            return None
    return found


def misplaced_truth(value: Any, annotation: Any) -> bool:
    """Return True if a value is true or false and only a number may be; pydantic would take it for 1 or 0.

    >>> misplaced_truth(True, int), misplaced_truth(True, bool | None), misplaced_truth([1, True], tuple[int, ...])
    (True, False, True)
    """
    members = list(members_of(annotation))
    if isinstance(value, bool):
        # Pydantic itself refuses a value that is neither, such as text.
        return any(map(_is_number, members)) and not any(map(_takes_truth, members))
    if isinstance(value, Mapping):
        ways = [[(v, types[1]) for v in value.values()] for types in _arguments(members, Mapping)]
    elif isinstance(value, list | tuple):
        ways = [list(zip(value, _each(types, len(value)), strict=False)) for types in _arguments(members, Collection)]
    else:
        return False
    return bool(ways) and all(any(misplaced_truth(v, a) for v, a in way) for way in ways)


def members_of(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union; of any other annotation the annotation itself.

    >>> list(members_of(Annotated[int | None, "how many"]))
    [<class 'int'>, <class 'NoneType'>]
    """
    origin = get_origin(annotation)
    if alias := getattr(annotation, "__value__", None):  # of a "type" statement, which Python 3.11 lacks
        yield from members_of(alias)
    elif origin is Annotated:
        yield from members_of(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from members_of(member)
    else:
        yield annotation


def _default(info: FieldInfo) -> Any:
    if info.default_factory_takes_validated_data:
        return None
    return info.get_default(call_default_factory=True)


def _holds_table(members: Collection[Any]) -> bool:
    kinds = [get_origin(m) or m for m in members]
    return any(
        k in (Any, object) or is_typeddict(k) or (isinstance(k, type) and (issubclass(k, Mapping) or is_dataclass(k)))
        for k in kinds
    )


def _entries(members: Collection[Any]) -> type[BaseModel] | None:
    values = (types[1] for types in _arguments(members, Mapping) if len(types) == 2)
    return next((v for v in values if isinstance(v, type) and issubclass(v, BaseModel)), None)


def _takes_truth(member: Any) -> bool:
    if get_origin(member) is Literal:
        return any(isinstance(value, bool) for value in get_args(member))
    return member in (bool, Any, object)


def _is_number(member: Any) -> bool:
    return get_origin(member) is Literal or (isinstance(member, type) and issubclass(member, _NUMBERS))


def _arguments(members: Collection[Any], kind: type) -> list[tuple[Any, ...]]:
    """Return the type arguments of the members that are mappings, or else other collections, of declared types."""
    found = []
    for member in members:
        origin = get_origin(member)
        if isinstance(origin, type) and issubclass(origin, kind if kind is Mapping else Collection):
            found.append((issubclass(origin, Mapping), get_args(member)))
    return [arguments for mapping, arguments in found if arguments and mapping == (kind is Mapping)]


def _each(arguments: tuple[Any, ...], count: int) -> list[Any]:
    """Return the annotation of each of ``count`` elements of a tuple, list or set."""
    if len(arguments) == 1 or (len(arguments) == 2 and arguments[1] is Ellipsis):
        return [arguments[0]] * count
    return list(arguments)


@dataclass(frozen=True)
class FromFile:
    """Marker of a setting that is given by the path of a TOML file, or by the name of one that comes with the method.

    ::

        descriptions: Annotated[Bank, FromFile(), BeforeValidator(find_bank)] = Field("general", description="...")

    The value is the content, and so is what records hold: a table whose ``title`` is the name of what comes with the
    method. ``--descriptions FILE`` gives the one setting of a method that is marked so.
    """


def file_setting(model: type[BaseModel]) -> str | None:
    """Return the name of the setting that is read from a file, or ``None``."""
    marked = (s.name for s in fields(model) if any(isinstance(mark, FromFile) for mark in s.info.metadata))
    return next(marked, None)


# Compared by identity: typing would take two annotations for one whose values are equal, as 1 and True are.
@dataclass(frozen=True, eq=False)
class Introduced:
    """Marker of a field that was added after its settings were first released.

    ::

        look_ahead: Annotated[int, Introduced(0)] = Field(0, ge=0, description="...")

    Args:
        value: what the field means for everything made before it was there. It stays as it is for ever, also where the
            default changes later.
    """

    value: Any
