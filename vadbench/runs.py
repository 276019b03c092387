"""Run folders: the record of a run, where it lies, and the two keys that name it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vadbench.errors import RunError, listed
from vadbench.files import read_json, write_json
from vadbench.hookspecs import NAME
from vadbench.locations import ARTIFACTS
from vadbench.naming import flatten, is_of, written

SCHEMA = 2
RESULT = "result.json"
SCORES = "scores.npz"
CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_INFO = "checkpoint.json"
TRAINING_LOG = "training.jsonl"
INCOMPLETE = "incomplete"
"""What the notes on missing videos begin with."""
PICTURES = ("roc.png", "pr.png", "per-class.png", "reliability.png")


Name = Annotated[str, Field(pattern=NAME)]
"""What may become the name of a folder: a record comes from anywhere, and must not point elsewhere."""


class Value(BaseModel):
    """A metric: a fraction with its 95 % interval, or ``None`` with the reason why it is undefined."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


class SplitRecord(BaseModel):
    """What was found of one split: ``expected`` is the size of a complete copy, ``manifest`` a hash of its entries."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    videos: int
    expected: int
    abnormal: int
    manifest: str
    frames: int | None = None
    positives: int | None = None


class RunRecord(BaseModel):
    """The content of ``result.json``.

    ``key`` names the training, ``evaluation`` the way it was evaluated. ``trained_on`` differs from ``dataset`` where
    a training was evaluated on another data set. ``changed`` names the settings in which ``config`` differs from the
    method's defaults for ``trained_on``, and as ``protocol.<field>`` those in which ``protocol`` differs from the one
    of its name. ``notes`` are what a reader must know before comparing the figures.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: int = SCHEMA
    status: Literal["finished", "failed"]
    error: str | None = None
    method: Name
    method_version: str
    dataset: Name
    trained_on: Name
    seed: int
    key: Name
    evaluation: Name
    protocol: dict[str, Any]
    metrics: dict[str, Value] = {}
    diagnostics: dict[str, Any] = {}
    config: dict[str, Any]
    changed: list[str]
    fingerprint: dict[str, Any]
    clip: dict[str, str]
    data: dict[str, SplitRecord]
    notes: list[str] = []
    environment: dict[str, Any]
    seconds: dict[str, float] = {}
    peak_memory_mb: dict[str, float] = {}
    created: str

    @property
    def title(self) -> str:
        """The method and the settings that are not its defaults, such as ``vadclip recipe.epochs=5``."""
        values = dict(flatten(self.config))
        changes = [f" {name}={written(values[name])}" for name in self.changed if name in values]
        # A section that is its own defaults, and an entry that was taken away, have no value of their own.
        here = [name for name in self.changed if name not in values and not name.startswith("protocol.")]
        changes += [f" {name}={'{}' if any(is_of(n, name) for n in values) else 'absent'}" for name in here]
        return self.method + "".join(changes)

    @property
    def marks(self) -> str:
        """What every table that shows the figures must say of them, such as " (incomplete, best-on-test)"."""
        selection = self.protocol.get("selection", "last")
        marks = [INCOMPLETE] if any(n.startswith(INCOMPLETE) for n in self.notes) else []
        marks += [str(selection)] if selection != "last" else []
        return f" ({', '.join(marks)})" if marks else ""


def digest(value: Any) -> str:
    """First 12 hex digits of the SHA-256 of a value's canonical JSON.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def training_key(
    *,
    method: str,
    version: str,
    config: Mapping[str, Any],
    classes: Sequence[Any],
    manifest: str,
    fingerprint: str,
    clip: str,
    subset: str,
    selection: str,
    seed: int,
) -> str:
    """The key of a training: everything that changes its weights, and nothing that only says where it ran."""
    return digest(
        {
            "method": method,
            "version": version,
            "config": config,
            "classes": classes,
            "manifest": manifest,
            "fingerprint": fingerprint,
            "clip": clip,
            "subset": subset,
            "selection": selection,
            "seed": seed,
        }
    )


@dataclass(frozen=True)
class Outcome:
    """A run's folder, its record, and whether the record was there already."""

    folder: Path
    record: RunRecord
    reused: bool


class RunFolder:
    """``<out>/<dataset>/<method>/<key>/``: one training and its evaluations.

    The first evaluation lies in the folder itself, others in ``evaluations/<key>/``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    def evaluation(self, key: str) -> Path:
        """The folder of the evaluation called ``key``, existing or not."""
        first = read_record(self.path) if (self.path / RESULT).is_file() else None
        if first is None or first.status == "failed" or first.evaluation == key:
            return self.path
        return self.path / "evaluations" / key

    def finished(self, key: str) -> RunRecord | None:
        """The record of an evaluation that is there and finished."""
        folder = self.evaluation(key)
        if not (folder / RESULT).is_file():
            return None
        record = read_record(folder)
        return record if record.status == "finished" else None


def read_record(folder: Path) -> RunRecord:
    """The record in a folder.

    Raises:
        RunError: it is missing, damaged or of a newer vadbench.
    """
    path = folder / RESULT
    content = read_json(path)
    schema = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(schema, int) and schema != SCHEMA:
        mend = "upgrade vadbench" if schema > SCHEMA else "delete this file and run again; the weights are kept"
        raise RunError(f"{path} has schema {schema}, this vadbench reads {SCHEMA}; {mend}")
    try:
        return RunRecord.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RunError(
            f"{path} is not a run record: {where}: {first['msg']}; delete this file and run again"
        ) from error


def write_record(folder: Path, record: RunRecord) -> None:
    """Write ``result.json`` atomically."""
    write_json(folder / RESULT, record.model_dump(mode="json"))


def files_below(folder: Path, name: str = RESULT) -> list[Path]:
    """The files of run folders at any depth, in the order of these folders; MLflow's copies are none."""
    found = (path for path in folder.rglob(name) if ARTIFACTS not in path.relative_to(folder).parts)
    return sorted(found, key=lambda path: path.parent)


def find_run(name: str, out: Path) -> Path:
    """A folder with a record, or with imported weights that have none yet: by its path, or by the beginning of its key
    under ``out``.

    Raises:
        RunError: nothing or more than one run matches.
    """
    if any((Path(name) / file).is_file() for file in (RESULT, CHECKPOINT_INFO)):
        return Path(name)
    runs = {path.parent for file in (RESULT, CHECKPOINT_INFO) for path in files_below(out, file)}
    matches = sorted(f for f in runs if f.name.startswith(name) and f.parent.name != "evaluations")
    if len(matches) == 1:
        return matches[0]
    found = "none" if not matches else listed(matches, 5)
    raise RunError(f"no single run called '{name}': expected a run folder or a key under {out}, found {found}")


def summarise(records: Sequence[RunRecord]) -> dict[str, tuple[float, float | None]]:
    """Mean and standard deviation (n - 1) over seeds of each metric that is defined for every seed.

    Raises:
        RunError: the records are not of one method, data set and protocol.
    """
    if len({(r.method, r.dataset, r.evaluation) for r in records}) != 1:
        raise RunError("a mean over seeds needs runs of one method, data set and evaluation")
    out: dict[str, tuple[float, float | None]] = {}
    for name in records[0].metrics:
        values = [v for r in records if (v := r.metrics[name].value) is not None]
        if len(values) == len(records):
            out[name] = (fmean(values), stdev(values) if len(values) > 1 else None)
    return out
