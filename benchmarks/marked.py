"""Parts of committed texts that scripts write, between two lines that mark them."""

from __future__ import annotations

from pathlib import Path


def between(path: Path, content: str, marks: tuple[str, str]) -> str:
    """Return a file's text with other content between two marks.

    Raises:
        ValueError: it lacks a mark.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"{path} must hold the lines '{marks[0]}' and '{marks[1]}'")
    return f"{before}{begin}\n{content}{end}{after}"
