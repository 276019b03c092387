"""The figures of several seeds as they are printed, records of other versions among them."""

import click
import pytest

from places import PLUGIN
from vadbench.cli import options
from vadbench.cli.output import print_json, print_results
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


def test_only_json_reaches_standard_output_whatever_libraries_print(capsys):
    @click.command()
    @options.as_json
    def command(as_json):
        print("View run at http://somewhere")
        if as_json:
            print_json({"a": 1})
        print("bye")

    command.main(["--json"], standalone_mode=False)
    assert capsys.readouterr() == ('{\n  "a": 1\n}\n', "View run at http://somewhere\nbye\n")
    command.main([], standalone_mode=False)
    assert capsys.readouterr() == ("View run at http://somewhere\nbye\n", "")


def test_a_command_prints_nothing_but_json(vadbench, tiny_at_hand, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    log = MlflowClient.set_terminated

    def terminated(self, *arguments, **options):
        print("View run at http://somewhere")
        log(self, *arguments, **options)

    monkeypatch.setattr(MlflowClient, "set_terminated", terminated)
    out = ("--plugin", PLUGIN, "--out", tmp_path / "runs")
    found = vadbench("run", "-m", "random", "-d", "tiny", "--device", "cpu", "--json", *out)
    assert [run["method"] for run in found.json] == ["random"]
    assert "View run" in found.err
    assert vadbench("leaderboard", "--dataset", "tiny", "--json", *out).json
