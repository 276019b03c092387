"""``vadbench evaluate``: every metric from a file of scores and a file of ground truth."""

from __future__ import annotations

from pathlib import Path

import click

from vadbench.cli import options
from vadbench.cli.output import note, print_json


@click.command("evaluate", short_help="Measure scores against a ground truth, without a data set plugin.")
@click.option(
    "--scores", required=True, type=click.Path(path_type=Path), help="Folder or file (see vadbench import-scores)."
)
@click.option(
    "--truth", required=True, type=click.Path(path_type=Path), help="Ground truth as vadbench data export writes it."
)
@click.option(
    "--stride", type=click.IntRange(1, 10_000), help="Frames from one score to the next.  [default: found from lengths]"
)
@click.option("--post", default="", metavar="STEPS", help="Post-processing, such as 'gaussian(10)'.")
@click.option(
    "--tail",
    type=click.Choice(["hold", "zero", "rows", "rows-prolonged"]),
    default="hold",
    show_default=True,
    help="What frames behind those of the last score count: its score, 0, or nothing (see docs/protocols.md).",
)
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Frames a second of the videos.")
@click.option("--tolerance", type=click.IntRange(0, 100_000), help="Frames by which lengths may be off.  [default: 2]")
@options.as_json
def command(
    scores: Path,
    truth: Path,
    stride: int | None,
    post: str,
    tail: str,
    rate: float | None,
    tolerance: int | None,
    as_json: bool,
) -> None:
    """Measure per-video scores with every metric, with 95 % confidence intervals from resampling the videos.

    \b
      vadbench evaluate --scores scores.npz --truth truth.json
      vadbench evaluate --scores scores/ --truth truth.json --post 'gaussian(10)' --json

    Nothing is kept: vadbench import-scores makes a run of scores on a data set that vadbench knows. In Python the same
    is vadbench.evaluate(scores, truth), which takes arrays as well.
    """
    from vadbench import evaluate
    from vadbench.cli.output import print_table, printed_with_interval, with_unit

    found = evaluate(scores, truth, stride=stride, post=post, tail=tail, rate=rate, tolerance=tolerance)
    if as_json:
        print_json({name: value.model_dump() for name, value in found.items()})
        return
    rows = [[with_unit(n), printed_with_interval(v, n)] for n, v in found.items() if v.value is not None]
    print_table(rows, ["%", "[95 % interval]"])
    undefined: dict[str | None, list[str]] = {}
    for name, value in found.items():
        if value.value is None:
            undefined.setdefault(value.reason, []).append(name)
    for reason, names in undefined.items():
        note(f"undefined, since {reason}: {', '.join(names)}")
