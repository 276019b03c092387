"""Find the line of each entry of a TOML file: ``tomllib`` gives the values, a message needs the line.

No maintained library gives these: ``tomlkit`` counts lines while it parses but does not store them with the entries.
This scanner only has to find entries, in a text that ``tomllib`` has accepted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

TomlPath = tuple[str | int, ...]
"""Path of an entry from the top: keys of tables, positions in arrays."""

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_KEY = re.compile(r'[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")|\'\'\'.*?\'{3,5}(?!\')|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL
)
_PLAIN = re.compile(r"[^,\]}#\n]*")


class TomlLines:
    """Lines of the entries of a file.

    Args:
        text: TOML that ``tomllib`` has accepted.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[TomlPath, int] = {}
        self._counts: dict[TomlPath, int] = {}
        here: TomlPath = ()
        while not self._over():
            here = self._header() if self._next("[") else self._pair(here)

    def line(self, place: Sequence[str | int]) -> int:
        """Return the line of an entry, or of the nearest existing entry around it, or else the first line of the file.

        >>> lines = TomlLines('title = "t"\\n[[tables]]\\nrows = [\\n  { label = "a" },\\n  { label = "b" },\\n]\\n')
        >>> lines.line(("tables", 0, "rows", 1, "label")), lines.line(("tables", 0, "rows", 1, "method"))
        (5, 5)
        """
        where = tuple(place)
        while where and where not in self._found:
            where = where[:-1]
        # Counted for the entries that are asked for: for each of a large file it would take as long as its square.
        return self._text.count("\n", 0, self._found.get(where, 0)) + 1

    def _header(self) -> TomlPath:
        start = self._at
        is_array = self._next("[[")
        self._at += 1 + is_array
        keys = self._keys()
        self._blank()
        self._at += 1 + is_array
        here: TomlPath = ()
        for key in keys[:-1]:
            here = self._last((*here, key))
        here = (*here, keys[-1])
        if is_array:
            self._counts[here] = self._counts.get(here, 0) + 1
            self._mark(here, start)
            here = (*here, self._counts[here] - 1)
        self._mark(here, start)
        return here

    def _last(self, place: TomlPath) -> TomlPath:
        """Return the place of the table that a header continues in: for an array, its last table."""
        return (*place, self._counts[place] - 1) if place in self._counts else place

    def _pair(self, here: TomlPath) -> TomlPath:
        start = self._at
        place = here
        for key in self._keys():
            place = (*place, key)
            self._mark(place, start)
        self._blank()
        self._at += 1  # the equals sign
        self._blank()
        self._value(place)
        return here

    def _value(self, place: TomlPath) -> None:
        if self._next("["):
            self._at += 1
            position = 0
            while not self._closed("]"):
                self._mark((*place, position), self._at)
                self._value((*place, position))
                position += 1
        elif self._next("{"):
            self._at += 1
            while not self._closed("}"):
                self._pair(place)
        else:
            match = _STRING.match(self._text, self._at) or _PLAIN.match(self._text, self._at)
            self._at = match.end() if match else len(self._text)

    def _closed(self, bracket: str) -> bool:
        """Skip the text between two entries; after the last one, skip the bracket and return true."""
        self._blank()
        if self._next(","):
            self._at += 1
            self._blank()
        if self._next(bracket) or self._at >= len(self._text):
            self._at += 1
            return True
        return False

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._blank()
            match = _KEY.match(self._text, self._at)
            keys.append(match[0].strip("\"'") if match else "")
            self._at = match.end() if match else self._at + 1
            dot = _DOT.match(self._text, self._at)
            if dot is None:
                return keys
            self._at = dot.end()

    def _over(self) -> bool:
        self._blank()
        return self._at >= len(self._text)

    def _blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _next(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _mark(self, place: TomlPath, start: int) -> None:
        self._found.setdefault(place, start)
