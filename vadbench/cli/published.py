"""``vadbench published``: list published numbers."""

from __future__ import annotations

from dataclasses import asdict

import click

from vadbench.cli import options
from vadbench.cli.output import note, print_json, print_table

WIDEST = 20
"""Maximum width of a column, so that tables fit a terminal."""


@click.command("published", short_help="List published numbers, and how each is known.")
@click.option("--dataset", metavar="NAME", help="Data set, such as ucfcrime.")
@click.option("--metric", metavar="KEY", help="Metric, such as AUC, mAP@IoU or AUC[Abuse].")
@click.option("--method", metavar="NAME", help="Method, such as VadCLIP, or its key, such as vadclip2024.")
@click.option("--source", metavar="KEY", help="Paper or page that states the number, such as anomalyclip2024.")
@click.option("--table", metavar="ID", help="Table of the source, such as 7 or D.16.")
@click.option("--supervision", metavar="KIND", help="What was known in training, such as weak or glance.")
@options.as_json
def command(
    dataset: str | None,
    metric: str | None,
    method: str | None,
    source: str | None,
    table: str | None,
    supervision: str | None,
    as_json: bool,
) -> None:
    """List published numbers: the source of each, and how it is known.

    \b
      vadbench published --dataset ucfcrime --metric AUC
      vadbench published --method VadCLIP --dataset xdviolence
      vadbench published --metric AP/trapezoid
      vadbench published --supervision training-free --dataset xdviolence
      vadbench published --source anomalyclip2024 --table 10
      vadbench published --dataset ucfcrime --metric AUC --json

    Values are in percent, or in milliseconds if the metric says so. An asterisk marks numbers that are not from the
    paper that measured them: quoted or refitted by another paper, computed, recalled, or read in a list. Such numbers
    are shown, but no reproduction is judged by them. Two metrics are published as AP: by the step sum (AP of vadbench)
    and by the trapezoid rule (AP/trapezoid); by an AP of unknown rule nothing is judged either, nor by a number over
    rows of features instead of frames. Post-processing, the selection of weights, what was tested, what was counted and
    a ground truth other than the data set's own have columns where they are known and not all the same. JSON has
    fractions beside the printed text (the unit says which are milliseconds), and notes on the protocol.
    """
    from vadbench.records.published import search

    numbers = search(dataset, metric, method, source, table, supervision)
    if as_json:
        print_json([{**asdict(n), "value": n.value, "unit": n.unit, "first_hand": n.first_hand} for n in numbers])
        return
    if not numbers:
        note("each of these exists among the published numbers, but no number has them all")
        return
    one_dataset, one_metric, one_test = (
        len({getattr(n, name) for n in numbers}) == 1 for name in ("dataset", "metric", "test_protocol")
    )
    shown: dict[str, list[str]] = {
        "method": [n.method for n in numbers],
        "variant": [n.variant for n in numbers],
        "backbone": [n.backbone for n in numbers],
        "supervision": [n.supervision for n in numbers],
        "data set": [] if one_dataset else [n.dataset for n in numbers],
        "metric": [] if one_metric else [n.metric for n in numbers],
        "value": [n.printed for n in numbers],
        "AP rule": [n.ap_rule for n in numbers],
        "post": [n.post for n in numbers],
        "selection": ["" if n.selection == "unknown" else n.selection for n in numbers],
        "tested": [] if one_test else [n.test_protocol for n in numbers],
        "counted": [n.counted for n in numbers],
        "truth": [n.truth for n in numbers],
        "table": [n.table for n in numbers],
        "reported in": [n.reported_in for n in numbers],
        "verified": [n.verified + ("" if n.first_hand else " *") for n in numbers],
    }
    shown = {header: cells for header, cells in shown.items() if any(cells)}
    print_table(list(zip(*shown.values(), strict=True)), list(shown), widest=WIDEST)
    if others := sum(not n.first_hand for n in numbers):
        note(f"* {others} of {len(numbers)} not from the paper that measured it; no reproduction is judged by them")
