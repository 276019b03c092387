"""The classes of a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from vadbench.base.errors import UnknownNameError


@dataclass(frozen=True)
class VideoClass:
    """A class of a data set.

    ``name`` is the official spelling, ``words`` those of a prompt (the name with spaces by default).
    """

    name: str
    words: str = ""
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.words:
            object.__setattr__(self, "words", self.name.replace("_", " "))


@dataclass(frozen=True)
class ClassTable:
    """The classes of a data set with stable ids: a class's id is its position, ``normal`` that of the normal class."""

    classes: tuple[VideoClass, ...]
    normal: int

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Official names, in the order of the ids."""
        return tuple(c.name for c in self.classes)

    @property
    def words(self) -> tuple[str, ...]:
        """Words for prompts, in the order of the ids."""
        return tuple(c.words for c in self.classes)

    def prompt_words(self, source: Literal["words", "name"]) -> tuple[str, ...]:
        """Return the prompt words of each class: its ``words``, or its official name with spaces for underscores."""
        return self.words if source == "words" else tuple(name.replace("_", " ") for name in self.names)

    @property
    def abnormal(self) -> tuple[int, ...]:
        """Ids of the abnormal classes in ascending order."""
        return tuple(i for i in range(len(self)) if i != self.normal)

    def id(self, name: str) -> int:
        """Return the id of a class by its official name or an alias.

        Raises:
            UnknownNameError: no class has that name.
        """
        for i, c in enumerate(self.classes):
            if name == c.name or name in c.aliases:
                return i
        raise UnknownNameError("class", name, self.names)

    def ids(self, names: Iterable[str]) -> tuple[int, ...]:
        """Return the distinct ids of classes by their official names or aliases, in the order of the names.

        Raises:
            UnknownNameError: no class has one of these names.
        """
        return tuple(dict.fromkeys(map(self.id, names)))

    def common(self, other: ClassTable) -> list[tuple[int, int]]:
        """Return the classes that both tables name, as ``(id here, id there)`` in the other's order, normal included.

        Classes match by name in any case, by words or by an alias.

        >>> table = ClassTable((VideoClass("Normal"), VideoClass("Fighting"), VideoClass("Riot")), 0)
        >>> table.common(ClassTable((VideoClass("fighting"), VideoClass("robbery"), VideoClass("normal")), 2))
        [(1, 0), (0, 2)]
        """
        called = {plain_spelling(name): i for i, c in enumerate(self.classes) for name in (c.name, c.words, *c.aliases)}
        pairs = []
        for i, c in enumerate(other.classes):
            found = {called[n] for n in map(plain_spelling, (c.name, c.words, *c.aliases)) if n in called}
            if i == other.normal:
                pairs.append((self.normal, i))
            elif len(found) == 1 and self.normal not in found:
                pairs.append((found.pop(), i))
        return pairs


def plain_spelling(name: str) -> str:
    """Return the name of a class as names are compared: in any case, with blanks or underscores."""
    return name.casefold().replace("_", " ")
