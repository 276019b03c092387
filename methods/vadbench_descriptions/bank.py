"""Description banks: phrases that say in words what is normal and what counts as anomalous at one place.

A bank is a TOML file that its user edits::

    title = "my site"
    normal = ["people walking across a yard", "a parked lorry"]
    abnormal = ["a person climbing over a fence"]

    [classes]
    Fire = ["flames coming out of a building", "thick black smoke"]

    [normals]
    Fire = ["a chimney in the evening", "a welder at work"]

    [avoid]
    Fire = ["flames", "burning"]

Phrases under ``classes`` are abnormal too and belong to a class of the data set. A method that takes one description
per class uses the class's first phrase, and for the normal class the first normal one. ``normals`` and ``avoid`` are
optional: what is ordinary and must be told from one class, and words that may not be among it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)
from pydantic.dataclasses import dataclass

from vadbench.base.config import read_toml
from vadbench.base.errors import ConfigError, UnknownNameError, complaint, did_you_mean, shortened
from vadbench.base.fields import FromFile
from vadbench.base.locations import expanded
from vadbench.dataset import ClassTable

_BANKS = files("vadbench_descriptions") / "banks"


def _pairs(value: Any) -> Any:
    return tuple(value.items()) if isinstance(value, Mapping) else value


Phrases = tuple[str, ...]
ByClass = Annotated[tuple[tuple[str, Phrases], ...], BeforeValidator(_pairs)]
"""Phrases or words by the name of a class."""
_LATER = ("normals", "avoid")
"""Tables that records and keys made before them lack: one that is empty is not written."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Bank:
    """Phrases for one place.

    Args:
        normal: phrases for everyday events.
        abnormal: phrases for anomalous events of no particular class.
        classes: abnormal phrases by the name of their class.
        title: name of the bank.
        normals: normal phrases by the name of the class that they are to be told from; ``normal`` serves a class
            without.
        avoid: words that must not occur in the normal phrases of a class, by its name.
    """

    normal: Phrases = ()
    abnormal: Phrases = ()
    classes: ByClass = ()
    title: str = ""
    normals: ByClass = ()
    avoid: ByClass = ()

    @model_serializer(mode="wrap")
    def _without_empty_tables(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in written(self).items() if value or name not in _LATER}

    def __str__(self) -> str:
        return self.title or f"{len(self.normalities)} normal and {len(self.anomalies)} abnormal phrases"

    @property
    def anomalies(self) -> Phrases:
        """All abnormal phrases, those without a class first."""
        return (*self.abnormal, *(phrase for _, phrases in self.classes for phrase in phrases))

    @property
    def normalities(self) -> Phrases:
        """All normal phrases, those of no class first."""
        return (*self.normal, *(phrase for _, phrases in self.normals for phrase in phrases))

    def normal_side(self, name: str) -> Phrases:
        """Return the normal phrases that a class, by its name here, is told from: its own, or else ``normal``."""
        return dict(self.normals).get(name, self.normal)

    def of_classes(self, table: ClassTable) -> dict[int, Phrases]:
        """Return abnormal phrases by the id of their class.

        Raises:
            ConfigError: phrases are given for a class that the data set lacks, for the normal class, or twice for one
                class.
        """
        found: dict[int, Phrases] = {}
        for name, phrases in self.classes:
            try:
                number = table.id(name)
            except UnknownNameError as error:
                abnormal = [table.names[i] for i in table.abnormal]
                raise ConfigError(
                    f"bank '{self}': rename the class '{name}', which the data set lacks, or move its phrases to the"
                    f" list 'abnormal'{did_you_mean(name, abnormal)}"
                ) from error
            if number == table.normal:
                raise ConfigError(
                    f"bank '{self}': '{name}' is the data set's normal class; move its phrases to the list 'normal'"
                )
            if number in found:
                raise ConfigError(
                    f"bank '{self}': '{name}' is a second name of class '{table.names[number]}'; put the phrases of"
                    " both under one name"
                )
            found[number] = phrases
        return found

    def problems(self) -> list[str]:
        """Problems that must be fixed before the bank can be used, a line each."""
        kinds = {"normal": self.normal, "abnormal": self.anomalies}
        found = [f"no {kind} phrase; add at least one" for kind, there in kinds.items() if not there]
        places: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for place, phrase in self._placed():
            if phrase.strip():
                places[" ".join(phrase.casefold().split())].append((place, phrase))
            else:
                found.append(f"an empty phrase in {place}; remove it")
        found += [
            f"class '{name}' has no phrase; add one or remove the class"
            for name, phrases in self.classes
            if not phrases
        ]
        found += [*self._misnamed(), *self._misplaced(), *self._avoided()]
        for repeated in (p for p in places.values() if len(p) > 1):
            lists = list(dict.fromkeys(place for place, _ in repeated))
            phrase = repeated[0][1]
            if len(lists) == 1:
                found.append(f"'{phrase}' is {len(repeated)} times in {lists[0]}; keep one")
            elif len({_is_normal(place) for place in lists}) == 2:
                found.append(f"'{phrase}' is both normal and abnormal ({', '.join(lists)}); decide for one")
            else:
                found.append(f"'{phrase}' is in {' and in '.join(lists)}; keep one")
        return found

    def _placed(self) -> Iterator[tuple[str, str]]:
        own = [(f"{table}.{name}", p) for table in ("classes", "normals") for name, p in getattr(self, table)]
        for place, phrases in (("normal", self.normal), ("abnormal", self.abnormal), *own):
            yield from ((place, phrase) for phrase in phrases)

    def _misnamed(self) -> Iterator[str]:
        """Yield a line for each class that is called normal, or as another one but for the case."""
        before: dict[str, str] = {}
        for name, _ in self.classes:
            folded = " ".join(name.casefold().split())
            if folded == "normal":
                yield f"'{name}' is no class of anomalies; move its phrases to the list 'normal'"
            elif folded in before:
                yield f"classes '{before[folded]}' and '{name}' are one; put the phrases of both under one name"
            before.setdefault(folded, name)

    def _misplaced(self) -> Iterator[str]:
        """Yield a line for each entry of ``normals`` and ``avoid`` that says nothing or belongs to no class."""
        described = dict(self.classes)
        for table, entries in (("normals", self.normals), ("avoid", self.avoid)):
            for name, texts in entries:
                if name not in described:
                    near = did_you_mean(name, list(described))
                    yield f"'{name}' in {table} is no name under classes; spell it alike or remove it{near}"
                if not any(text.strip() for text in texts):
                    yield f"{table}.{name} is empty; fill or remove it"

    def _avoided(self) -> Iterator[str]:
        """Yield a line for each normal phrase with a word that its class avoids."""
        for name, words in self.avoid:
            for phrase in self.normal_side(name):
                if said := [f"'{word}'" for word in words if _has(phrase, word)]:
                    yield f"normal phrase '{phrase}' has {', '.join(said)}, which class '{name}' avoids; reword it"


def _has(phrase: str, word: str) -> bool:
    """Return True if a phrase has a word, or several in a row, whole and in any case."""
    return bool(word.strip()) and bool(re.search(rf"(?<!\w){re.escape(word.strip())}(?!\w)", phrase, re.IGNORECASE))


def _is_normal(place: str) -> bool:
    return place == "normal" or place.startswith("normals.")


def parse_bank(values: Any, source: str) -> Bank:
    """Make a bank from the content of a TOML file or of a run's record.

    Raises:
        ConfigError: a key is unknown or a value is not text; names ``source`` and the key.
    """
    try:
        return TypeAdapter(Bank).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        key, given = _place(first["loc"], values), first["input"]
        if first["type"] == "unexpected_keyword_argument":
            reason = "is not part of a description bank; expected normal, abnormal, classes, title, normals and avoid"
        elif first["type"] == "tuple_type" and key in ("classes", *_LATER):
            reason = f"expected a table with a list of texts for each class, found {shortened(given)}"
        elif first["type"] == "tuple_type":
            instead = f"; write [{json.dumps(given, ensure_ascii=False)}]" if isinstance(given, str) else ""
            reason = f"expected a list of texts, found {shortened(given)}{instead}"
        else:
            reason = f"{complaint(first)}, found {shortened(first['input'])}"
        raise ConfigError(f"description bank {source}: {key}: {reason}") from error


def _place(where: Sequence[int | str], values: Any) -> str:
    """Return the key of a value that is wrong, in a table by class with the name of the class as the file has it."""
    parts = list(where)
    if len(parts) > 2 and isinstance(values[parts[0]], Mapping):
        parts[1:3] = [list(values[parts[0]])[int(parts[1])]]
    return ".".join(map(str, parts)) or "the file"


def read_bank(path: Path) -> Bank:
    """Read a bank, even with :meth:`Bank.problems`.

    Raises:
        ConfigError: the file is missing, not TOML or does not have the form of a bank.
    """
    return parse_bank(read_toml(path), str(path))


def require_sound(bank: Bank, source: str) -> Bank:
    """Return the bank if it has no problems.

    Raises:
        ConfigError: it has problems; names the first.
    """
    if found := bank.problems():
        more = f" (and {len(found) - 1} more: vadbench descriptions check lists them)" if len(found) > 1 else ""
        raise ConfigError(f"description bank {source}: {found[0]}{more}")
    return bank


def bank_names() -> list[str]:
    """Return the names of the banks that come with the methods."""
    return sorted(entry.name.removesuffix(".toml") for entry in _BANKS.iterdir() if entry.name.endswith(".toml"))


def find_bank(value: Any) -> Bank:
    """Return a bank that can be used, by its name, the path of its file, or its content as in a run's record.

    Raises:
        ConfigError: there is no such bank, or it cannot be used.
    """
    if isinstance(value, Bank):
        return value
    if not isinstance(value, str):
        return require_sound(parse_bank(value, "in the settings"), "in the settings")
    return require_sound(named_bank(value), value)


def named_bank(value: str) -> Bank:
    """Return a bank by its name, or else the path of its file, even with :meth:`Bank.problems`.

    Raises:
        ConfigError: there is no such bank, or the file does not have the form of one.
    """
    if value in bank_names():
        return parse_bank(read_toml(Path(str(_BANKS / f"{value}.toml"))), value)
    path = expanded(value, "the setting descriptions")
    if not path.is_file():
        raise ConfigError(f"no description bank '{value}', and no file either{did_you_mean(value, bank_names())}")
    return read_bank(path)


def written_bank(bank: Bank, info: SerializationInfo) -> Any:
    """Return a bank as records hold it, and its name elsewhere."""
    return TypeAdapter(Bank).dump_python(bank, mode="json") if info.mode == "json" else str(bank)


BankSetting = Annotated[Bank, FromFile(), BeforeValidator(find_bank), PlainSerializer(written_bank)]
"""Setting that is a bank: given by name or path, and recorded by content. So a run's record has the words it used, its
key changes with every edit of the file, and its weights can be used without the file. The title of a bank that comes
with the methods is its name."""
