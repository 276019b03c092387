"""Hashes that identify values and files in the keys and records of runs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from vadbench.base.files import regular


def digest(value: Any) -> str:
    """Return the first 12 hex digits of the SHA-256 of a value's canonical JSON.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hex digits, read piece by piece.

    Raises:
        OSError: the file cannot be read, or is no regular file.
    """
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
