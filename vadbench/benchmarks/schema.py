"""Content of a benchmark file: tables whose rows are methods and whose columns are metrics on data sets.

The grid has every run that the tables need, once. This module does not import torch: tables are made from records.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from vadbench.base.arguments import LARGEST_SEED
from vadbench.base.errors import UnknownNameError, VadbenchError
from vadbench.base.hashing import digest
from vadbench.base.naming import flatten, is_of, written
from vadbench.benchmarks.recorded_settings import is_demanded, same_value, value_at
from vadbench.metrics.definitions import canonical, definition
from vadbench.records.record import Name, RunRecord, weights_name
from vadbench.records.titles import Label
from vadbench.scoring.post_steps import canonical_post

PROTOCOL = "protocol."
"""Prefix of the names of protocol settings."""
POST, PARTITION, TRUTH = f"{PROTOCOL}post", f"{PROTOCOL}partition", f"{PROTOCOL}truth"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _known_metric(key: str) -> str:
    try:
        return definition(canonical(key)).key
    except UnknownNameError as error:
        raise ValueError(str(error)) from error


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    flat = dict(flatten(settings))
    for name, value in flat.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"setting '{name}' must be a number, a string, true, false or a list of these") from error
    if isinstance(post := flat.get(POST), str):
        try:
            flat[POST] = canonical_post(post)  # as runs record it
        except VadbenchError as error:
            raise ValueError(str(error)) from error
    return flat


def _distinct(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed is given twice; a mean over seeds counts each once")
    return seeds


SeedList = Annotated[list[Annotated[int, Field(strict=True, ge=0, le=LARGEST_SEED)]], AfterValidator(_distinct)]
Metric = Annotated[str, AfterValidator(_known_metric)]
Set = Annotated[dict[str, Any], AfterValidator(_flat)]
"""Settings by dotted name, as ``--set`` takes them; those of the protocol as ``protocol.crop``, ``protocol.subset``,
``protocol.selection``, ``protocol.post``, ``protocol.partition`` and ``protocol.truth``."""


class PublishedSpec(_Entry):
    """Selection of the published numbers that belong to a row of a table.

    They are among those of the same table of the file's ``source``, or among all that the row's own ``source`` has.
    """

    key: str = Field(description="the method's key in the published numbers (``vadbench published``)")
    variant: str = Field("", description="the variant there, such as the name of an ablation")
    backbone: str | None = Field(None, description="only needed if key and variant do not identify the row")
    test_protocol: str | None = Field(None, description="what was tested, only needed if key and variant do not say it")
    source: str = Field("", description="key of the paper or page, if not the file's; the table there may be any")


class RowSpec(_Entry):
    """Row of a table: a method with settings, a published row, or both."""

    label: str = Field(description="what the row is called in the table")
    group: str = Field("", description="heading shared by neighbouring rows, such as the kind of supervision")
    published: PublishedSpec | None = Field(None, description="the published numbers of the row, see below")
    method: Name | None = Field(None, description="method that reproduces the row")
    recorded: Name | None = Field(None, description="recorded scores that the row shows, by the name they have here")
    set: Set = Field({}, description="settings by dotted name, as ``--set`` takes them, and rules as ``protocol.NAME``")
    name: Label = Field("", description="label of the row's runs, as ``vadbench run --name`` gives it")
    why: str = Field("", description="reason why no method reproduces the row")

    @model_validator(mode="after")
    def _something(self) -> RowSpec:
        if self.name and self.method is None:
            raise ValueError(f"row '{self.label}' has no method, and no runs to name; leave name out")
        if self.recorded is not None:
            if self.method is not None or self.why:
                raise ValueError(
                    f"row '{self.label}' shows recorded scores, which no method here makes; leave that out"
                )
            if other := [name for name in self.set if not name.startswith(PROTOCOL)]:
                raise ValueError(f"row '{self.label}': recorded scores have no setting '{other[0]}'")
            return self
        if self.method is None and self.published is None:
            raise ValueError(f"row '{self.label}' needs a method, recorded scores or a published key")
        if self.method is None and not self.why:
            raise ValueError(f"row '{self.label}' has no method; say in 'why' what would be needed")
        if self.method is not None and self.why:
            raise ValueError(f"row '{self.label}' has a method and says why it has none; leave one out")
        return self


class ColumnSpec(_Entry):
    """Column of a table: one metric on one data set under one protocol.

    ``AP`` in a table of a paper is what the paper itself means by it: ``AP/trapezoid`` where its own numbers are by the
    trapezoid rule. The heading prints the rule.
    """

    dataset: Name = Field(description="data set that is tested")
    metric: Metric = Field(
        description="key of the metric, such as ``AUC`` or ``AUC[Abuse]`` (``vadbench list metrics``)"
    )
    title: str = Field("", description="heading; by default the metric's title")
    train: Name | None = Field(None, description="data set trained on, if it is another one")
    protocol: str | None = Field(None, description="rules of the evaluation, the benchmark's by default")


class TableSpec(_Entry):
    """Table of a benchmark.

    ``id`` is the paper's number of the table, ``7`` or ``D.16``; its published rows are those of ``Table <id>``.
    """

    id: str = Field(
        pattern=r"^[A-Za-z0-9.-]+$", description="the table in ``vadbench table FILE/ID`` and ``--only ID``"
    )
    title: str = Field(description="heading of the table")
    columns: list[ColumnSpec] = Field(min_length=1, description="one for each metric on a data set, see below")
    rows: list[RowSpec] = Field(min_length=1, description="one for each method with settings, see below")
    set: Set = Field({}, description="settings of every row that is run; a row's own settings override them")
    clip: str | None = Field(None, description="CLIP of the features of this table, the benchmark's by default")
    clip_weights: str = Field("", description="weights of the table's own CLIP")
    note: str = Field("", description="note for the reader, printed below the table")

    @model_validator(mode="after")
    def _weights_of_its_own_clip(self) -> TableSpec:
        if self.clip_weights and self.clip is None:
            raise ValueError(f"table '{self.id}' has clip_weights and no clip; give both, or neither")
        return self


class Benchmark(_Entry):
    """Content of a benchmark file."""

    title: str = Field(description="what the benchmark is called")
    paper: str = Field("", description="the paper whose tables these are, in words")
    source: str = Field("", description="key of the paper in the published numbers; empty without a paper")
    seeds: SeedList = Field([0, 1, 2], min_length=1, description="seeds of every run")
    protocol: str = Field("native", description="rules of the evaluation (``vadbench list protocols``)")
    clip: str = Field("small", description="CLIP of the features, as ``--clip`` takes it")
    clip_weights: str = Field("", description="weights of that CLIP, as ``--clip-weights`` takes them")
    tables: list[TableSpec] = Field(min_length=1, description="the tables, see below")

    def cells(self) -> list[Cell]:
        """Return every run that the tables need, each once, in the order of the tables; recorded scores are none."""
        every = [cell for t in self.tables for r in t.rows for c in t.columns for cell in self.of(t, r, c)]
        # Rows may share runs; the first that names them does so for all.
        names = {cell: cell.name for cell in reversed(every) if cell.name}
        return [replace(c, name=names.get(c, "")) for c in dict.fromkeys(every) if not c.recorded]

    def clip_of(self, table: TableSpec) -> tuple[str, str]:
        """Return the CLIP of a table's features, and its weights."""
        return (self.clip, self.clip_weights) if table.clip is None else (table.clip, table.clip_weights)

    def of(self, table: TableSpec, row: RowSpec, column: ColumnSpec) -> Iterator[Cell]:
        """Yield the runs behind one place of a table, one per seed; none for a row that is only published."""
        name = row.method or row.recorded
        if name is None:
            return
        settings = tuple(sorted((table.set | row.set).items()))
        clip, weights = self.clip_of(table)
        for seed in self.seeds if row.method else [0]:
            yield Cell(
                method=name,
                dataset=column.dataset,
                trained_on=column.train or column.dataset,
                protocol=column.protocol or self.protocol,
                settings=settings,
                clip=clip,
                clip_weights=weights,
                seed=seed,
                recorded=row.method is None,
                name=row.name,
            )


@dataclass(frozen=True)
class Cell:
    """Run of a benchmark: a method on a data set under one seed and one protocol.

    ``settings`` are pairs of dotted name and value, sorted by name. ``trained_on`` differs from ``dataset`` if the
    weights are evaluated on another data set. ``recorded`` scores are found, and never made. ``name`` is the label of
    the run, which is no part of what it is.
    """

    method: str
    dataset: str
    trained_on: str
    protocol: str
    settings: tuple[tuple[str, Any], ...]
    clip: str
    clip_weights: str
    seed: int
    recorded: bool = False
    name: str = field(default="", compare=False)

    def __hash__(self) -> int:
        # Settings may be lists, which are not hashable.
        return hash(self.id)

    @property
    def id(self) -> str:
        """Identifier of twelve hex digits, the same on every machine."""
        facts = {n: value for n, value in vars(self).items() if n != "name" and (n != "recorded" or value)}
        return digest({**facts, "settings": [list(pair) for pair in self.settings]})

    @property
    def group(self) -> Cell:
        """Cell of seed 0 that represents the cells of all seeds."""
        return replace(self, seed=0)

    @property
    def training(self) -> Cell:
        """Cell whose weights this one evaluates; itself if it is trained on its own data set.

        A division or a ground truth is of the data set that is tested, and no other has it.
        """
        if self.trained_on == self.dataset:
            return self
        settings = tuple(pair for pair in self.settings if pair[0] not in (PARTITION, TRUTH))
        return replace(self, dataset=self.trained_on, settings=settings, name="")

    @property
    def what(self) -> str:
        """Description without the seed: ``anomalyclip temporal=mlp on ucfcrime``."""
        changes = "".join(f" {name}={written(value)}" for name, value in self.settings)
        trained = "" if self.trained_on == self.dataset else f" trained on {self.trained_on}"
        return f"{self.method}{changes}{trained} on {self.dataset}"

    @property
    def label(self) -> str:
        """Description: ``anomalyclip temporal=mlp on ucfcrime, seed 0``."""
        return f"{self.what}, seed {self.seed}"

    def matches(self, record: RunRecord) -> bool:
        """Return whether a record is of this cell, however its settings were given.

        Each setting of the cell must have the value in the record, and each setting that the record lists as changed
        must be a setting of the cell.
        """
        recorded = {**record.config, "protocol": {**record.protocol, "post": record.post}}
        return (
            (record.method, record.dataset, record.trained_on, record.seed, record.protocol.get("name"))
            == (self.method, self.dataset, self.trained_on, self.seed, self.protocol)
            and self.same_clip(record)
            and all(self._asks_for(name, record) for name in record.changed)
            and all(same_value(value, value_at(recorded, name)) for name, value in self.settings)
        )

    def same_clip(self, record: RunRecord) -> bool:
        """Return whether a record names the CLIP of this cell, or needed none; weights from a file are named by the
        file's name."""
        if not record.clip:
            return True
        weights = weights_name(record.clip.get("weights", ""))
        return (record.clip.get("model"), weights) == (self.clip, weights_name(self.clip_weights))

    def _asks_for(self, changed: str, record: RunRecord) -> bool:
        # A cell may set a whole section, or one setting of a section that the record lists separately.
        if any(is_of(changed, name) or is_of(name, changed) for name, _ in self.settings):
            return True
        if is_demanded(changed, record):
            return True
        # Records of the first edition list the crop as changed for region features, which are always scored so.
        return changed == f"{PROTOCOL}crop" and bool(record.fingerprint.get("regions"))
