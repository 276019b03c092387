"""Run folders: the record of a run, where it lies, and the two keys that name it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from statistics import fmean, stdev
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from vadbench.base.errors import RunError, listed
from vadbench.base.files import LOCK, read_json, write_json
from vadbench.base.locations import ARTIFACTS
from vadbench.base.metric_keys import MetricKey, from_first_edition
from vadbench.base.naming import flatten, is_of, written
from vadbench.plugins.hookspecs import NAME

SCHEMA = 3
FIRST_EDITION = 2
"""The schema of the first edition's records, which are read too: their metric keys are translated."""
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


Key = Annotated[str, AfterValidator(lambda key: str(MetricKey.parse(key)))]
"""A metric key in the grammar of :mod:`vadbench.base.metric_keys`."""


class Value(BaseModel):
    """A metric: a fraction with its 95 % interval, or ``None`` with the reason why it is undefined."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


class SplitRecord(BaseModel):
    """What was found of one split.

    ``expected`` is the size of a complete copy, ``manifest`` a hash of its entries that is part of keys. ``inputs`` is
    the same without the lengths of the videos, which are known only once they were decoded; empty in older records.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    videos: int
    expected: int
    abnormal: int
    manifest: str
    inputs: str = ""
    frames: int | None = None
    positives: int | None = None


class CodeRecord(BaseModel):
    """Whose code made a result: as :class:`vadbench.plugins.provenance.Provenance`, and the identity that keys hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    distribution: str
    version: str
    commit: str
    digest: str
    identity: str


class RunRecord(BaseModel):
    """The content of ``result.json``.

    ``edition`` is the :data:`vadbench.keys.EDITION` that it was made under. ``key`` names the training, ``group`` what
    all seeds of it share (empty for imported weights), ``evaluation`` the way it was evaluated. ``trained_on`` differs
    from ``dataset`` where a training was evaluated on another data set. ``changed`` names the settings in which
    ``config`` differs from the method's defaults for ``trained_on``, and as ``protocol.<field>`` those in which
    ``protocol`` differs from the one of its name. ``code`` says whose code the method and the data set are. ``notes``
    are what a reader must know before comparing the figures.
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
    edition: int = 1
    key: Name
    group: str = ""
    evaluation: Name
    protocol: dict[str, Any]
    metrics: dict[Key, Value] = {}
    diagnostics: dict[str, Any] = {}
    config: dict[str, Any]
    changed: list[str]
    fingerprint: dict[str, Any]
    clip: dict[str, str]
    data: dict[str, SplitRecord]
    notes: list[str] = []
    code: dict[Literal["method", "dataset"], CodeRecord] = {}
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


def weights_name(weights: str) -> str:
    """What records call a CLIP's weights: a tag as it is, a file by its name without its folder.

    >>> weights_name("laion2b_s34b_b88k"), weights_name("/data/clip/ViT-B-16.pt")
    ('laion2b_s34b_b88k', 'ViT-B-16.pt')
    """
    return PurePath(weights).name


@dataclass(frozen=True)
class Outcome:
    """A run's folder, its record, whether the record was there already, and what to say of that."""

    folder: Path
    record: RunRecord
    reused: bool
    note: str = ""


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
        further = self.path / "evaluations" / key
        if (further / RESULT).is_file():
            return further
        first = read_record(self.path) if (self.path / RESULT).is_file() else None
        if first is None or first.status == "failed" or first.evaluation == key:
            return self.path
        return further

    def discard(self, key: str | None = None) -> None:
        """Remove an evaluation, or with ``None`` everything but the folder and its lock.

        The records go first: what a kill leaves behind is an unfinished run, never a record beside other weights.
        """
        if key is None:
            for record in [*self.path.glob(f"evaluations/*/{RESULT}"), self.path / RESULT]:
                record.unlink(missing_ok=True)
            for left in self.path.iterdir():
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
                elif left.name != LOCK:
                    left.unlink()
        else:
            (self.evaluation(key) / RESULT).unlink(missing_ok=True)

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
        RunError: it is missing, damaged or of another vadbench.
    """
    path = folder / RESULT
    content = read_json(path)
    schema = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(schema, int) and schema not in (SCHEMA, FIRST_EDITION):
        mend = "upgrade vadbench" if schema > SCHEMA else "delete this file and run again; the weights are kept"
        raise RunError(f"{path} has schema {schema}, this vadbench reads {FIRST_EDITION} and {SCHEMA}; {mend}")
    try:
        return RunRecord.model_validate(_translated(content) if schema == FIRST_EDITION else content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RunError(
            f"{path} is not a run record: {where}: {first['msg']}; delete this file and run again"
        ) from error


def _translated(content: dict[str, Any]) -> dict[str, Any]:
    """A record of the first edition as one of today; what is damaged in it stays for the validation to find."""
    metrics = content.get("metrics", {})
    if isinstance(metrics, dict):
        spelling = from_first_edition(metrics)
        metrics = {spelling[name]: value for name, value in metrics.items()}
    return content | {"schema_version": SCHEMA, "metrics": metrics}


def write_record(folder: Path, record: RunRecord) -> None:
    """Write ``result.json`` atomically."""
    write_json(folder / RESULT, record.model_dump(mode="json"))


def files_below(folder: Path, name: str = RESULT) -> list[Path]:
    """The files of run folders at any depth, in the order of their folders; MLflow's copies are skipped."""
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
    # A record of an earlier version may lack a metric, or have one that was removed.
    for name in dict.fromkeys(name for r in records for name in r.metrics):
        values = [v for r in records if name in r.metrics and (v := r.metrics[name].value) is not None]
        if len(values) == len(records):
            out[name] = (fmean(values), stdev(values) if len(values) > 1 else None)
    return out
