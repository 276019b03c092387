"""How a run is called: the label that a person gave it, and its settings in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator

from vadbench.base.errors import ConfigError
from vadbench.base.hashing import digest
from vadbench.base.naming import flatten, is_of, written

LONGEST_LABEL = 60
_KEY = re.compile(r"[0-9a-f]+")
_FORBIDDEN = re.compile(r"[/\\,=\[\]]")


def checked_label(label: str) -> str:
    """Return a label if it may stand wherever a run is named; an empty one takes a label away.

    Raises:
        ConfigError: it is too long, could be taken for a key, a path, an option or a setting, or cannot be printed.

    >>> checked_label("dense attention, 2")
    Traceback (most recent call last):
    ...
    vadbench.base.errors.ConfigError: a label must have none of / \\ , = [ ], found 'dense attention, 2'
    """
    found = f"found {label[:LONGEST_LABEL]!r}"
    if len(label) > LONGEST_LABEL:
        raise ConfigError(f"a label has at most {LONGEST_LABEL} characters, found {len(label)}: {label[:20]!r}...")
    if not label.isprintable() or label != label.strip():
        raise ConfigError(f"a label must be printable, without blanks at its ends, {found}")
    if _FORBIDDEN.search(label):
        raise ConfigError(f"a label must have none of / \\ , = [ ], {found}")
    if label.startswith(("-", ".", "~")):
        raise ConfigError(f"a label must not begin with - . or ~, {found}")
    if _KEY.fullmatch(label):
        raise ConfigError(f"a label of the letters a to f and digits alone is taken for a key, {found}; add a word")
    return label


def _as_value(label: str) -> str:
    try:
        return checked_label(label)
    except ConfigError as error:
        raise ValueError(str(error)) from error


Label = Annotated[str, AfterValidator(_as_value)]
"""A label for people, as ``vadbench run --name`` gives it."""


def changed_settings(config: Mapping[str, Any], changed: Sequence[str]) -> list[str]:
    """Return the settings that are not the defaults as ``name=value``; a rule of the protocol is none.

    A section with a title, such as a bank of descriptions, is named by it instead of its content.

    Args:
        config: the settings of a record.
        changed: the names of those that are not the defaults, as in a record.

    >>> changed_settings({"recipe": {"epochs": 5}, "n_ctx": 4}, ["recipe.epochs"])
    ['recipe.epochs=5']
    >>> changed_settings({"bank": {"title": "my site", "normal": ["a road"]}}, ["bank.title", "bank.normal"])
    ['bank=my site']
    """
    titled = {name: entry for name, entry in config.items() if isinstance(entry, Mapping) and "title" in entry}
    own = [name for name in changed if not name.startswith("protocol.")]
    named = {name for name in titled for other in own if is_of(other, name)}
    rest = [name for name in own if not any(is_of(name, section) for section in named)]
    return [*_written(config, rest), *(f"{n}={_title(titled[n], f'{n}.title' in own)}" for n in titled if n in named)]


def changed_rules(protocol: Mapping[str, Any], changed: Sequence[str]) -> list[str]:
    """Return the rules of a protocol that are not its own as ``protocol.name=value``.

    >>> changed_rules({"name": "native", "post": "gaussian(10)"}, ["n_ctx", "protocol.post"])
    ['protocol.post=gaussian(10)']
    """
    rules = dict(flatten({"protocol": protocol}))
    return [f"{name}={written(rules[name])}" for name in changed if name in rules]


def _written(config: Mapping[str, Any], changed: Sequence[str]) -> Iterator[str]:
    values = dict(flatten(config))
    yield from (f"{name}={written(values[name])}" for name in changed if name in values)
    # A section that is its own defaults, and an entry that was taken away, have no value of their own.
    for name in changed:
        if name not in values:
            yield f"{name}={'{}' if any(is_of(n, name) for n in values) else 'absent'}"


def _title(section: Mapping[str, Any], own: bool) -> str:
    """Return the title of a section; another content under the default's title, or under none, adds its digest."""
    title = str(section["title"])
    return title if title and own else f"{title or 'untitled'} {content_digest(section)}"


def content_digest(settings: Mapping[str, Any]) -> str:
    """Return six hex digits that tell settings apart, whatever a record from elsewhere has in them.

    >>> content_digest({"a": float("nan"), "b": "\\ud800"}) == content_digest({"a": float("nan"), "b": "\\ud801"})
    False
    """
    return digest(ascii(written(settings)))[:6]
