"""What a benchmark file says: tables whose rows are methods and whose columns are metrics on data sets.

The grid of runs is what the tables need, each run once. Nothing here imports torch: a table is drawn from records.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from vadbench.base.config import is_content
from vadbench.base.errors import UnknownNameError
from vadbench.base.hashing import digest
from vadbench.base.naming import flatten, is_of, same, split_name, written
from vadbench.metrics.definitions import canonical, definition
from vadbench.records.record import Name, RunRecord, weights_name

if TYPE_CHECKING:
    from vadbench.features.layouts import LayoutName

LAST_SEED = 999_999
"""As far as ``--seeds`` goes."""
PROTOCOL = "protocol."
"""What the names of settings of the protocol begin with."""


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
            raise ValueError(f"setting '{name}' must be a number, a text, true, false or a list of these") from error
    return flat


def _distinct(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed is there twice; a mean over seeds counts each once")
    return seeds


SeedList = Annotated[list[Annotated[int, Field(strict=True, ge=0, le=LAST_SEED)]], AfterValidator(_distinct)]
Metric = Annotated[str, AfterValidator(_known_metric)]
Set = Annotated[dict[str, Any], AfterValidator(_flat)]
"""Settings by dotted name, as ``--set`` takes them; those of the protocol as ``protocol.crop``, ``protocol.subset`` and
``protocol.selection``."""


class PublishedSpec(_Entry):
    """Which rows of the published numbers belong to a row of a table, among those of the table's own source."""

    key: str
    variant: str = ""
    backbone: str | None = Field(None, description="only where key and variant do not tell rows apart")


class RowSpec(_Entry):
    """One line of a table: a method with settings, a published row, or both."""

    label: str
    group: str = Field("", description="heading that neighbouring rows share, such as the kind of supervision")
    published: PublishedSpec | None = None
    method: Name | None = Field(None, description="what reproduces the row")
    set: Set = {}
    why: str = Field("", description="why nothing here reproduces the row")

    @model_validator(mode="after")
    def _something(self) -> RowSpec:
        if self.method is None and self.published is None:
            raise ValueError(f"row '{self.label}' needs a method or a published key")
        if self.method is None and not self.why:
            raise ValueError(f"row '{self.label}' has no method; say in 'why' what would be needed")
        if self.method is not None and self.why:
            raise ValueError(f"row '{self.label}' has a method and says why it has none; leave one out")
        return self


class ColumnSpec(_Entry):
    """One metric on one data set under one protocol."""

    dataset: Name
    metric: Metric
    title: str = Field("", description="heading; the metric's own by default")
    train: Name | None = Field(None, description="data set trained on where it is another one")
    protocol: str | None = Field(None, description="the benchmark's by default")


class TableSpec(_Entry):
    """One table of a benchmark.

    ``id`` is the paper's own number, ``7`` or ``D.16``; published rows are those said to stand in ``Table <id>``.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9.-]+$")
    title: str
    columns: list[ColumnSpec] = Field(min_length=1)
    rows: list[RowSpec] = Field(min_length=1)
    set: Set = Field({}, description="settings of every row that is run, each row's own over them")
    note: str = Field("", description="what a reader must know, printed below the table")


class Benchmark(_Entry):
    """A benchmark file."""

    title: str
    paper: str = ""
    source: str = Field("", description="key of the paper in the published numbers; empty where there is none")
    seeds: SeedList = Field([0, 1, 2], min_length=1)
    protocol: str = "native"
    clip: str = Field("small", description="CLIP of the features, as --clip takes it")
    clip_weights: str = Field("", description="as --clip-weights takes it")
    tables: list[TableSpec] = Field(min_length=1)

    def cells(self) -> list[Cell]:
        """Every run that the tables need, each once, in their order."""
        return list(
            dict.fromkeys(cell for t in self.tables for r in t.rows for c in t.columns for cell in self.of(t, r, c))
        )

    def of(self, table: TableSpec, row: RowSpec, column: ColumnSpec) -> Iterator[Cell]:
        """The runs behind one place of a table, one a seed; none where the row is published only."""
        if row.method is None:
            return
        settings = tuple(sorted((table.set | row.set).items()))
        for seed in self.seeds:
            yield Cell(
                method=row.method,
                dataset=column.dataset,
                trained_on=column.train or column.dataset,
                protocol=column.protocol or self.protocol,
                settings=settings,
                clip=self.clip,
                clip_weights=self.clip_weights,
                seed=seed,
            )


@dataclass(frozen=True)
class Cell:
    """One run of a benchmark: a method on a data set under one seed and one protocol.

    ``settings`` are pairs of dotted name and value, sorted by name. ``trained_on`` differs from ``dataset`` where a
    training is evaluated on another data set.
    """

    method: str
    dataset: str
    trained_on: str
    protocol: str
    settings: tuple[tuple[str, Any], ...]
    clip: str
    clip_weights: str
    seed: int

    def __hash__(self) -> int:
        # Settings may be lists, which have no hash of their own.
        return hash(self.id)

    @property
    def id(self) -> str:
        """Twelve hex digits that name the cell wherever it is run."""
        return digest({**vars(self), "settings": [list(pair) for pair in self.settings]})

    @property
    def group(self) -> Cell:
        """What the cells of all seeds have in common, as a cell of seed 0."""
        return replace(self, seed=0)

    @property
    def training(self) -> Cell:
        """The cell whose weights this one evaluates: itself where it is trained on its own data set."""
        return replace(self, dataset=self.trained_on)

    @property
    def what(self) -> str:
        """The cell in words, without its seed: ``anomalyclip temporal=mlp on ucfcrime``."""
        changes = "".join(f" {name}={written(value)}" for name, value in self.settings)
        trained = "" if self.trained_on == self.dataset else f" trained on {self.trained_on}"
        return f"{self.method}{changes}{trained} on {self.dataset}"

    @property
    def label(self) -> str:
        """The cell in words: ``anomalyclip temporal=mlp on ucfcrime, seed 0``."""
        return f"{self.what}, seed {self.seed}"

    def matches(self, record: RunRecord) -> bool:
        """Whether a record is that of this cell, whichever way its settings were given.

        Each setting of the cell must have the value that the record has, and each setting that the record says was
        changed must be one of the cell's.
        """
        recorded = {**record.config, "protocol": record.protocol}
        return (
            (record.method, record.dataset, record.trained_on, record.seed, record.protocol.get("name"))
            == (self.method, self.dataset, self.trained_on, self.seed, self.protocol)
            and self.same_clip(record)
            and all(self._asks_for(name, record) for name in record.changed)
            and all(same_value(value, value_at(recorded, name)) for name, value in self.settings)
        )

    def same_clip(self, record: RunRecord) -> bool:
        """Whether a record names the CLIP of this cell; weights from a file are named by the file's name."""
        weights = weights_name(record.clip.get("weights", ""))
        return (record.clip.get("model"), weights) == (self.clip, weights_name(self.clip_weights))

    def _asks_for(self, changed: str, record: RunRecord) -> bool:
        # A cell may set a whole section, or one setting of a section that the record names by itself.
        if any(is_of(changed, name) or is_of(name, changed) for name, _ in self.settings):
            return True
        # Records of the first edition say so of regions, which nobody had asked to be scored otherwise.
        return changed == f"{PROTOCOL}crop" and bool(record.fingerprint.get("regions"))


def same_value(asked: Any, recorded: Any) -> bool:
    """Whether a setting that was given as ``asked`` is recorded as ``recorded``.

    What is read from a file is given by its name or the path of the file, and recorded by content.

    >>> same_value([0.9, 1], (0.9, 1.0)), same_value(True, 1)
    (True, False)
    """
    if isinstance(asked, str) and isinstance(recorded, Mapping):
        return is_content(recorded, asked)
    return same(asked, recorded)


def value_at(values: Any, name: str) -> Any:
    """What stands under a dotted name in nested settings, ``None`` where nothing does."""
    for part in split_name(name):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


@dataclass(frozen=True)
class Site:
    """Where a benchmark is run: the same for all of its cells, and for every process that works on them.

    Args:
        out: folder that run folders go under.
        device: ``auto``, ``cpu`` or ``cuda``.
        data_roots: folder of a data set, by its name.
        features: folder of features to use instead of extracting them, by the data set's name.
        layouts: how the files lie there, by the data set's name; found out for the others.
        allow_incomplete: go on without videos that are missing or damaged.
        plugins: files of plugins that are not installed.
    """

    out: Path
    device: str = "auto"
    data_roots: tuple[tuple[str, Path], ...] = ()
    features: tuple[tuple[str, Path], ...] = ()
    layouts: tuple[tuple[str, LayoutName], ...] = ()
    allow_incomplete: bool = False
    plugins: tuple[Path, ...] = ()
