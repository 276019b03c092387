"""The suite of LaGoVAD across data sets, and MSAD and UBnormal: every published number has its place, none judges."""

import tomllib
from collections import Counter
from importlib.resources import files

import pytest

from vadbench.benchmarks.schema import Benchmark
from vadbench.benchmarks.state import with_trainings
from vadbench.records.published import published_numbers
from vadbench.tables.paper import paper_tables, published_for

TRAINED = {"2-ucfcrime": "ucfcrime", "2-xdviolence": "xdviolence", "2-prevad": None}
TESTED = {"ucfcrime", "xdviolence", "msad", "ubnormal", "dota", "tad", "lad"}


def read(name):
    text = (files("vadbench_benchmarks") / f"{name}.toml").read_text(encoding="utf-8")
    return Benchmark.model_validate(tomllib.loads(text))


def placed(benchmark):
    """The published numbers of all tables, each with the id of its table."""
    return [
        (table.id, number)
        for table in benchmark.tables
        for row in table.rows
        for column in table.columns
        if row.published and (number := published_for(benchmark.source, table.id, row.published, column))
    ]


def test_lagovads_tables_have_its_numbers_by_what_was_trained_on():
    benchmark = read("lagovad")
    expected = [n for n in published_numbers() if n.reported_in == "lagovad2026"]
    assert len(expected) == 35 and Counter(n for _, n in placed(benchmark)) == Counter(expected)
    words = {"2-ucfcrime": "trained on UCF-Crime", "2-xdviolence": "trained on XD-Violence"}
    assert all(n.variant == words.get(table, "trained on PreVAD") for table, n in placed(benchmark))


def test_lagovads_columns_are_the_other_data_sets_with_the_metric_of_each():
    for table in read("lagovad").tables:
        assert {c.train for c in table.columns} == {TRAINED[table.id]}
        assert [c.dataset for c in table.columns] == list(dict.fromkeys(c.dataset for c in table.columns))
        assert {c.dataset for c in table.columns} == TESTED - {TRAINED[table.id]}
        assert all(c.metric == ("AP" if c.dataset == "xdviolence" else "AUC") for c in table.columns)


def test_no_run_trains_on_a_data_set_that_is_for_testing_alone():
    cells = with_trainings(read("lagovad").cells())
    trained = {c.dataset for c in cells if c.training == c and c.method not in ("zero-shot", "random")}
    assert trained == {"ucfcrime", "xdviolence"}


def test_numbers_over_rows_judge_no_run(make_run):
    from vadbench.tables.evaluations import collect

    figures = {metric: {"value": 0.8, "low": 0.0, "high": 1.0} for metric in ("AUC", "AP")}
    for dataset in TESTED - {"ucfcrime"}:
        make_run("vadclip", dataset=dataset, trained_on="ucfcrime", figures=figures)
    benchmark = read("lagovad")
    (table, *_), _ = paper_tables(benchmark, "lagovad", benchmark.tables, collect(make_run.out)[0], make_run.out)
    row = next(row for row in table.rows if row.label == "VadCLIP")
    assert all(cell.published and cell.reproduced.mean == 0.8 for cell in row.cells)
    assert all(cell.verdict == "" and cell.gap is None for cell in row.cells)
    assert "published number: a metric over rows of features, ours over frames; no verdict" in table.notes


def test_every_number_on_msad_and_ubnormal_that_was_trained_there_has_one_place():
    expected = [n for n in published_numbers() if n.dataset in ("msad", "ubnormal") and not n.counted]
    assert Counter(n for _, n in placed(read("more-datasets"))) == Counter(expected)


def test_the_two_test_splits_of_msad_are_two_tables_of_two_divisions():
    benchmark = read("more-datasets")
    tested = {"msad": "weakly-supervised", "msad-one-class": "one-class", "ubnormal": "official"}
    assert all(n.test_protocol == tested[table] for table, n in placed(benchmark))
    partitions = {t.id: t.set.get("protocol.partition") for t in benchmark.tables}
    assert partitions == {"msad": None, "msad-one-class": "one-class", "ubnormal": None}


@pytest.mark.parametrize(
    ("table_id", "rules", "verdict"),
    [("msad", {}, "within the interval"), ("msad-one-class", {"partition": "one-class"}, "below")],
)
def test_a_run_is_judged_by_the_number_on_its_own_test_split(make_run, table_id, rules, verdict):
    """Probe-VAD publishes 94.36 on 240 videos and 87.55 on 360."""
    from vadbench.tables.evaluations import collect

    benchmark = read("more-datasets")
    table = next(t for t in benchmark.tables if t.id == table_id)
    rows = [r.model_copy(update={"method": "probe", "why": ""}) for r in table.rows if r.label == "Probe-VAD"]
    post = {"protocol.post": "gaussian(10)"}
    own = table.model_copy(update={"rows": rows, "set": table.set | post})
    auc = (0.93, 0.92, 0.95) if table_id == "msad" else (0.86, 0.85, 0.87)
    figures = {"AUC": dict(zip(("value", "low", "high"), auc, strict=True))}
    make_run("probe", dataset="msad", figures=figures, rules={"post": "gaussian(10)"} | rules)
    runs, _ = collect(make_run.out)
    (drawn,), _ = paper_tables(benchmark.model_copy(update={"tables": [own]}), "b", [own], runs, make_run.out)
    assert drawn.rows[0].cells[0].verdict == verdict
    # A table of the other split says that there is such a run, and has no figure of it and no blind rows.
    other = own.model_copy(update={"set": post | ({} if rules else {"protocol.partition": "one-class"})})
    (drawn,), _ = paper_tables(benchmark.model_copy(update={"tables": [other]}), "b", [other], runs, make_run.out)
    assert drawn.rows[0].cells[0].verdict.startswith("protocol differs in partition (")
    assert drawn.rows[0].cells[0].reproduced is None and not drawn.blind
