"""``vadbench run``: train and evaluate a method on a data set."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.arguments import MOST_WORKERS
from vadbench.base.device_failures import release_memory
from vadbench.base.errors import (
    ConfigError,
    DeviceFailedError,
    NotExtractedError,
    RunError,
    StorageError,
    TrackingError,
    VadbenchError,
)
from vadbench.base.locations import DEFAULT_OUT, SWITCH_VARIABLE, tracks
from vadbench.base.progress_bar import shown_progress
from vadbench.base.text import amount
from vadbench.cli import options
from vadbench.cli.output import note, print_json, print_results, print_table, printable

if TYPE_CHECKING:
    from vadbench.base.types import Progress
    from vadbench.harness.experiment import Experiment
    from vadbench.harness.request import Request
    from vadbench.plugins.registry import Registry
    from vadbench.records.folders import Outcome


@click.command("run", short_help="Train and evaluate a method on a data set.")
@click.option("--method", "-m", help="Method to run (vadbench list methods).")
@click.option("--dataset", "-d", help="Data set to run it on (vadbench list datasets).")
@click.option("--seeds", callback=options.parse_seeds, help="Seeds: 0, 0-2 or 0,3,5.  [default: 0]")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
@click.option(
    "--descriptions",
    type=click.Path(path_type=Path),
    help="TOML file with descriptions of normal and abnormal events, for methods that read one (vadbench descriptions"
    " check); short for --set descriptions=FILE.",
)
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML file with settings.")
@click.option(
    "--protocol",
    "protocol_name",
    default="native",
    show_default=True,
    help="Rules of the evaluation (vadbench list protocols).",
)
@options.crop
@click.option(
    "--subset",
    type=click.Choice(["all", "single-anomaly"]),
    help="Videos to use; single-anomaly: those of at most one anomaly class.  [default: the protocol's]",
)
@click.option(
    "--selection",
    type=click.Choice(["last", "validation", "best-on-test"]),
    help="Weights to evaluate: the last epoch's, the best on the validation split (without one: on training videos held"
    " out), or the best on the test split (as several papers do; marked in the result).  [default: the protocol's,"
    " mostly last]",
)
@click.option(
    "--post",
    metavar="STEPS",
    help="Post-processing of the scores before they are measured, such as 'gaussian(10)' or 'logistic, round(4)'; none:"
    " without any.  [default: the method's or the protocol's, mostly none]",
)
@options.partition
@options.truth
@options.data_root
@options.allow_incomplete
@options.streams
@options.spacing
@options.features_layout
@options.clip_model
@options.clip_weights
@options.device
@options.out
@click.option(
    "--workers",
    type=click.IntRange(0, MOST_WORKERS),
    default=0,
    show_default=True,
    help="Processes that read training samples ahead; 0: a thread. Results are the same.",
)
@click.option(
    "--from",
    "trained",
    metavar="RUN",
    help="Evaluate this finished run's weights instead of training: its folder, key or label.",
)
@options.name
@click.option("--dry-run", is_flag=True, help="Show what is finished and what is left to do, without doing any of it.")
@click.option("--again", is_flag=True, help="Discard a finished or stopped run with its evaluations, and run it again.")
@options.no_mlflow
@options.plugin
@options.as_json
def command(
    seeds: list[int],
    workers: int,
    again: bool,
    features: tuple[str, ...],
    spacings: tuple[str, ...],
    plugin_files: tuple[Path, ...],
    as_json: bool,
    dry_run: bool,
    no_mlflow: bool,
    name: str | None,
    **request: Any,
) -> None:
    """Train and evaluate a method on a data set.

    \b
      vadbench run --method anomalyclip --dataset synthetic
      vadbench run --method zero-shot --dataset synthetic --seeds 0-2 --json
      vadbench run --method anomalyclip --dataset synthetic --set n_ctx=4 --set recipe.epochs=5
      vadbench run -m anomalyclip -d ucfcrime --features UCFCrime/Image-Features --protocol anomalyclip
      vadbench run --method anomalyclip --dataset synthetic --post 'gaussian(10)'
      vadbench run -m mil -d xdviolence --set 'streams=["clip", "audio"]' --features clip=DIR --features audio=DIR
      vadbench run --method anomalyclip --dataset synthetic --seeds 0-2 --dry-run
      vadbench run --from results/runs/synthetic/anomalyclip/1f0c... --dataset ucsdped2

    Settings come in layers: the method's defaults, its defaults for the data set, the TOML file, the environment
    (VADBENCH_SET__RECIPE__EPOCHS=5), --set. A finished run is returned, not repeated (see --again); an interrupted one
    resumes.

    Results are logged to MLflow: to the store that MLFLOW_TRACKING_URI names, otherwise to results/mlflow.db, or to
    mlflow.db in another --out. --no-mlflow or VADBENCH_MLFLOW=off turns this off; vadbench log does it later.
    """
    from vadbench.harness.experiment import open_experiment
    from vadbench.harness.request import Request
    from vadbench.plugins.registry import Registry

    asked = Request(**request, dry_run=dry_run, **options.given_streams(features, spacings))
    tracks()  # reject a value that is neither on nor off before the run rather than after it
    if asked.trained is not None and seeds:
        raise ConfigError("--from evaluates the weights of one seed; leave --seeds out")
    if dry_run:
        _plan(asked, Registry(files=plugin_files), seeds or [0], as_json)
        return
    with shown_progress() as progress:
        experiment = open_experiment(asked, Registry(files=plugin_files), progress)
        told = [] if as_json else experiment.notes()
        for text in told:
            note(f"note: {text}")
        outcomes, failures = _run_seeds(experiment, seeds or [0], again, workers, name, progress)
        # By now it is known whether the method used the CLIP.
        for text in [] if as_json else experiment.notes():
            if text not in told:
                note(f"note: {text}")
    for outcome in outcomes:
        if outcome.note:
            note(f"note: {outcome.note}")
    if outcomes:
        _report(outcomes, asked.out, as_json, "--no-mlflow" if no_mlflow else "")
    if failures:
        raise _summed_up(failures, len(seeds or [0])) from next(iter(failures.values()))


def _plan(asked: Request, registry: Registry, seeds: Sequence[int], as_json: bool) -> None:
    """Print the settings of a run, what is there of it under each seed, and what the rest would cost."""
    from vadbench.harness.experiment import open_experiment
    from vadbench.harness.plan import estimated_costs, plan

    try:
        with shown_progress() as progress:
            experiment = open_experiment(asked, registry, progress)
    except NotExtractedError as error:
        if as_json:
            print_json({"runs": [], "first": str(error), "costs": {}})
        else:
            click.echo(str(error))
        return
    runs = [plan(experiment, seed) for seed in seeds]
    costs = dict(estimated_costs(experiment)) if any(r.state != "finished" for r in runs) else {}
    if as_json:
        print_json(
            {
                "method": experiment.method_name,
                "dataset": experiment.dataset.name,
                "protocol": experiment.protocol.name,
                "config": experiment.config.model_dump(mode="json"),
                "post": experiment.protocol.post,
                "truth": experiment.protocol.truth,
                "partition": experiment.protocol.partition,
                "changed": list(experiment.changed),
                "notes": experiment.notes(),
                "runs": [{**asdict(r), "folder": str(r.folder)} for r in runs],
                "first": "",
                "costs": costs,
            }
        )
        return
    for text in experiment.notes():
        note(f"note: {text}")
    rules = experiment.protocol
    told = {"truth": rules.truth, "partition": rules.partition, "post-processing": rules.post}
    after = "".join(f", {name} {value}" for name, value in told.items() if value)
    changed = f", changed: {', '.join(experiment.changed)}" if experiment.changed else ""
    click.echo(f"{experiment.method_name} on {experiment.dataset.name}, protocol {rules.name}{after}{changed}\n")
    print_table([[str(r.seed), r.state, str(r.folder)] for r in runs], ["seed", "state", "folder"])
    for run in runs:
        if run.reason:
            click.echo(printable(f"seed {run.seed} did not finish before: {run.reason}"))
    if costs:
        each = " for each seed" if len(runs) > 1 else ""
        words = ", ".join(f"{name} {amount(value)}" for name, value in costs.items())
        click.echo(printable(f"\nwould cost{each}: {words}"))


def _run_seeds(
    experiment: Experiment, seeds: Sequence[int], again: bool, workers: int, name: str | None, progress: Progress
) -> tuple[list[Outcome], dict[int, Exception]]:
    """Run every seed; a failed one is recorded and the others continue, unless the disk or the GPU failed."""
    from vadbench.harness.run import run

    outcomes: list[Outcome] = []
    failures: dict[int, Exception] = {}
    for seed in seeds:
        try:
            outcomes.append(run(experiment, seed, progress, again, workers, name))
        except Exception as error:
            failures[seed] = error
            release_memory(error)
            # Nothing can be written, or computed, under the other seeds either.
            if isinstance(error, StorageError | DeviceFailedError):
                break
    return outcomes, failures


def _summed_up(failures: dict[int, Exception], asked: int) -> VadbenchError:
    """Return one error for all seeds that failed, of so many that were asked for."""
    reasons = {
        seed: str(error) if isinstance(error, VadbenchError) else f"{type(error).__name__}: {error} (see --debug)"
        for seed, error in failures.items()
    }
    if len(set(reasons.values())) == 1 and len(reasons) == asked:
        return RunError(next(iter(reasons.values())))
    return RunError("; ".join(f"seed {seed}: {reason}" for seed, reason in reasons.items()))


def _logged(outcomes: Sequence[Outcome], out: Path, off: str) -> str:
    """Log runs unless something turns that off, and return a sentence on where they are logged, or why they are not."""
    if off := off or ("" if tracks() else f"{SWITCH_VARIABLE} is off"):
        return f"not logged to MLflow: {off}"
    from vadbench.tracking.mlflow import log_runs

    try:
        return f"logged to MLflow at {log_runs(outcomes, out)}"
    except TrackingError as error:
        place = [] if out == DEFAULT_OUT else ["--out", str(out)]
        command = shlex.join(["vadbench", "log", *(str(o.folder) for o in outcomes), *place])
        return f"not logged ({error}); the run is complete, log it later with: {command}"


def _report(outcomes: Sequence[Outcome], out: Path, as_json: bool, off: str) -> None:
    logged = _logged(outcomes, out, off)
    if as_json:
        note(logged)
        print_json([{"folder": str(o.folder), **o.record.model_dump(mode="json")} for o in outcomes])
        return
    first = outcomes[0].record
    # A finished run may have been copied from another machine, with less in its record.
    test = first.data.get("test")
    what = (
        f"{test.videos} test videos, {test.frames} frames, {test.positives} of them anomalous"
        if test
        else "an unknown number of test videos"
    )
    rules = first.protocol.get("name", "unknown")
    click.echo(f"{first.method} on {first.dataset}{first.marks}, protocol {rules}: {what}\n")
    print_results([o.record for o in outcomes])
    click.echo()
    for outcome in outcomes:
        took = "finished earlier" if outcome.reused else f"{sum(outcome.record.seconds.values()):.1f} s"
        click.echo(f"seed {outcome.record.seed}: {outcome.folder} ({took})")
    click.echo(logged)
