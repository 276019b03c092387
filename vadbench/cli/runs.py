"""``vadbench runs``: list the runs that are there, name them, delete them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vadbench.base.errors import RunError
from vadbench.base.text import counted, size
from vadbench.cli import options
from vadbench.cli.output import confirm, note, print_json, print_table, printable, printed, with_unit

if TYPE_CHECKING:
    from vadbench.records.stored_runs import StoredRun

WIDEST = 40
"""Characters of a line in the column of settings."""
STATES = ("finished", "failed", "interrupted", "running", "weights", "damaged")


@click.group("runs", short_help="List, name and delete runs.", invoke_without_command=True)
@click.option("-d", "--dataset", "datasets", multiple=True, metavar="NAME", help="Only this data set; may be repeated.")
@click.option("-m", "--method", "methods", multiple=True, metavar="NAME", help="Only this method; may be repeated.")
@click.option("--name", "labels", multiple=True, metavar="LABEL", help="Only runs of this label; may be repeated.")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only this state; may be repeated.")
@click.option(
    "--setting",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only runs with this setting, such as recipe.epochs=5, protocol=native or seed=0; may be repeated.",
)
@click.option(
    "--since",
    callback=options.parse_age,
    metavar="AGE|DATE",
    help="Only runs made since: an age such as 7d or 12h, or a date.",
)
@click.option("--metric", default="AUC", show_default=True, help="Metric to show (vadbench list metrics).")
@options.out
@options.as_json
@click.pass_context
def command(
    context: click.Context,
    datasets: tuple[str, ...],
    methods: tuple[str, ...],
    labels: tuple[str, ...],
    states: tuple[str, ...],
    settings: tuple[str, ...],
    since: datetime | None,
    metric: str,
    out: Path,
    as_json: bool,
) -> None:
    """List the runs under --out: finished, failed, interrupted and running ones.

    \b
      vadbench runs
      vadbench runs --dataset synthetic --setting recipe.epochs=5 --since 7d
      vadbench runs --state failed --json
      vadbench runs name 1f0c 'dense attention'
      vadbench runs delete 'dense attention'
      vadbench runs delete --failed

    A further evaluation of a training has a line of its own; its key is that of the training and its own. An
    interrupted run goes on when it is run again, weights are imported ones that were not evaluated. A data set, a
    method, a label, a setting or a metric that no run has is refused.

    With --json the report is a list of objects with: folder, key, dataset, method, label, settings, seed, protocol,
    trained_on, state, error, value (of the metric; a fraction where its unit is %), made and bytes.
    """
    if context.invoked_subcommand is not None:
        given = [p.opts[-1] for p in context.command.params if _was_given(context, p.name or "")]
        if given:
            raise click.UsageError(
                f"{', '.join(given)} belongs to the list; give options behind the subcommand", context
            )
        return
    from vadbench.metrics.definitions import canonical, definition
    from vadbench.records.chosen_runs import choose, require_measured
    from vadbench.records.stored_runs import stored_runs

    key = definition(canonical(metric)).key
    stored = list(stored_runs(out))
    runs = choose(
        stored,
        {"dataset": datasets, "method": methods, "label": labels},
        states=states,
        settings=settings,
        since=since,
    )
    if _was_given(context, "metric"):
        require_measured(key, runs or stored)
    if as_json:
        print_json([_plain(run, key) for run in runs])
        return
    rows = [
        [
            *(run.key, run.dataset, run.method, run.label or run.settings, run.seed, run.protocol),
            *(printed(run.value(key), key), run.made[:16].replace("T", " "), size(run.bytes), run.state),
        ]
        for run in runs
    ]
    headers = ["key", "data set", "method", "label or settings", "seed", "protocol", with_unit(key), "made", "size"]
    print_table(rows, [*headers, "state"], widest=WIDEST)
    click.echo(f"\n{_counted(runs)}, under {out}")


@command.command("name", short_help="Give runs a label, or take it away.")
@click.argument("run")
@click.argument("label")
@options.out
@options.as_json
def name(run: str, label: str, out: Path, as_json: bool) -> None:
    """Give the runs that RUN stands for the label LABEL; '' takes it away.

    \b
      vadbench runs name 1f0c 'dense attention'
      vadbench runs name 'synthetic/mil[recipe.epochs=5]' longer
      vadbench runs name longer ''

    It changes no result and no key. vadbench log RUN gives MLflow the label as well. With --json the report is a list
    of objects with: folder and label.
    """
    from vadbench.base.files import locked
    from vadbench.records.folders import relabel, training_folder
    from vadbench.records.run_names import find_runs
    from vadbench.records.titles import checked_label

    label, named = checked_label(label), find_runs(run, out)
    for text in named.notes:
        note(f"note: {text}")
    for folder, record in named.found.items():
        training = training_folder(folder)
        with locked(training, f"run {training.name}"):
            relabel(folder, record, label)
        if not as_json:
            click.echo(printable(f"{folder}: {label or 'no label'}"))
    if as_json:
        print_json([{"folder": str(folder), "label": label} for folder in named.found])


@command.command("delete", short_help="Delete runs.")
@click.argument("runs", nargs=-1)
@click.option("--failed", is_flag=True, help="Delete every failed run.")
@options.yes
@options.out
@options.as_json
def delete(runs: tuple[str, ...], failed: bool, yes: bool, out: Path, as_json: bool) -> None:
    """Delete RUNS: list what goes, and ask.

    A run is named by its folder, the beginning of its key, or its label; a folder of runs stands for those of default
    settings. A training goes with all its evaluations, which need its weights; an evaluation named by both keys
    (1f0c/7ab2) or by its folder goes alone. A run that is in use, or that lies outside of --out, is refused. MLflow
    keeps what was logged.

    \b
      vadbench runs delete 1f0c 7ab2/03dd
      vadbench runs delete --failed --yes

    With --json the report is a list of the folders that were deleted.
    """
    from vadbench.records.stored_runs import delete_run, require_deletable, stored_runs

    stored = list(stored_runs(out))
    if not runs and not failed:
        raise click.UsageError("name the runs to delete, or give --failed")
    chosen = [run for name in runs for run in _named(name, stored, out)]
    chosen += [run for run in stored if failed and run.state == "failed"]
    for run in chosen:
        require_deletable(run.folder, out)
    goes = _with_evaluations(chosen, stored)
    if not goes:
        note("nothing to delete")
    for run in goes:
        what = f"{run.method} {run.label or run.settings}".rstrip()
        beside = ", a further evaluation" if run.is_evaluation else ""
        click.echo(
            printable(f"{run.folder}: {what} on {run.dataset}{beside}, {run.state}, {size(run.bytes)}"), err=True
        )
    if goes and confirm(f"Delete {_counted(goes)}?", yes):
        logged = _logged(goes, out)
        # Evaluations go with their training.
        tops = [run for run in goes if not run.is_evaluation]
        tops += [run for run in goes if run.is_evaluation and not any(t.folder in run.folder.parents for t in tops)]
        for run in tops:
            delete_run(run.folder, out)
        if as_json:
            print_json([str(run.folder) for run in goes])
        kept = "; MLflow keeps what was logged of them (vadbench ui)" if logged else ""
        note(f"deleted {_counted(goes)}{kept}")


def _logged(runs: Sequence[StoredRun], out: Path) -> bool:
    """Return whether MLflow may have any of the runs."""
    from vadbench.base.errors import TrackingError
    from vadbench.tracking.database import keeps

    try:
        return keeps([run.record for run in runs if run.record is not None], out)
    except TrackingError:
        return True


def _counted(runs: Sequence[StoredRun]) -> str:
    return f"{counted(len(runs), 'run')}, {size(sum(run.bytes for run in runs))}"


def _named(name: str, stored: Sequence[StoredRun], out: Path) -> list[StoredRun]:
    """Return the stored runs that a name stands for, those without a record included.

    Raises:
        RunError: nothing, or more than one key, matches; or it is no run of these.
    """
    from vadbench.records.run_names import find_runs

    given = Path(name).resolve()
    bare = [r for r in stored if r.record is None and (r.key.startswith(name) or r.folder.resolve() == given)]
    if len(bare) == 1:
        return bare
    if bare:
        raise RunError(f"'{name}' is the beginning of several keys, {', '.join(run.key for run in bare)}; name one")
    named = find_runs(name, out, begun=True)
    for text in named.notes:
        note(f"note: {text}")
    by_folder = {run.folder.resolve(): run for run in stored}
    for folder in named.found:
        if folder.resolve() not in by_folder:
            raise RunError(f"{folder} is no run under {out}; name its folder of runs with --out")
    return [by_folder[folder.resolve()] for folder in named.found]


def _with_evaluations(chosen: Iterable[StoredRun], stored: Sequence[StoredRun]) -> list[StoredRun]:
    folders = {run.folder for run in chosen}
    return [run for run in stored if not folders.isdisjoint((run.folder, *run.folder.parents))]


def _plain(run: StoredRun, key: str) -> dict[str, Any]:
    names = ("key", "dataset", "method", "label", "settings", "seed", "protocol", "trained_on", "state", "error")
    return {
        "folder": str(run.folder),
        **{name: getattr(run, name) for name in names},
        **{"value": run.value(key), "made": run.made, "bytes": run.bytes},
    }


def _was_given(context: click.Context, parameter: str) -> bool:
    return context.get_parameter_source(parameter) is click.core.ParameterSource.COMMANDLINE
