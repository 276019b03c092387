"""Parts of committed texts that scripts write, between two lines that mark them."""

from __future__ import annotations

from pathlib import Path


def between(path: Path, content: str, marks: tuple[str, str]) -> str:
    """Return a file's text with other content between two marks.

    Raises:
        ValueError: it lacks a mark.
    """
    before, _, after = divided(path, marks)
    return f"{before}{marks[0]}\n{content}{marks[1]}{after}"


def divided(path: Path, marks: tuple[str, str]) -> tuple[str, str, str]:
    """Return a file's text before two marks, between and after them.

    Raises:
        ValueError: it lacks a mark.
    """
    before, begin, rest = path.read_text(encoding="utf-8").partition(marks[0])
    inside, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"{path} must hold the lines '{marks[0]}' and '{marks[1]}'")
    return before, inside, after
