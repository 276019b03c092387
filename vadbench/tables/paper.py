"""Fill a benchmark's tables: published numbers next to reproduced ones, the gap, and a verdict if one is possible."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vadbench.base.errors import DataError
from vadbench.base.locations import DEFAULT_OUT
from vadbench.base.types import Progress, silent
from vadbench.benchmarks import schema
from vadbench.benchmarks.published_rows import row_numbers
from vadbench.benchmarks.recorded_settings import is_demanded, same_value
from vadbench.benchmarks.schema import PARTITION, POST, PROTOCOL, TRUTH, Benchmark
from vadbench.metrics.definitions import definition
from vadbench.records.published import TRAPEZOID, PublishedNumber
from vadbench.records.record import RunRecord
from vadbench.tables import table as model
from vadbench.tables.blind_rows import with_blind_rows
from vadbench.tables.evaluations import Evaluation, by_seed, made
from vadbench.tables.standing import Resamples, TablePlace, column, resample
from vadbench.tables.verdicts import AP_RULES, measured_key, table_cell

PaperRuns = Mapping[tuple[str, str, str], Sequence[Evaluation]]
"""Finished evaluations by method, data set and data set trained on."""


def paper_tables(
    benchmark: Benchmark,
    name: str,
    tables: Sequence[schema.TableSpec],
    evaluations: Sequence[Evaluation],
    out: Path = DEFAULT_OUT,
    progress: Progress = silent,
) -> tuple[list[model.Table], list[str]]:
    """Return tables of a benchmark, filled from runs, and the scores that cannot be read.

    Args:
        benchmark: content of its file.
        name: name of the benchmark on the command line.
        tables: some or all tables of the benchmark.
        evaluations: from :func:`vadbench.tables.evaluations.collect`.
        out: folder of the runs, for the command that makes missing ones.
        progress: called with the number of resampled runs.
    """
    runs: dict[tuple[str, str, str], list[Evaluation]] = defaultdict(list)
    for evaluation in evaluations:
        runs[evaluation.record.method, evaluation.record.dataset, evaluation.record.trained_on].append(evaluation)
    grids = {table.id: _grid(benchmark, table, runs) for table in tables}
    keys = {table.id: _keys(table, grids[table.id]) for table in tables}
    wanted: dict[Evaluation, set[str]] = {}
    for table in tables:
        for row in grids[table.id]:
            for key, place in zip(keys[table.id], row, strict=True):
                for run in place.runs:
                    wanted.setdefault(run, set()).add(key)
    resamples = resample(wanted, max(len(t.rows) for t in tables), progress)
    drawn = [_table(benchmark, name, t, grids[t.id], keys[t.id], resamples, out) for t in tables]
    return drawn, resamples.notes


def _grid(benchmark: Benchmark, table: schema.TableSpec, runs: PaperRuns) -> list[list[TablePlace]]:
    """Return the content of each place, by row and column; columns on one data set share their runs."""
    grid = []
    for row in table.rows:
        found: dict[tuple[schema.Cell, ...], tuple[Sequence[Evaluation], str]] = {}
        places = []
        for asked in table.columns:
            number = published_for(benchmark.source, table.id, row.published, asked) if row.published else None
            cells = tuple(benchmark.of(table, row, asked))
            if cells and cells not in found:
                found[cells] = _runs_of(cells, runs)
            there, differs = found.get(cells, ((), ""))
            places.append(TablePlace(there, cells, number, differs))
        grid.append(places)
    return grid


def _keys(table: schema.TableSpec, grid: Sequence[Sequence[TablePlace]]) -> list[str]:
    """Return our metric of each column."""
    return [measured_key(asked.metric, (row[c].published for row in grid)) for c, asked in enumerate(table.columns)]


def _runs_of(cells: Sequence[schema.Cell], runs: PaperRuns) -> tuple[Sequence[Evaluation], str]:
    """Return the runs of cells that differ in their seed, or else the closest runs, and in what these differ.

    A mean is over runs that are the same in everything but the seed. Among several such groups, the newest edition is
    preferred, then the group with the most of the requested seeds, then weights trained here over those of the
    authors, then the newest. Runs on other videos or under another ground truth measure something else: where there are
    no others, the difference is returned without them.
    """
    first, seeds = cells[0], {cell.seed for cell in cells}
    there = [
        run
        for run in runs.get((first.method, first.dataset, first.trained_on), [])
        if (run.record.recorded is not None) == first.recorded
    ]
    differing = {run: _differences(first, run) for run in there if _own_rules(first, run.record).matches(run.record)}
    exact = [run for run, found in differing.items() if not found and run.record.seed in seeds]
    groups = by_seed(exact or [run for run, found in differing.items() if found])
    if not groups:
        return (), ""

    def merit(group: Sequence[Evaluation]) -> tuple[bool, int, int, int, bool, str]:
        asked = sum(run.record.seed in seeds for run in group)
        return (
            _same_test(first, group[0].record),
            -len(differing[group[0]]),
            group[0].record.edition,
            asked,
            not group[0].imported,
            max(run.record.created for run in group),
        )

    best = max(groups, key=merit)
    return best if _same_test(first, best[0].record) else (), ", ".join(differing[best[0]])


def _same_test(cell: schema.Cell, record: RunRecord) -> bool:
    """Return whether a run was tested on the videos that a cell asks for, under the ground truth that it asks for."""
    asked = dict(cell.settings)
    return all(
        same_value(asked.get(name, ""), record.protocol.get(name.removeprefix(PROTOCOL), ""))
        for name in (PARTITION, TRUTH)
    )


def _own_rules(cell: schema.Cell, record: RunRecord) -> schema.Cell:
    """Return a cell of the same method and settings with the protocol, CLIP and seed of a record."""
    return replace(
        cell,
        protocol=str(record.protocol.get("name")),
        clip=record.clip.get("model", ""),
        clip_weights=record.clip.get("weights", ""),
        seed=record.seed,
        settings=tuple(sorted((_method_settings(cell) | _protocol_settings(record)).items())),
    )


def _differences(cell: schema.Cell, run: Evaluation) -> list[str]:
    """Return in what a run of the cell's method and settings differs from the cell, in words."""
    record, asked = run.record, {k: v for k, v in cell.settings if k.startswith(PROTOCOL)}
    found = [f"rules ({run.rules.name}, not {cell.protocol})"] if run.rules.name != cell.protocol else []
    own = _protocol_settings(record)
    for name in sorted(asked.keys() | own):
        field = name.removeprefix(PROTOCOL)
        value = record.post if name == POST else record.protocol.get(field)
        if name not in asked or not same_value(asked[name], value):
            found.append(f"{field.replace('_', ' ')} ({value or 'none'})")
    if not cell.same_clip(record):
        found.append(f"CLIP ({clip_words(record.clip.get('model', ''), record.clip.get('weights', ''))})")
    if run.fingerprint and run.fingerprint.regions:
        found.append("regions (not whole frames)")
    return found


def _method_settings(cell: schema.Cell) -> dict[str, object]:
    return {k: v for k, v in cell.settings if not k.startswith(PROTOCOL)}


def _protocol_settings(record: RunRecord) -> dict[str, object]:
    changed = [k for k in record.changed if k.startswith(PROTOCOL) and not is_demanded(k, record)]
    return {k: record.protocol.get(k.removeprefix(PROTOCOL)) for k in changed}


def clip_words(clip: str, weights: str) -> str:
    """Return the name of a CLIP in tables; weights in a file are named by the file's name."""
    return " ".join(filter(None, (clip, Path(weights).name)))


def _table(
    benchmark: Benchmark,
    name: str,
    table: schema.TableSpec,
    grid: Sequence[Sequence[TablePlace]],
    keys: Sequence[str],
    resamples: Resamples,
    out: Path,
) -> model.Table:
    columns = []
    for c, key in enumerate(keys):
        filled = {r: row[c] for r, row in enumerate(grid) if row[c].runs}
        columns.append(column(filled, key, definition(key).better, resamples))
    rows = tuple(
        model.TableRow(
            label=row.label,
            group=row.group,
            supervision=_supervision(grid[r]),
            depends=next((run.record.depends for place in grid[r] for run in place.runs), ""),
            post=next((run.post for place in grid[r] for run in place.runs), ""),
            cells=tuple(table_cell(place, columns[c].get(r), resamples, keys[c]) for c, place in enumerate(grid[r])),
            notes=(f"not run here: {row.why}",) if row.why else (),
        )
        for r, row in enumerate(table.rows)
    )
    places = [place for row in grid for place in row]
    exact = {run: None for place in places for run in place.runs if not place.differs}
    drawn = model.Table(
        id=f"{name}/{table.id}",
        title=table.title,
        note=" ".join(filter(None, (table.note, _rules(benchmark, table)))),
        columns=tuple(_column(benchmark, table, *pair) for pair in zip(table.columns, keys, strict=True)),
        rows=rows,
        made=made(exact or {run: None for place in places for run in place.runs}),
        missing=_missing(name, table, places, out),
    )
    return with_blind_rows(model.with_shared_notes(drawn), [[place.runs for place in row] for row in grid], resamples)


def _supervision(places: Sequence[TablePlace]) -> str:
    """Return what the method of a row learnt from: by its runs, or by the paper where there are none."""
    ours = (run.record.supervision for place in places for run in place.runs)
    theirs = (place.published.supervision for place in places if place.published)
    return next(ours, None) or next(theirs, "")


def _column(benchmark: Benchmark, table: schema.TableSpec, asked: schema.ColumnSpec, key: str) -> model.TableColumn:
    means = definition(key)
    # Papers call two metrics AP.
    rule = AP_RULES.get(key, "") if benchmark.source else ""
    name = "AP" if rule else means.title
    several = len({(c.dataset, c.train) for c in table.columns}) > 1
    title = asked.title or (f"{asked.dataset} {name}" if several else name)
    return model.TableColumn(
        title=f"{title} ({rule})" if rule and rule not in title else title,
        dataset=asked.dataset,
        metric=key,
        definition=means.text,
        unit=means.unit,
    )


def _rules(benchmark: Benchmark, table: schema.TableSpec) -> str:
    """Return what every run of a table has in common, empty if nothing is run."""
    if not any(row.method for row in table.rows):
        return ""
    protocols = list(dict.fromkeys(c.protocol or benchmark.protocol for c in table.columns))
    clip = clip_words(*benchmark.clip_of(table))
    return f"Runs under protocol {' and '.join(protocols)}, features of CLIP {clip}."


def _missing(name: str, table: schema.TableSpec, places: Sequence[TablePlace], out: Path) -> str:
    every = {cell for place in places for cell in place.asked}
    asked = {cell for cell in every if not cell.recorded}
    there = {
        cell
        for place in places
        if not place.differs
        for cell in place.asked
        if cell.seed in {run.record.seed for run in place.runs}
    }
    if every == there:
        return ""
    if asked <= there:
        absent, wanted = len(every - there), len(every - asked)
        return f"{absent} of {wanted} recorded scores are missing; vadbench import-scores adds some"
    there &= asked
    where = [] if out == DEFAULT_OUT else ["--out", str(out)]
    command = shlex.join(["vadbench", "bench", name, "--only", table.id, *where])
    return f"{len(asked - there)} of {len(asked)} runs are missing; this makes them: {command}"


def published_for(
    source: str, table: str, published: schema.PublishedSpec, column: schema.ColumnSpec
) -> PublishedNumber | None:
    """Return the number in one place of a paper's table, ``None`` if the paper leaves it blank.

    Args:
        source: key of the paper, a benchmark's ``source``.
        table: id of the table, such as ``D.16``.
        published: entry of the row in the benchmark file.
        column: the column of the benchmark file.

    Raises:
        DataError: the paper has several such numbers, so that the row must say more.
    """
    metric = "AP" if column.metric == TRAPEZOID else column.metric
    found = [n for n in row_numbers(published, source, table) if (n.dataset, n.metric) == (column.dataset, metric)]
    if len(found) > 1:
        which = "backbones" if len({n.backbone for n in found}) > 1 else "test protocols"
        names = " and ".join(f"'{n.backbone if which == 'backbones' else n.test_protocol}'" for n in found)
        raise DataError(
            f"table {table} of {published.source or source}: {len(found)} numbers of '{published.key}' for"
            f" {column.metric} on {column.dataset}, with {which} {names}; say which in the row's 'published'"
        )
    return found[0] if found else None
