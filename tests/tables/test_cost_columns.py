"""Columns of what runs cost: added when asked for, never ranked, with the machine they were measured on."""

import csv
import io

import pytest

from vadbench.records.cost_figures import COST_FIGURES, NO_RATE, UNRECORDED
from vadbench.report.board import leaderboard_page
from vadbench.tables.formats import FORMATS, render
from vadbench.tables.layout import lay_out
from vadbench.tables.table import tables_from_json, to_json

NAMES = [figure.name for figure in COST_FIGURES]


def took(parameters=10, hours=2.0, scoring=4.0, training=3.0, memory=100.0, **compute):
    """Fields of a record with these costs."""
    return {
        "seconds": {"training": training, "scoring": 9.0},
        "peak_memory_mb": {"scoring": memory},
        "compute": {
            "parameters": parameters, "trainable": parameters, "cpu_seconds": {"scoring": scoring},
            "video_hours": hours, "rows_per_second": 1.5, "encoder_gflop": 2.5, **compute,
        },
    }  # fmt: skip


def machine(processor, device="cpu"):
    return {"environment": {"device": device, "processor": processor, "packages": {}, "commit": "abcdef0123"}}


def costs(table, label):
    """The figures of a row's costs by name."""
    row = next(row for row in table.rows if row.label == label)
    places = zip(table.columns, row.cells, strict=True)
    return {column.metric.removeprefix("cost/"): cell.reproduced for column, cell in places if column.cost}


def test_costs_are_means_over_seeds_behind_the_metrics(make_run, boards):
    make_run("a", seed=0, quality=3, **took(scoring=4.0, training=3.0, memory=100.0))
    make_run("a", seed=1, quality=3, **took(scoring=8.0, training=5.0, memory=300.0))
    (plain,), (table,) = boards().tables, boards(costs=True).tables
    assert not any(column.cost for column in plain.columns)
    assert table.columns[: len(plain.columns)] == plain.columns
    assert [row.cells[: len(plain.columns)] for row in table.rows] == [row.cells for row in plain.rows]
    found = costs(table, "a")
    assert list(found) == NAMES
    assert {name: figure.mean for name, figure in found.items()} == {
        "trainable_parameters": 10,
        "parameters": 10,
        "training_seconds": 4,
        "scoring_ms_per_hour": 3000,
        "peak_memory_mib": 200,
        "encoder_gflop_per_row": 2.5,
        "rows_per_second": 1.5,
    }
    assert all(figure.seeds == (0, 1) for figure in found.values())


def test_the_cheapest_is_neither_best_nor_second_nor_tied(make_run, boards):
    make_run("good", quality=4, **took(parameters=1000))
    make_run("bad", quality=0.5, **took(parameters=1))
    (table,) = boards(costs=True).tables
    assert [row.label for row in table.rows] == ["good", "bad"] and table.rows[0].cells[0].reproduced.best
    for label in ("good", "bad"):
        for figure in costs(table, label).values():
            assert (figure.best, figure.second, figure.tied, figure.p, figure.low) == (False, False, False, None, None)


def test_one_machine_is_named_below_and_several_at_the_figures(make_run, boards):
    make_run("a", quality=3, **took(), **machine("one processor"))
    (table,) = boards(costs=True).tables
    below = "costs are facts of the machine and never ranked"
    assert table.notes[-1] == f"{below}: one processor, no GPU"
    assert all(figure.notes == () for figure in costs(table, "a").values())
    make_run("b", quality=2, **took(), **machine("another"))
    make_run("b", quality=2, seed=1, **took(), **machine("another", device="some GPU"))
    (table,) = boards(costs=True).tables
    assert table.notes[-1] == below
    assert costs(table, "a")["scoring_ms_per_hour"].notes == ("cost on one processor, no GPU",)
    assert costs(table, "b")["parameters"].notes == ("cost on another, no GPU and another, some GPU",)


def test_a_training_on_another_machine_is_marked(make_run, boards):
    make_run("a", quality=3, **(took(training_seconds=8.0, training_machine="a GPU") | {"seconds": {}}))
    (table,) = boards(costs=True).tables
    found = costs(table, "a")
    assert found["training_seconds"].mean == 8 and found["training_seconds"].notes == ("trained on a GPU",)
    assert found["parameters"].notes == ()


def test_what_is_not_known_has_its_reason(make_run, boards):
    make_run("old", quality=3)
    make_run("timeless", quality=2, **took(hours=None))
    make_run("mixed", seed=0, quality=1, **took())
    make_run("mixed", seed=1, quality=1)
    (table,) = boards(costs=True).tables
    assert {figure.mean for figure in costs(table, "old").values()} == {None}
    assert costs(table, "old")["parameters"].notes == (UNRECORDED,)
    assert costs(table, "timeless")["scoring_ms_per_hour"].notes == (NO_RATE,)
    assert costs(table, "timeless")["parameters"].mean == 10
    assert costs(table, "mixed")["parameters"].mean is None
    layout = lay_out(table)
    shown = next(line.entries for line in layout.lines if line.entries[1].text == "old")[-1]
    assert shown.text == "unknown" and dict(layout.footnotes)[shown.marks[0]] == UNRECORDED


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_has_them(make_run, boards, format):
    make_run("a", quality=3, **took(parameters=1234567))
    make_run("b", quality=2, **took(parameters=0))
    tables = boards(costs=True).tables
    found = render(tables, format, width=200)
    if format == "json":
        assert tables_from_json(found) == tables == tables_from_json(to_json(tables))
    elif format == "csv":
        every = list(csv.DictReader(io.StringIO(found)))
        lines = [line for line in every if line["metric"].startswith("cost/") and line["row"] in "ab"]
        assert [line["metric"] for line in lines] == [f"cost/{name}" for name in NAMES] * 2
        scoring = next(line for line in lines if line["metric"] == "cost/scoring_ms_per_hour")
        assert (float(scoring["reproduced"]), scoring["unit"], scoring["best"]) == (2000, "ms/h", "0")
    else:
        for text in ("1,234,567", "scoring (ms/h)", "encoder (GFLOP/row)", "never ranked: a machine, no GPU"):
            assert text in found, text


def test_the_page_has_them_to_sort_but_calls_none_better(make_run, boards):
    make_run("a", quality=3, **took())
    page = leaderboard_page(boards(costs=True).tables, [])
    assert '"title":"scoring (ms/h)"' in page.replace('": "', '":"')
