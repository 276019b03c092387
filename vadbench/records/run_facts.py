"""What is told of runs by name: a setting or a label that one has, and in what two of them differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from vadbench.base.errors import cut, listed
from vadbench.base.naming import flatten, read_value, same, written
from vadbench.base.text import plain
from vadbench.records.keys import restored
from vadbench.records.record import RunRecord
from vadbench.records.titles import changed_settings
from vadbench.scoring.protocol import Protocol

SHOWN = 3
"""Maximum number of differences that a message names."""
_ABSENT = "absent"


def named_facts(record: RunRecord) -> dict[str, Any]:
    """Return what a filter may ask for, by dotted names: the seed, the CLIP, the protocol, its rules and settings."""
    titled = dict(text.split("=", 1) for text in changed_settings(record.config, record.changed))
    of_run = {"seed": record.seed, "clip": record.clip.get("model"), "protocol": record.protocol.get("name")}
    rules = dict(flatten({"protocol": record.protocol}))
    return {**of_run, **rules, **titled, **dict(flatten(record.config))}


def has(record: RunRecord, item: str) -> bool:
    """Return whether a run has a label, or a setting written as ``name=value``."""
    key, sign, text = item.partition("=")
    if not sign:
        return record.label == item
    value = named_facts(record).get(key)
    return value is not None and (text in (value, written(value)) or same(value, read_value(text)))


def differences(record: RunRecord, other: RunRecord) -> list[str]:
    """Return in what two runs differ that are not seeds of one experiment, each with both values; else nothing."""
    # A record may be older than a setting that changed no key.
    known = bool(record.group) and record.group == other.group
    settings = [] if known else differing(record.config, other.config)
    return settings + differing(_facts(record), _facts(other))


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Return the entries in which two nested tables differ, each with both values: ``crop (center, mean)``."""
    x, y = dict(flatten(a)), dict(flatten(b))
    return [
        f"{plain(name)} ({', '.join(short(v if isinstance(v, str) else written(v)) or 'none' for v in pair)})"
        for name in {**x, **y}
        if not same(*(pair := (x.get(name, _ABSENT), y.get(name, _ABSENT))))
    ]


def rules_of(record: RunRecord) -> Mapping[str, Any]:
    """Return the protocol of a record with defaults for the fields that are newer than the record."""
    try:
        return restored(Protocol, record.protocol).model_dump(mode="json")
    except ValidationError:
        return record.protocol  # written by another program; compared as it is


def manifest(record: RunRecord, split: str) -> str:
    """Return the hash of the videos of a split."""
    return record.data[split].manifest if split in record.data else _ABSENT


def short(value: Any) -> str:
    """Return a value of untrusted origin for a message."""
    return cut(plain(str(value)), 40)


def some(items: Iterable[str]) -> str:
    """Return the first of some differences."""
    return listed(list(items), SHOWN)


def _facts(record: RunRecord) -> dict[str, Any]:
    """Return what the seeds of one method share apart from its settings, which may have the same names."""
    return {
        "method": record.method,
        "version": record.method_version,
        "edition": record.edition,
        "data set": record.dataset,
        "trained on": record.trained_on,
        "protocol": rules_of(record),
        "features": record.fingerprint,
        "streams": {name: stream.identity for name, stream in record.streams.items()},
        "clip": record.clip,
        "training videos": manifest(record, "train"),
        "validation videos": manifest(record, "validation"),
        "test videos": manifest(record, "test"),
    }
