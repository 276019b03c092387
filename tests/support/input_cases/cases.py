"""A case of an input, and what becomes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vadbench.base.errors import VadbenchError

Outcome = Literal["read", "noted", "refused"]
ANY = "..."
"""What differs from file to file in a message."""


@dataclass(frozen=True)
class Case:
    """An input.

    Args:
        what: what it is, as the page says it.
        make: makes it in a folder and returns its path, or what else the section reads.
        outcome: what becomes of it.
        says: what the user sees, with ``...`` for what differs; of an input that is read, what is read.
        value: what is read, if it is not what the section expects of every input.
    """

    what: str
    make: Callable[[Path], Any]
    outcome: Outcome = "read"
    says: str = ""
    value: Any = None


@dataclass(frozen=True)
class Section:
    """Inputs of one kind.

    Args:
        title: of its table.
        intro: what stands above it.
        read: reads an input as the commands do: what is read, and a note or an empty text.
        value: what is read of every input that is not refused, unless a case says otherwise.
        usual: the same in words.
        cases: the inputs.
    """

    title: str
    intro: str
    read: Callable[[Any], tuple[Any, str]]
    value: Any
    usual: str
    cases: Sequence[Case]


def outcome_of(section: Section, case: Case, folder: Path) -> tuple[Outcome, Any, str]:
    """Return what becomes of an input: the outcome, what was read, and what the user is told."""
    made = case.make(folder)
    try:
        value, note = section.read(made)
    except VadbenchError as error:
        return "refused", None, str(error)
    return ("noted" if note else "read"), value, note


def says(text: str, pattern: str) -> bool:
    """Return True if a text has the parts of a pattern that are not ``...``, in their order."""
    at = 0
    for part in pattern.split(ANY):
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def table(section: Section) -> str:
    """Write the table of a section in Markdown."""
    lines = [f"## {section.title}", "", section.intro, "", "| input | outcome | what you see |", "| --- | --- | --- |"]
    for case in section.cases:
        seen = case.says or section.usual
        shown = seen if case.outcome == "read" else f"`{seen}`"
        lines.append(f"| {_cell(case.what)} | {case.outcome} | {_cell(shown)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
