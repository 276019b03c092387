"""MLflow: where runs are looked at. The run folder stays the record; only a parent's means are made from children.

Experiment = data set, parent run = method with its settings, child run = seed. A benchmark has a parent run of its own,
in the experiment ``benchmarks``, with a child a cell. MLflow is imported on first use because that alone takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from vadbench.base.errors import TrackingError, cut, first_line
from vadbench.base.files import make_folder
from vadbench.base.hashing import digest
from vadbench.base.locations import ARTIFACTS, DEFAULT_OUT, SQLITE, TRAINING_LOG, tracking_store
from vadbench.base.metric_keys import MetricKey
from vadbench.base.naming import flatten, written
from vadbench.records.folders import Outcome
from vadbench.records.record import PICTURES, RESULT, RunRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from vadbench.benchmarks.schema import Benchmark, Cell

BENCHMARKS = "benchmarks"
LOCK_SECONDS = 300
PARAM_LENGTH, TAG_LENGTH = 6000, 5000
BATCH_METRICS, BATCH_PARAMS = 1000, 100
LONGEST, CUT = 220, 240
"""Characters of a metric's key that MLflow, which takes 250, keeps as it is, and of what a longer one becomes: between
them and up to 250 there is room for ``_high`` and the like, so that no two keys meet."""


def log_runs(outcomes: Sequence[Outcome], out: Path = DEFAULT_OUT) -> str:
    """Log the seeds of one method on one data set; runs that are logged already are left alone.

    Args:
        outcomes: their runs.
        out: folder of run folders, which the store belongs to where none is named.

    Returns:
        the address of the store.

    Raises:
        TrackingError: with the reason; nothing else is ever raised, whatever MLflow does.
    """
    address = tracking_store(out)
    try:
        with _writing(address) as client:
            experiment = _experiment(client, address, outcomes[0].record.dataset)
            parent = _parent(client, experiment, outcomes[0].record)
            for outcome in outcomes:
                _child(client, experiment, parent, outcome)
            _summarise(client, experiment, parent)
    except TrackingError:
        raise  # what it was given is damaged
    except Exception as error:
        raise _refused(address, error) from error
    return address


def log_benchmark(name: str, benchmark: Benchmark, out: Path, done: Sequence[tuple[Cell, Outcome]]) -> str:
    """Log cells of a benchmark under its parent run, which goes on where the benchmark is begun again.

    Args:
        name: what the benchmark is called.
        benchmark: its file; another content is another parent.
        out: folder of the run folders.
        done: cells with their runs; those that are logged already are left alone.

    Returns:
        the address of the store.

    Raises:
        TrackingError: as :func:`log_runs`.
    """
    address = tracking_store(out)
    try:
        with _writing(address) as client:
            experiment = _experiment(client, address, BENCHMARKS)
            parent = _benchmark(client, experiment, name, benchmark, out)
            for cell, outcome in done:
                _cell(client, experiment, parent, cell, outcome)
            client.set_terminated(parent)
    except Exception as error:
        raise _refused(address, error) from error
    return address


def check_store(out: Path = DEFAULT_OUT) -> str:
    """The address of the store of a folder of runs, reached just now; a database that is not there yet is not made.

    Raises:
        TrackingError: it cannot be reached; says why.
    """
    address = tracking_store(out)
    if address.startswith(SQLITE) and not sqlite_path(address).exists():
        return f"{address} (made by the first run)"
    try:
        with _writing(address) as client:
            client.search_experiments(max_results=1)
    except Exception as error:
        raise _refused(address, error) from error
    return address


def metric_key(name: str) -> str:
    """A metric's key in MLflow, whose alphabet is small; two keys never become one.

    A branch and a class come after a slash and a word with a blank, which no measure has. What MLflow forbids, and
    what would be misread there, stands between underscores: ``_at_`` for ``@``, ``__`` for an underscore, the code
    point in hexadecimal for the rest. So ``_low``, ``_high`` and ``_std`` behind a key are never part of one. A key of
    more than :data:`LONGEST` characters ends in a digest of the whole.

    >>> metric_key("mAP@0.1"), metric_key("AUC/within(align)"), metric_key("AUC[Car (parked)]")
    ('mAP_at_0.1', 'AUC/within/branch align', 'AUC/class Car _28_parked_29_')
    """
    key = MetricKey.parse(name)
    parts = list(map(_spelt, key.metric.split("/")))
    parts += [] if key.branch is None else [f"branch {_spelt(key.branch)}"]
    parts += [] if key.of_class is None else [f"class {_spelt(key.of_class)}"]
    text = "/".join(parts)
    if len(text) <= LONGEST:
        return text
    ending = "_" + hashlib.sha256(text.encode()).hexdigest()[:40]
    return text[: CUT - len(ending)] + ending


def _spelt(text: str) -> str:
    """A name in MLflow's alphabet, never with a slash or with a blank at its end."""
    # Some databases take a key with a blank at its end for the same key without.
    return re.sub(r"_|[^\w.\- ]| $", lambda c: {"_": "__", "@": "_at_"}.get(c[0], f"_{ord(c[0]):x}_"), text)


def _refused(address: str, error: Exception) -> TrackingError:
    return TrackingError(f"MLflow at {address}: {first_line(error)}")


@contextmanager
def _writing(address: str) -> Iterator[MlflowClient]:
    """A client. On a sqlite file one process at a time has one: what is there already is looked for before writing."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    # MLflow's own seven retries would hold a finished run for minutes when a server is away.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    # How a database is migrated is not what somebody who started a run wants to read.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if not address.startswith(SQLITE):
        yield MlflowClient(tracking_uri=address)
        return
    path = sqlite_path(address)
    make_folder(path.parent)
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS):
        if not path.exists():
            _create_database(path)
        # In full: MLflow keeps the store of an address, whatever becomes of the current folder.
        yield MlflowClient(tracking_uri=f"{SQLITE}{path}")


def _create_database(path: Path) -> None:
    """Create the schema apart and rename it: a process that is killed at it would leave a database nobody can use."""
    from mlflow import MlflowClient

    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    MlflowClient(tracking_uri=f"{SQLITE}{draft}").search_experiments(max_results=1)
    draft.rename(path)


def sqlite_path(address: str) -> Path:
    """The file of a store whose address begins with :data:`SQLITE`."""
    return Path(address.removeprefix(SQLITE)).resolve()


def _experiment(client: MlflowClient, address: str, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = None
    if address.startswith(SQLITE):
        location = (sqlite_path(address).parent / ARTIFACTS / name).as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def _parent(client: MlflowClient, experiment: str, record: RunRecord) -> str:
    told = [record.method, record.method_version, record.config, record.trained_on, record.fingerprint]
    key = digest([record.edition, record.group or told, record.dataset, record.evaluation])
    found = client.search_runs([experiment], f"tags.`vadbench.parent` = '{key}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    run = client.create_run(experiment, run_name=record.method, tags={"vadbench.parent": key, **_tags(record)})
    _send(client, run.info.run_id, params=_params(record.config))
    return str(run.info.run_id)


def _child(client: MlflowClient, experiment: str, parent: str, outcome: Outcome) -> None:
    from mlflow.entities import Dataset, DatasetInput, RunStatus

    record, folder = outcome.record, outcome.folder
    identity = _identity(record)
    if client.search_runs([experiment], f"tags.`vadbench.run` = '{identity}'", max_results=1):
        return
    name = f"{record.method} seed {record.seed}"
    draft = digest([record.key, record.evaluation, record.created])
    tags = {"mlflow.parentRunId": parent, "vadbench.folder": str(folder), "vadbench.draft": draft, **_tags(record)}
    # A log that was cut off goes on in its own run, and so does a record that was measured again.
    drafts = client.search_runs([experiment], f"tags.`vadbench.draft` = '{draft}'", max_results=1)
    run = drafts[0] if drafts else client.create_run(experiment, run_name=name, tags=tags)
    run_id = str(run.info.run_id)
    undefined = {k: str(v.reason) for k, v in record.metrics.items() if v.value is None}
    _send(
        client,
        run_id,
        params=_params(record.config, seed=record.seed),
        metrics=[*_metrics(record), *_epochs(folder / TRAINING_LOG)],
        tags={"vadbench.undefined": json.dumps(undefined)} if undefined else {},
    )
    if split := record.data.get("test"):
        source = json.dumps({"dataset": record.dataset, "videos": split.videos, "frames": split.frames})
        dataset = Dataset(record.dataset, split.manifest, "local", source)
        client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags=[])])
    for path in (folder / name for name in (RESULT, *PICTURES)):
        # A folder may come from a stranger: a link in it could name any file of this machine.
        if path.is_file() and not path.is_symlink():
            client.log_artifact(run_id, str(path))
    client.set_terminated(run_id, RunStatus.to_string(RunStatus.FINISHED))
    # Last, so that a log that was cut off is known for it.
    client.set_tag(run_id, "vadbench.run", identity)


def _benchmark(client: MlflowClient, experiment: str, name: str, benchmark: Benchmark, out: Path) -> str:
    from vadbench.harness.environment import commit

    folder = str(out.resolve())
    key = digest([name, benchmark.model_dump(mode="json"), folder])
    found = client.search_runs([experiment], f"tags.`vadbench.benchmark` = '{key}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    tags = {"vadbench.name": name, "vadbench.out": folder, "vadbench.commit": commit(), "vadbench.benchmark": key}
    run_id = str(client.create_run(experiment, run_name=name, tags=tags).info.run_id)
    params = benchmark.model_dump(include={"title", "paper", "protocol", "clip", "clip_weights", "seeds"})
    _send(client, run_id, params=params)
    return run_id


def _cell(client: MlflowClient, experiment: str, parent: str, cell: Cell, outcome: Outcome) -> None:
    record = outcome.record
    identity = _identity(record)
    query = f"tags.`mlflow.parentRunId` = '{parent}' and tags.`vadbench.cell` = '{cell.id}'"
    found = client.search_runs([experiment], query, max_results=1)
    if found and found[0].data.tags.get("vadbench.run") == identity:
        return
    if found:
        run_id = str(found[0].info.run_id)
    else:
        tags = {"mlflow.parentRunId": parent, "vadbench.cell": cell.id}
        run_id = str(client.create_run(experiment, run_name=cell.label, tags=tags).info.run_id)
        facts = {name: getattr(cell, name) for name in ("method", "dataset", "trained_on", "seed")}
        _send(client, run_id, params=_params(dict(cell.settings), **facts))
    _send(
        client, run_id, metrics=list(_metrics(record)), tags={"vadbench.folder": str(outcome.folder), **_tags(record)}
    )
    client.set_terminated(run_id)
    client.set_tag(run_id, "vadbench.run", identity)


def _identity(record: RunRecord) -> str:
    metrics = {name: value.model_dump() for name, value in record.metrics.items()}
    return digest([record.key, record.evaluation, record.created, metrics])


def _tags(record: RunRecord) -> dict[str, str]:
    return {
        "vadbench.method": record.method,
        "vadbench.key": record.key,
        "vadbench.protocol": json.dumps(record.protocol),
        "vadbench.fingerprint": json.dumps(record.fingerprint),
        "vadbench.trained_on": record.trained_on,
        "vadbench.notes": "; ".join(record.notes) or "none",
        "vadbench.commit": str(record.environment.get("commit")),
        "vadbench.device": str(record.environment.get("device")),
    }


def _metrics(record: RunRecord) -> Iterator[tuple[str, float, int]]:
    for name, value in record.metrics.items():
        for suffix, number in (("", value.value), ("_low", value.low), ("_high", value.high)):
            if number is not None:
                yield metric_key(name) + suffix, number, 0
    yield from ((f"seconds_{_spelt(stage)}", s, 0) for stage, s in record.seconds.items())


def _epochs(log: Path) -> Iterator[tuple[str, float, int]]:
    if not log.is_file():
        return
    for number, line in enumerate(log.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            entry = json.loads(line)
            epoch, terms = int(entry["epoch"]), {f"loss_{_spelt(t)}": float(v) for t, v in entry["loss"].items()}
            points = {"learning_rate": float(entry["learning_rate"]), **terms}
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise TrackingError(
                f"{log}, line {number}: expected an epoch with its learning_rate and loss; take the file away to log"
                " the run without its training"
            ) from error
        yield from ((name, value, epoch) for name, value in points.items())


def _summarise(client: MlflowClient, experiment: str, parent: str) -> None:
    """Give the parent the mean and the standard deviation of its seeds, those logged earlier included.

    A mean needs all of them: one that stands there from before and that a new seed lacks becomes NaN, as MLflow cannot
    take a metric away.
    """
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'", order_by=["start_time"])
    # Of a seed that was run again, the last counts.
    seeds = {child.data.params["seed"]: child.data.metrics for child in children if "vadbench.run" in child.data.tags}
    names = set.intersection(*(set(metrics) for metrics in seeds.values())) if seeds else set()
    metrics = []
    for name in sorted(n for n in names if not n.startswith(("loss_", "seconds_", "learning_rate"))):
        values = [m[name] for m in seeds.values()]
        metrics.append((name, fmean(values), 0))
        if len(values) > 1:
            metrics.append((f"{name}_std", stdev(values), 0))
    known = client.get_run(parent).data.metrics
    metrics += [(name, math.nan, 0) for name in sorted(known.keys() - {name for name, _, _ in metrics})]
    _send(client, parent, metrics=metrics, tags={"vadbench.base.seeds": ", ".join(sorted(seeds, key=int))})
    client.set_terminated(parent)


def _params(settings: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """Settings beside what is said of every run; a setting that is called like one of those gets another name."""
    params: dict[str, Any] = {}
    for name, value in flatten(settings):
        plain = name if re.fullmatch(r"[\w.\-/ ]+", name) else _spelt(name)
        params[f"set.{plain}" if plain in facts else plain] = written(value)
    return params | facts


def _send(
    client: MlflowClient,
    run_id: str,
    params: Mapping[str, Any] | None = None,
    metrics: Sequence[tuple[str, float, int]] = (),
    tags: Mapping[str, str] | None = None,
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    entries = [Param(k, cut(str(v), PARAM_LENGTH)) for k, v in (params or {}).items()]
    for i in range(0, len(entries), BATCH_PARAMS):
        client.log_batch(run_id, params=entries[i : i + BATCH_PARAMS])
    points = [Metric(k, v, now, step) for k, v, step in metrics]
    for i in range(0, len(points), BATCH_METRICS):
        client.log_batch(run_id, metrics=points[i : i + BATCH_METRICS])
    client.log_batch(run_id, tags=[RunTag(k, cut(v, TAG_LENGTH)) for k, v in (tags or {}).items()])
