"""State of a benchmark's cells on this machine: done, to do, impossible or failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vadbench.base.errors import UnknownNameError, VadbenchError
from vadbench.base.files import file_stamp
from vadbench.base.locations import find_data_root
from vadbench.base.needs import CLIP_STREAM, Facts, StreamFacts
from vadbench.benchmarks.schema import Benchmark, Cell, Site
from vadbench.benchmarks.staleness import Today, inputs_here, today
from vadbench.clip import SMALL
from vadbench.clip.memory import is_remembered
from vadbench.harness.clips import clip_source, open_clip
from vadbench.harness.fitness import have_files, misfit, video_counts
from vadbench.plugins.registry import Registry
from vadbench.records.folders import Outcome
from vadbench.records.record import INCOMPLETE

if TYPE_CHECKING:
    import torch

_IN_FILE = re.compile(
    r"(?<![\w-])--(clip-weights|clip|crop|subset|selection|set)(?![\w-])(?: (?!(?:out|or|and)\b)([\w=.:/-]*[\w/]))?"
)
"""Options of ``vadbench run``, with their values, that are entries in a benchmark's file."""

CellStatus = Literal["done", "to do", "impossible", "failed"]


@dataclass(frozen=True)
class CellState:
    """State of a cell.

    ``reason`` says why it failed or is impossible, or why an earlier attempt at a cell that is to do failed.
    ``outcome`` is set if it is done.
    """

    cell: Cell
    state: CellStatus
    reason: str = ""
    outcome: Outcome | None = None


def with_trainings(cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells, each that is trained on another data set preceded by the cell that trains it."""
    return list(dict.fromkeys(c for cell in cells for c in (cell.training, cell)))


def chosen(benchmark: Benchmark, only: Sequence[str]) -> list[Cell]:
    """Return the cells of the named tables, methods and data sets; a cell must match every kind that is named.

    Args:
        benchmark: the benchmark, all of whose cells are returned if ``only`` is empty.
        only: names; a name of several kinds is taken as a table first, then as a method.

    Raises:
        UnknownNameError: the benchmark has nothing of this name.
    """
    everything = benchmark.cells()
    tables = {table.id for table in benchmark.tables}
    kinds: dict[str, set[str]] = {
        "tables": tables,
        "methods": {cell.method for cell in everything},
        "data sets": {cell.dataset for cell in everything},
    }
    wanted: dict[str, set[str]] = {}
    for name in only:
        kind = next((k for k, names in kinds.items() if name in names), None)
        if kind is None:
            raise UnknownNameError("table, method or data set of the benchmark", name, set.union(*kinds.values()))
        wanted.setdefault(kind, set()).add(name)
    kept = [t for t in benchmark.tables if t.id in wanted.get("tables", tables)]
    return [
        cell
        for cell in benchmark.model_copy(update={"tables": kept}).cells()
        if cell.method in wanted.get("methods", {cell.method})
        and cell.dataset in wanted.get("data sets", {cell.dataset})
    ]


def finished(cell: Cell, now: Today | None, runs: Iterable[Outcome]) -> Outcome | None:
    """Return the newest finished run of a cell, ``None`` without one.

    Args:
        cell: the requested cell.
        now: what a run would use now; ``None`` if that is unknown, which accepts any run.
        runs: the finished runs.
    """
    found = [r for r in _made(cell, now, runs) if r.record.status == "finished"]
    return max(found, key=lambda r: r.record.created, default=None)


def training_of(
    cell: Cell, runs: Sequence[Outcome], now: Callable[[Cell], Today | None]
) -> tuple[Outcome | None, Sequence[Outcome]]:
    """Return the finished training that a cell evaluates, and the runs that may be the cell's own.

    An evaluation only counts with its training: if that is stale or absent, no run counts.

    Args:
        cell: the requested cell; one that trains has no other training, and any of the runs may be its own.
        runs: the finished runs.
        now: returns for a cell the ``now`` of :func:`finished`.
    """
    if cell.training == cell:
        return None, runs
    training = finished(cell.training, now(cell.training), runs)
    return training, [r for r in runs if training is not None and r.record.key == training.record.key]


def usable(site: Site, runs: Iterable[Outcome]) -> list[Outcome]:
    """Return the runs that may count as done; runs on incomplete data only if the site allows them."""
    return [r for r in runs if site.allow_incomplete or not any(note.startswith(INCOMPLETE) for note in r.record.notes)]


def in_words_of_bench(reason: str, dataset: str = "NAME") -> str:
    """Return advice on options of ``vadbench run`` reworded for ``vadbench bench``.

    >>> in_words_of_bench("give features of audio (--features audio=DIR)", "tiny")
    'give features of audio (--features tiny.audio=DIR)'

    >>> in_words_of_bench("name it with --features-layout anomalyclip or vadclip", "tiny")
    'name it with --features-layout tiny=anomalyclip or vadclip'
    >>> in_words_of_bench("no crop 'center'; name one with --crop, or --crop mean", "tiny")
    "no crop 'center'; name one with protocol.crop, or protocol.crop = mean (in the benchmark's file)"
    """
    said = reason.replace("--data-root DIR", f"--data-root {dataset}=DIR")
    said = re.sub(r"--features ([\w-]+)=DIR", rf"--features {dataset}.\1=DIR", said)
    said = re.sub(r"--features-layout (?=[a-z])", f"--features-layout {dataset}=", said)
    said = re.sub(r"--features-layout(?! [\w-]+=)", f"--features-layout {dataset}=LAYOUT", said)

    def entry(found: re.Match[str]) -> str:
        option, value = found.groups()
        if option == "set":
            return value or "set"
        name = option.replace("-", "_") if option.startswith("clip") else f"protocol.{option}"
        return f"{name} = {value}" if value else name

    said, count = _IN_FILE.subn(entry, said)
    return f"{said} (in the benchmark's file)" if count else said


def look(cells: Sequence[Cell], site: Site, registry: Registry, runs: Sequence[Outcome]) -> list[CellState]:
    """Return the state of each cell, without running anything.

    No features are extracted, and a CLIP is only looked for if the data of a cell to do are available.

    Args:
        cells: cells of the benchmark, with the trainings they need.
        site: machine and folders to use.
        registry: the plugins.
        runs: the records under ``site.out``.
    """
    roots = dict(site.data_roots)
    known: dict[tuple[str, str], list[Outcome]] = {}
    for run in usable(site, runs):
        known.setdefault((run.record.trained_on, run.record.method), []).append(run)

    inputs = cache(partial(inputs_here, site, registry))

    @cache
    def now(group: Cell) -> tuple[Today | None, str]:
        try:
            return today(group, registry, inputs), ""
        except VadbenchError as error:
            return None, str(error)

    @cache
    def data(dataset: str) -> _Data:
        return _data(dataset, registry, roots.get(dataset))

    @cache
    def unfit(group: Cell, trained: bool) -> str:
        facts, (here, _) = data(group.dataset).facts, now(group)
        if facts is None or here is None or here.config is None:
            return ""  # the reason is what is absent
        wanted, name = here.config.needs().streams, group.dataset
        given = {CLIP_STREAM, *site.streams_of(name, wanted), *(wanted[:1] if name in dict(site.features) else ())}
        facts = replace(facts, streams={stream: StreamFacts() for stream in sorted(given)})
        return in_words_of_bench(misfit(here.config, facts, trained), name)

    clip_absent = cache(_clip_absent)

    def state(cell: Cell) -> CellState:
        here, broken = now(cell.group)
        of_method = known.get((cell.trained_on, cell.method), [])
        trained, runs_of_cell = training_of(cell, of_method, lambda training: now(training.group)[0])
        if run := finished(cell, here, runs_of_cell):
            return CellState(cell, "done", outcome=run)
        # Evaluating a training needs its weights, not the data that it was trained on.
        needed = [cell.dataset] if trained else [cell.trained_on, cell.dataset]
        missing = (
            broken
            or ("" if trained else unfit(cell.training.group, False))
            or unfit(cell.group, cell.training != cell)
            or next(filter(None, (data(name).absent for name in needed)), "")
            or (clip_absent(cell.clip, cell.clip_weights) if here and here.reads_features else "")
        )
        if missing:
            return CellState(cell, "impossible", missing)
        failed = max(_made(cell, here, runs_of_cell), key=lambda r: r.record.created, default=None)
        reason = failed.record.error or "" if failed else ""
        return CellState(cell, "to do", in_words_of_bench(reason, cell.dataset))

    return [state(cell) for cell in cells]


def edited_since(states: Iterable[CellState], registry: Registry) -> list[str]:
    """Return a line for each method whose files changed since its finished cells were made, its version unchanged."""
    digests: dict[str, set[str]] = {}
    for state in states:
        if state.outcome is not None and (code := state.outcome.record.code.get("method")) is not None:
            digests.setdefault(state.cell.method, set()).add(code.digest)
    notes = []
    for method, found in digests.items():
        try:
            edited = found != {registry.provenance("method", method).digest}
        except VadbenchError:
            continue  # the reason is reported by the state of its cells
        if edited:
            notes.append(
                f"some finished cells of {method} were made before its files changed; vadbench run --again renews one"
            )
    return notes


def _made(cell: Cell, now: Today | None, runs: Iterable[Outcome]) -> list[Outcome]:
    return [
        r
        for r in runs
        if (now is None or now.made(r.record))
        and cell.matches(r.record)
        and (not r.record.clip or _weights_digest(cell) in ("", r.record.clip.get("sha256")))
        # A benchmark is about training; imported weights of the authors do not count as a seed.
        and not any(n.startswith("weights imported") for n in r.record.notes)
    ]


def _weights_digest(cell: Cell) -> str:
    """Return the digest of the CLIP's weights if they are in a local file, which its name does not identify."""
    path = Path(cell.clip_weights)
    return _digest_of(cell.clip, cell.clip_weights, file_stamp(path.stat())) if path.is_file() else ""


@lru_cache(maxsize=8)
def _digest_of(model: str, weights: str, stamp: str) -> str:
    try:
        return open_clip(clip_source(model or None, weights), _cpu).weights_sha256
    except VadbenchError as error:
        return f"cannot be read: {error}"


@dataclass(frozen=True)
class _Data:
    """A data set on this machine: what is known of it, and what must be done to have it here, empty if it is."""

    facts: Facts | None = None
    absent: str = ""


def _data(name: str, registry: Registry, root: Path | None) -> _Data:
    facts = None
    try:
        kind = registry.dataset(name)
        facts = Facts(name, kind.classes, splits=tuple(kind.expected))
        dataset = kind(find_data_root(name, kind.makes_itself, root))
        if dataset.makes_itself:
            return _Data(facts)
        dataset.prepare()
        videos = {split: dataset.videos(split) for split in dataset.splits}
        files = have_files([video for listed in videos.values() for video in listed])
        for split, listed in videos.items():
            if not listed:
                return _Data(facts, f"{name} has no {split} videos under {dataset.root}; expected: {dataset.files}")
    except VadbenchError as error:
        return _Data(facts, in_words_of_bench(str(error), name))
    return _Data(replace(facts, videos=video_counts(dataset, videos), files=files))


def _clip_absent(model: str, weights: str) -> str:
    source = clip_source(model or None, weights or None)
    if (source.model == SMALL and not source.weights) or is_remembered(source):
        return ""
    from vadbench.clip.loading import is_cached

    try:
        if not is_cached(source):
            open_clip(source, _cpu)
    except VadbenchError as error:
        return in_words_of_bench(str(error))
    return ""


def _cpu() -> torch.device:
    import torch

    return torch.device("cpu")
