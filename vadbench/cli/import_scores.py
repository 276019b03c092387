"""``vadbench import-scores``: put scores that somebody else computed beside those of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from vadbench.base.needs import Supervision
from vadbench.base.progress_bar import shown_progress
from vadbench.cli import options
from vadbench.cli.output import note, print_json, print_results


@click.command("import-scores", short_help="Measure recorded scores of a method that is not run here.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--name", required=True, help="Name of the method, as tables call it: urf-hvaa.")
@click.option("--dataset", "-d", required=True, help="Data set that was scored (vadbench list datasets).")
@click.option(
    "--protocol", "protocol_name", default="native", show_default=True, help="Rules (vadbench list protocols)."
)
@click.option(
    "--set", "assignments", multiple=True, metavar="protocol.FIELD=VALUE", help="Change a rule; may be repeated."
)
@options.partition
@options.truth
@click.option(
    "--post",
    metavar="STEPS",
    help="Post-processing that the authors of the method apply to these scores, such as 'gaussian(10)'.",
)
@click.option(
    "--stride", type=click.IntRange(1, 10_000), help="Frames from one score to the next.  [default: found from lengths]"
)
@click.option(
    "--tolerance",
    type=click.IntRange(0, 100_000),
    metavar="FRAMES",
    help="Accept numbers of scores that are off by this much; each such video is named in the result.  [default: 2]",
)
@options.allow_incomplete
@click.option(
    "--supervision",
    type=click.Choice(get_args(Supervision)),
    help="What the method knew in training.  [default: weak]",
)
@click.option("--trained-on", metavar="DATASET", help="Data set it was trained on.  [default: the one that was scored]")
@click.option("--source", default="", help="Where the scores come from: an address, or words.")
@click.option("--licence", default="", help="Licence of the files there.")
@click.option("--commit", default="", help="Commit or version of that source.")
@click.option("--saw", default="", help="What its encoder or language model had seen before, such as the test videos.")
@options.data_root
@options.out
@options.plugin
@options.as_json
def command(
    paths: tuple[Path, ...],
    source: str,
    licence: str,
    commit: str,
    saw: str,
    plugin_files: tuple[Path, ...],
    as_json: bool,
    **request: Any,
) -> None:
    """Measure per-video scores that somebody else computed, with every metric, and keep them as a run.

    \b
      vadbench import-scores --name pel4vad --dataset ucfcrime --data-root UCF-Crime scores.npz
      vadbench import-scores --name mine --dataset xdviolence --post 'gaussian(10)' scores/
      vadbench import-scores --name theirs -d msad --set protocol.partition=one-class --truth truth.json scores.json

    PATH is a folder with one file a video (.npy, .npz, .json, .csv, .txt), or one .npz, .json or .csv file for all.
    Names are those of the videos, also with a suffix such as .mp4 or _pred behind. One array of all videos is read only
    beside a list of names and lengths. Ground truth is the data set's, or --truth; --truth with the file of scores
    takes the one that it carries.

    The result is an ordinary run folder, marked as recorded: for report, compare, leaderboard (beside reproduced runs
    only --with-recorded), plot, rescore, log and results check.
    """
    from vadbench.harness.import_scores import ScoresRequest, import_scores
    from vadbench.plugins.registry import Registry
    from vadbench.records.record import RecordedSource

    origin = RecordedSource(source=source, licence=licence, commit=commit, saw=saw)
    asked = ScoresRequest(paths=paths, source=origin, **request)
    with shown_progress() as progress:
        outcome = import_scores(asked, Registry(files=plugin_files), progress)
    record = outcome.record
    if as_json:
        print_json({"folder": str(outcome.folder), **record.model_dump(mode="json")})
        return
    for text in record.notes:
        note(f"note: {text}")
    test = record.data["test"]
    click.echo(
        f"{record.method} on {record.dataset}{record.marks}: {test.videos} test videos, {test.frames} frames,"
        f" {test.positives} of them anomalous\n"
    )
    print_results([record])
    click.echo(f"\n{outcome.folder}" + (" (finished earlier)" if outcome.reused else ""))
