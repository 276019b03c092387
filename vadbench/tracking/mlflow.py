"""Log runs to MLflow for viewing; the run folder stays the record. Only means of parent runs are computed here.

Experiment = data set, parent run = method with its settings, child run = seed. A benchmark has its own parent run, in
the experiment ``benchmarks``, with one child per cell.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from vadbench.base.errors import TrackingError, cut
from vadbench.base.hashing import digest
from vadbench.base.locations import ARTIFACTS, DEFAULT_OUT, TRAINING_LOG
from vadbench.base.naming import flatten, written
from vadbench.records.cost_figures import known_costs
from vadbench.records.folders import Outcome
from vadbench.records.record import PICTURES, RESULT, RunRecord
from vadbench.tracking.address import TrackingAddress, tracking_address
from vadbench.tracking.database import DRAFT, draft, is_logged, writing
from vadbench.tracking.mlflow_keys import metric_key, setting_key, spelt

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from vadbench.benchmarks.schema import Benchmark, Cell

BENCHMARKS = "benchmarks"
LOGGED = "vadbench.run"
"""Tag that is set last, once a run is logged in full: identity of the record it was logged from."""
PARAM_LENGTH, TAG_LENGTH = 6000, 5000
BATCH_METRICS, BATCH_PARAMS = 1000, 100


def log_runs(outcomes: Sequence[Outcome], out: Path = DEFAULT_OUT) -> str:
    """Log the seeds of one method on one data set; runs that are already logged are skipped.

    Args:
        outcomes: their runs.
        out: folder of run folders, whose store is used if none is configured.

    Returns:
        The address of the store, without passwords.

    Raises:
        TrackingError: MLflow failed, with the reason; no other exception is raised.
    """
    address, first = tracking_address(out), outcomes[0].record
    if all(is_logged(address, first.dataset, LOGGED, _identity(o.record)) for o in outcomes):
        return address.shown
    with writing(address) as client:
        experiment = _experiment(client, address, first.dataset)
        told = [first.method, first.method_version, first.config, first.trained_on, first.fingerprint]
        key = digest([first.edition, first.group or told, first.dataset, first.evaluation])
        mark = {"vadbench.parent": key}
        parent = _run(client, experiment, first.method, mark, _params(first.config), _tags(first))
        _rename(client, parent, first, first.title)
        for outcome in outcomes:
            record = outcome.record
            # An interrupted log continues in its own run, and so does a record that was measured again.
            mark = {DRAFT: draft(record)}
            run = _run(client, experiment, f"{record.method} seed {record.seed}", _child_of(parent) | mark)
            _rename(client, run, record, f"{record.title} seed {record.seed}")
            facts = {"seed": record.seed} | ({"post": record.post} if record.post else {})
            _log(client, run, outcome, _params(record.config, **facts), in_full=True)
        _summarise(client, experiment, parent.info.run_id)
    return address.shown


def log_benchmark(name: str, benchmark: Benchmark, out: Path, done: Sequence[tuple[Cell, Outcome]]) -> str:
    """Log cells of a benchmark under its parent run, which is continued if the benchmark is started again.

    Args:
        name: name of the benchmark.
        benchmark: content of its file; a changed file has another parent.
        out: folder of the run folders.
        done: cells with their runs; those that are already logged are skipped.

    Returns:
        The address of the store, without passwords.

    Raises:
        TrackingError: as :func:`log_runs`.
    """
    from vadbench.harness.environment import commit

    address, folder = tracking_address(out), str(out.resolve())
    with writing(address) as client:
        experiment = _experiment(client, address, BENCHMARKS)
        content = benchmark.model_dump(mode="json", exclude={"tables": {"__all__": {"rows": {"__all__": {"name"}}}}})
        mark = {"vadbench.benchmark": digest([name, content, folder])}
        params = benchmark.model_dump(include={"title", "paper", "protocol", "clip", "clip_weights", "seeds"})
        tags = {"vadbench.name": name, "vadbench.out": folder, "vadbench.commit": commit()}
        parent = _run(client, experiment, name, mark, params, tags)
        for cell, outcome in done:
            run = _run(client, experiment, cell.label, _child_of(parent) | {"vadbench.cell": cell.id})
            facts = {name: getattr(cell, name) for name in ("method", "dataset", "trained_on", "seed")}
            _log(client, run, outcome, _params(dict(cell.settings), **facts))
        client.set_terminated(parent.info.run_id)
    return address.shown


def _experiment(client: MlflowClient, address: TrackingAddress, name: str) -> str:
    if (found := client.get_experiment_by_name(name)) is not None:
        if found.lifecycle_stage == "deleted":
            raise TrackingError(
                f"the experiment '{name}' of MLflow at {address.shown} was deleted; restore it with:"
                f" {address.command('experiments', 'restore', '--experiment-id', str(found.experiment_id))}; or delete"
                " it for good with mlflow gc"
            )
        return str(found.experiment_id)
    location = None if address.file is None else (address.file.parent / ARTIFACTS / name).as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def _child_of(parent: Run) -> dict[str, str]:
    return {"mlflow.parentRunId": parent.info.run_id}


def _run(
    client: MlflowClient,
    experiment: str,
    name: str,
    mark: Mapping[str, str],
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Run:
    """Return the run that has the tags of ``mark``, or create one with these parameters and further tags."""
    query = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in mark.items())
    if found := client.search_runs([experiment], query, max_results=1):
        return found[0]
    run = client.create_run(experiment, run_name=name, tags=dict(mark))
    _send(client, run.info.run_id, params=params, tags=tags)
    return run


def _rename(client: MlflowClient, run: Run, record: RunRecord, name: str) -> None:
    """Give a run of MLflow its name where the record has a label; the names of others stay as they are."""
    if record.label and run.info.run_name != name:
        client.update_run(run.info.run_id, name=name)


def _log(client: MlflowClient, run: Run, outcome: Outcome, params: Mapping[str, Any], in_full: bool = False) -> None:
    """Log a finished run as it is recorded, unless it was logged before.

    Args:
        run: the MLflow run to log to.
        outcome: the finished run.
        params: its parameters.
        in_full: also log epochs, files and data, which a benchmark leaves to the seed's own run.
    """
    record, folder, run_id = outcome.record, outcome.folder, run.info.run_id
    identity = _identity(record)
    if run.data.tags.get(LOGGED) == identity:
        return
    tags = {"vadbench.folder": str(folder), **_tags(record)}
    undefined = {k: str(v.reason) for k, v in record.metrics.items() if v.value is None}
    if in_full and undefined:
        tags["vadbench.undefined"] = json.dumps(undefined)
    epochs = _epochs(folder / TRAINING_LOG) if in_full else ()
    _send(client, run_id, params=params, metrics=_missing(client, run, [*_metrics(record), *epochs]), tags=tags)
    if in_full:
        _attach(client, run_id, outcome)
    client.set_terminated(run_id)
    # Set last, so that an interrupted log is recognised.
    client.set_tag(run_id, LOGGED, identity)


def _missing(client: MlflowClient, run: Run, points: Sequence[tuple[str, float, int]]) -> list[tuple[str, float, int]]:
    """Return the points that a log that was interrupted has not sent: MLflow keeps a point that is sent twice twice."""
    latest = run.data.metrics
    names = dict.fromkeys(name for name, _, _ in points if name in latest)
    there = {(name, m.value, m.step) for name in names for m in client.get_metric_history(run.info.run_id, name)}
    last = {name: value for name, value, _ in points}
    # A value that was measured again stands until it is sent again, though an earlier log may have had it.
    return [p for p in points if p not in there or (p[1] == last[p[0]] != latest[p[0]])]


def _attach(client: MlflowClient, run_id: str, outcome: Outcome) -> None:
    """Log the test data of a run, its record and its plots."""
    from mlflow.entities import Dataset, DatasetInput

    record = outcome.record
    if split := record.data.get("test"):
        source = json.dumps({"dataset": record.dataset, "videos": split.videos, "frames": split.frames})
        dataset = Dataset(record.dataset, split.manifest, "local", source)
        client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags=[])])
    for path in (outcome.folder / name for name in (RESULT, *PICTURES)):
        # The folder may not be trusted: a link in it could point to any file of this machine.
        if path.is_file() and not path.is_symlink():
            client.log_artifact(run_id, str(path))


def _identity(record: RunRecord) -> str:
    metrics = {name: value.model_dump() for name, value in record.metrics.items()}
    return digest([record.key, record.evaluation, record.created, metrics, *([record.label] if record.label else [])])


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
        **{f"vadbench.{n}": str(record.environment[n]) for n in ("cuda", "cudnn", "driver") if n in record.environment},
        **({"vadbench.label": record.label} if record.label else {}),
        **{f"vadbench.{name}": str(value) for name in ("truth", "partition") if (value := record.protocol.get(name))},
    }


def _metrics(record: RunRecord) -> Iterator[tuple[str, float, int]]:
    for name, value in record.metrics.items():
        for suffix, number in (("", value.value), ("_low", value.low), ("_high", value.high)):
            if number is not None:
                yield metric_key(name) + suffix, number, 0
    yield from ((f"seconds_{spelt(stage)}", s, 0) for stage, s in record.seconds.items())
    yield from ((f"cost_{name}", value, 0) for name, value in known_costs(record).items())


def _epochs(log: Path) -> Iterator[tuple[str, float, int]]:
    if not log.is_file():
        return
    for number, line in enumerate(log.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            entry = json.loads(line)
            epoch, rates = int(entry["epoch"]), entry["learning_rate"]
            stage = [str(entry["stage"])] if "stage" in entry else []
            groups = {(name,): rate for name, rate in rates.items()} if isinstance(rates, dict) else {(): rates}
            points = {"/".join(["learning_rate", *map(spelt, [*stage, *g])]): float(r) for g, r in groups.items()}
            losses = {"/".join(map(spelt, [*stage, *t.split("/")])): float(v) for t, v in entry["loss"].items()}
            points |= {f"loss_{term}": value for term, value in losses.items()}
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise TrackingError(
                f"{log}, line {number}: expected an epoch with its learning_rate and loss; remove the file to log"
                " the run without its training"
            ) from error
        yield from ((name, value, epoch) for name, value in points.items())


def _summarise(client: MlflowClient, experiment: str, parent: str) -> None:
    """Log mean and standard deviation over all seeds, the last run of each, to the parent, also those logged earlier.

    A mean needs a value for every seed: if a new seed lacks a metric, the mean logged before becomes NaN, as MLflow
    cannot remove a metric.
    """
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'", order_by=["start_time"])
    seeds = {child.data.params["seed"]: child.data.metrics for child in children if LOGGED in child.data.tags}
    names = set.intersection(*(set(metrics) for metrics in seeds.values())) if seeds else set()
    metrics = []
    for name in sorted(n for n in names if not n.startswith(("loss_", "seconds_", "cost_", "learning_rate"))):
        values = [m[name] for m in seeds.values()]
        metrics.append((name, fmean(values), 0))
        if len(values) > 1:
            metrics.append((f"{name}_std", stdev(values), 0))
    known = client.get_run(parent).data.metrics
    metrics += [(name, math.nan, 0) for name in sorted(known.keys() - {name for name, _, _ in metrics})]
    _send(client, parent, metrics=metrics, tags={"vadbench.seeds": ", ".join(sorted(seeds, key=int))})
    client.set_terminated(parent)


def _params(settings: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """Return settings and general facts as parameters; a setting with the name of a fact is renamed."""
    return {setting_key(name, facts): written(value) for name, value in flatten(settings)} | facts


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
