"""The figures of several seeds as they are printed, records of other versions among them."""

import pytest

from vadbench.cli.output import print_results
from vadbench.metrics.definitions import MetricValue
from vadbench.records.record import RunRecord


def record(seed, **metrics):
    return RunRecord(
        status="finished", method="m", method_version="1", dataset="d", trained_on="d", seed=seed, key="k",
        evaluation="e", protocol={}, config={}, changed=[], fingerprint={}, clip={}, data={}, environment={},
        created="2026-01-01", metrics={k: MetricValue(value=v) for k, v in metrics.items()},
    )  # fmt: skip


@pytest.fixture
def printed(capsys):
    """The printed rows by their first cell, and what is said beside them."""

    def call(*records):
        print_results(records)
        found = capsys.readouterr()
        rows = [[c.strip() for c in line.split("  ") if c.strip()] for line in found.out.splitlines()]
        return {row[0]: row[1:] for row in rows if row}, found.err

    return call


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_metric_that_one_seed_lacks_is_a_dash_there_and_has_no_mean(printed, order):
    records = [record(0, AUC=0.5, mAP=0.25), record(1, AUC=0.75, AP=0.5)]
    rows, err = printed(*(records[i] for i in order))
    assert rows["AUC"][2] == "62.50 ± 17.68"
    assert rows["mAP"] == (["25.00", "-", "-"] if order == (0, 1) else ["-", "25.00", "-"])
    assert rows["AP"] == (["-", "50.00", "-"] if order == (0, 1) else ["50.00", "-", "-"])
    (line,) = err.splitlines()
    assert line.startswith("undefined, since not every seed has it: ") and "mAP" in line and "AP" in line


def test_a_branch_and_a_class_of_one_name_both_have_their_row(printed):
    names = {"AUC": 0.5, "AUC[x]": 0.1, "AP[x]": 0.2, "AUC(x)": 0.3, "AP(x)": 0.4, "AnoAUC(x)": 0.6}
    rows, _ = printed(record(0, **names))
    assert (rows["AUC(x)"], rows["AP(x)"], rows["AnoAUC(x)"]) == (["30.00"], ["40.00"], ["60.00"])
    assert rows["x"] == ["10.00", "20.00"]
