"""Settings as a benchmark's file gives them, beside those that a record has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vadbench.base.config import is_content
from vadbench.base.naming import same, split_name
from vadbench.records.record import RunRecord

TAIL = "protocol.tail"
_OF_FILE = re.compile(r".+@[0-9a-f]{12}", re.DOTALL)
"""Name in a record of a ground truth from a file."""


def same_value(asked: Any, recorded: Any) -> bool:
    """Return whether a setting that was given as ``asked`` is recorded as ``recorded``.

    A setting that is read from a file is given by name or path, and recorded by content; a ground truth from a file by
    its name with a digest.

    >>> same_value([0.9, 1], (0.9, 1.0)), same_value(True, 1), same_value("lists/mine.json", "mine.json@0123456789ab")
    (True, False, True)
    """
    if isinstance(asked, str) and isinstance(recorded, str) and re.fullmatch(_OF_FILE, recorded):
        return recorded in (asked, f"{Path(asked).name}@{recorded.rpartition('@')[2]}")
    if isinstance(asked, str) and isinstance(recorded, Mapping):
        return is_content(recorded, asked)
    return same(asked, recorded)


def is_demanded(changed: str, record: RunRecord) -> bool:
    """Return whether a change in a record is the rule that the ground truth of its run may demand."""
    return changed == TAIL and bool(record.protocol.get("truth"))


def value_at(values: Any, name: str) -> Any:
    """Return the value of a dotted name in nested settings, ``None`` if it is not set."""
    for part in split_name(name):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values
