"""Runs of a page: what they are called there, and which is the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from vadbench.base.errors import RunError
from vadbench.base.types import Progress, silent
from vadbench.metrics.definitions import COMPARED, definition
from vadbench.metrics.scenarios import of_scenarios
from vadbench.records.record import RunRecord
from vadbench.records.scores import load_split
from vadbench.results.sides import load_runs, matched
from vadbench.scoring.split import ScoredSplit
from vadbench.tables.evaluations import evaluation
from vadbench.tables.standing import NOT_RANKED, UNLIKE_OTHERS, TablePlace, column, resample
from vadbench.tables.table import ReproducedFigure

PROTOCOL = "protocol."
"""Prefix of the names of changed rules in a record."""


@dataclass(frozen=True, eq=False)
class PageRun:
    """Run of a page; all runs of a page have the same test videos in the same order."""

    label: str
    folder: Path
    record: RunRecord
    split: ScoredSplit


def read_runs(names: Sequence[str], out: Path) -> tuple[list[PageRun], list[str]]:
    """Return the runs that names on the command line refer to, and notes on those that were left out.

    Args:
        names: as in :func:`vadbench.results.sides.load_runs`; every seed is a separate run here.
        out: folder that contains the run folders.

    Raises:
        RunError: a name has no finished run, scores are damaged, or the runs differ in their test videos.
    """
    found: dict[Path, tuple[RunRecord, Path]] = {}
    notes: list[str] = []
    for name in names:
        runs = load_runs(name, out)
        notes += runs.notes
        found |= {folder.resolve(): (record, folder) for record, folder in runs.found}
    first, *others = found.values()
    for record, _ in others:
        if record.dataset != first[0].dataset:
            raise RunError(
                f"expected runs on one data set, found {first[0].dataset} and {record.dataset}; show them separately"
            )
    reference = _sound(*first)
    splits = [reference, *(matched(reference, _sound(*run), first, run) for run in others)]
    shown = labels([record for record, _ in found.values()])
    return [
        PageRun(label, folder, record, split)
        for label, (record, folder), split in zip(shown, found.values(), splits, strict=True)
    ], notes


def _sound(record: RunRecord, folder: Path) -> ScoredSplit:
    """Return the scores of a run after checking its metrics, as the folder may not be trusted."""
    split = load_split(folder, remarks=True)
    found = record.metrics | of_scenarios(record.scenarios)
    figures = [n for v in found.values() for n in (v.value, v.low, v.high) if n is not None]
    if not all(map(isfinite, figures)):
        raise RunError(f"{folder}: expected metrics that are finite or null; run the method again")
    return split


def labels(records: Sequence[RunRecord]) -> list[str]:
    """Return a short name for each run: the method, its changed settings and seed, and the key if these do not suffice.

    The seed is omitted if a method has only one, and the protocol if it is the same for all runs.
    """
    rules = [rules_words(r) for r in records]
    under = [f", protocol {rule}" if len(set(rules)) > 1 else "" for rule in rules]
    plain = [_label(r) + rule for r, rule in zip(records, under, strict=True)]
    seeds = [f"{name}, seed {r.seed}" for name, r in zip(plain, records, strict=True)]
    seeded = [seed if plain.count(name) > 1 else name for name, seed in zip(plain, seeds, strict=True)]
    keyed = [f"{name} ({r.key}, {r.evaluation})" for name, r in zip(seeded, records, strict=True)]
    return [key if seeded.count(name) > 1 else name for name, key in zip(seeded, keyed, strict=True)]


def standings_of(runs: Sequence[PageRun], progress: Progress = silent) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the standing of each run by metric, as in a leaderboard, and notes on what is not ranked.

    Every run is a row of its own. A single run has no standing; neither has one under other rules or on other features
    than most runs of the page.

    Args:
        runs: from :func:`read_runs`.
        progress: called with the number of resampled runs.
    """
    if len(runs) < 2:
        return [{} for _ in runs], []
    places = {i: TablePlace([evaluation(run.folder, run.record)]) for i, run in enumerate(runs)}
    resamples = resample({place.runs[0]: COMPARED for place in places.values()}, len(runs), progress)
    columns = {key: column(places, key, definition(key).better, resamples) for key in COMPARED}
    found = [{key: _standing(figures[i]) for key, figures in columns.items()} for i in places]
    said = [(runs[i].label, note) for figures in columns.values() for i, f in figures.items() for note in f.notes]
    few = [NOT_RANKED for _, note in said if note == NOT_RANKED]
    unlike = [f"{label}: {note}" for label, note in said if note.startswith(UNLIKE_OTHERS)]
    return found, list(dict.fromkeys([*few, *unlike]))


def _standing(figure: ReproducedFigure) -> dict[str, Any]:
    return {"emphasis": "best" if figure.best else "second" if figure.second else "", "tied": figure.tied}


def _label(record: RunRecord) -> str:
    trained = "" if record.trained_on == record.dataset else f", trained on {record.trained_on}"
    return f"{record.title}{trained}{record.marks}"


def rules_words(record: RunRecord) -> str:
    """Return the protocol of a run in words: its name and what was changed of it."""
    changed = [name.removeprefix(PROTOCOL) for name in record.changed if name.startswith(PROTOCOL)]
    # What a method proposes changes no rule of the protocol, and must be seen all the same.
    told = dict.fromkeys([*changed, *(["post"] if record.post else [])])
    return ", ".join([str(record.protocol.get("name")), *(f"{n} {record.protocol.get(n) or 'none'}" for n in told)])
