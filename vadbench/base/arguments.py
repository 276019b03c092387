"""Arguments of functions that a notebook calls, checked before anything takes time or is written; the command line has
the same ranges.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from vadbench.base.errors import ConfigError, shortened

LARGEST_SEED = 999_999
MOST_WORKERS = 64
"""Processes that make training samples."""
DEVICES = ("auto", "cpu", "cuda")


def one_or_more(argument: str, given: object, what: str = "path") -> list[str]:
    """Return the texts of one name or path, or of several.

    Args:
        argument: its name, for the message.
        given: a text or a path, or any collection of such.
        what: what each is, for the message.

    Raises:
        ConfigError: it is anything else.

    >>> one_or_more("methods", "mil", "name"), one_or_more("plugins", [])
    (['mil'], [])
    """
    items = [given] if isinstance(given, str | os.PathLike) or not isinstance(given, Iterable) else list(given)
    return [path_text(argument, item, f"a {what} or a list of {what}s") for item in items]


def path_text(argument: str, given: object, expected: str = "a path") -> str:
    """Return a text or a path as text.

    Raises:
        ConfigError: it is neither; the message says what was ``expected``.
    """
    if not isinstance(given, str | os.PathLike):
        raise ConfigError(f"{argument} must be {expected}, found {shortened(given)}")
    return os.fsdecode(given)


def whole(argument: str, given: object, least: int, most: int) -> int:
    """Return a whole number, of Python or NumPy, that lies in a range.

    Raises:
        ConfigError: it does not, or is no whole number.
    """
    if not isinstance(given, Integral) or isinstance(given, bool) or not least <= int(given) <= most:
        raise ConfigError(f"{argument} must be a whole number from {least} to {most}, found {shortened(given)}")
    return int(given)


def number(argument: str, given: object, expected: str, fits: Callable[[float], bool] = math.isfinite) -> float:
    """Return a finite number, of Python or NumPy.

    Args:
        argument: its name, for the message.
        given: the number.
        expected: which numbers fit, in words.
        fits: tells whether a number does.

    Raises:
        ConfigError: it does not, or is no number.
    """
    if not isinstance(given, Real) or isinstance(given, bool) or not (math.isfinite(given) and fits(float(given))):
        raise ConfigError(f"{argument} must be {expected}, found {shortened(given)}")
    return float(given)


def require_texts(**given: object) -> None:
    """Raise if one of several arguments is there and no text.

    Raises:
        ConfigError: names the argument.
    """
    for argument, value in given.items():
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{argument} must be text, found {shortened(value)}")


def require_switches(**given: object) -> None:
    """Raise if one of several arguments is neither true nor false: the text ``"no"`` would count as true.

    Raises:
        ConfigError: names the argument.
    """
    for argument, value in given.items():
        if not isinstance(value, bool):
            raise ConfigError(f"{argument} must be True or False, found {shortened(value)}")


def require_choice(argument: str, given: object, known: Sequence[str]) -> None:
    """Raise if an argument has another value than the known ones.

    Raises:
        ConfigError: lists them.
    """
    if not isinstance(given, str) or given not in known:
        raise ConfigError(f"{argument} must be {', '.join(known[:-1])} or {known[-1]}, found {shortened(given)}")


def require_function(argument: str, given: object) -> None:
    """Raise if an argument is there and cannot be called.

    Raises:
        ConfigError: says so.
    """
    if given is not None and not callable(given):
        raise ConfigError(f"{argument} must be a function, found {shortened(given)}; leave it out for the usual bars")


def given_settings(settings: Mapping[str, Any] | None) -> list[str]:
    """Return settings as :func:`vadbench.base.naming.assignments` writes them.

    Raises:
        ConfigError: they are not given by name.
    """
    if not isinstance(settings, Mapping | None):
        raise ConfigError(f'settings must be a dict such as {{"recipe.epochs": 3}}, found {shortened(settings)}')
    # The command line takes this module's choices before it needs pydantic, which naming imports.
    from vadbench.base.naming import assignments

    return assignments(settings or {})
