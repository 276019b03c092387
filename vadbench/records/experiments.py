"""Runs as experiments: seeds of one belong together, one of default settings is meant where nobody says more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vadbench.base.errors import listed
from vadbench.base.naming import is_of
from vadbench.base.text import plain
from vadbench.records.record import RunRecord
from vadbench.records.run_facts import differences
from vadbench.records.titles import changed_rules, changed_settings

_USUAL = "native"
"""The protocol that is meant where nobody names one."""
_LONGEST = 100
"""Characters of a name that a message spells out; of a longer one it gives the keys."""


def experiments(found: Mapping[Path, RunRecord]) -> list[dict[Path, RunRecord]]:
    """Return the runs divided into experiments: those that differ in more than their seeds are of two."""
    groups: list[dict[Path, RunRecord]] = []
    for folder, record in found.items():
        group = next((g for g in groups if not differences(next(iter(g.values())), record)), None)
        if group is None:
            groups.append({folder: record})
        else:
            group[folder] = record
    return groups


def of_defaults(groups: Sequence[dict[Path, RunRecord]], named: Sequence[str]) -> list[dict[Path, RunRecord]]:
    """Return the experiments with default settings but those named; of several the ones nearest to the usual rules."""
    usual: dict[int, list[dict[Path, RunRecord]]] = {}
    for group in groups:
        record = next(iter(group.values()))
        extra = _extra(record, named)
        rules = [name for name in extra if name.startswith("protocol.")]
        rules += ["protocol"] if record.protocol.get("name") != _USUAL and "protocol" not in named else []
        # A label says nothing of the settings, but it names the run all the same.
        if all(name.startswith("protocol.") for name in extra) or record.label in named:
            usual.setdefault(len(rules), []).append(group)
    return usual[min(usual)] if usual else []


def spelt(base: str, groups: Iterable[Mapping[Path, RunRecord]]) -> str:
    """Return how each experiment can be named, with its seeds."""
    said, names = [], [_name(base, group) for group in groups]
    for name, group in zip(names, groups, strict=True):
        if len(name) > _LONGEST or names.count(name) > 1:
            name = ",".join(folder.name for folder in group)
        said.append(plain(f"{name} ({seeds(group)})"))
    return listed(said, 6)


def seeds(group: Mapping[Path, RunRecord]) -> str:
    """Return the seeds of an experiment in words, such as ``seeds 0, 1``."""
    found = ", ".join(map(str, sorted(record.seed for record in group.values())))
    return f"seed{'s' if len(group) > 1 else ''} {found}"


def unusual(record: RunRecord, named: Sequence[str]) -> list[str]:
    """Return the settings and rules of a run that are not the defaults, without those named; none under its label."""
    extra = set() if record.label in named else set(_extra(record, named))
    items = [*changed_settings(record.config, record.changed), *changed_rules(record.protocol, record.changed)]
    return [item for item in items if any(is_of(name, item.partition("=")[0]) for name in extra)]


def _extra(record: RunRecord, named: Sequence[str]) -> list[str]:
    """Return the names of the settings that are not the defaults and not named, as in the record."""
    return [name for name in record.changed if not any(is_of(name, n) or is_of(n, name) for n in named)]


def _name(base: str, group: Mapping[Path, RunRecord]) -> str:
    record = next(iter(group.values()))
    if record.label and len({r.label for r in group.values()}) == 1:
        return f"{base}[{record.label}]" if base != record.label else base
    items = [*changed_settings(record.config, record.changed), *changed_rules(record.protocol, record.changed)]
    items += [f"protocol={record.protocol.get('name')}"] if record.protocol.get("name") != _USUAL else []
    return f"{base}[{','.join(items)}]" if items else base
