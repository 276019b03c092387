"""The output of the demo on the first page, every row of it explained; test_docs.py runs the command."""

from importlib import import_module

import pytest

from places import ROOT
from vadbench.base.metric_keys import MetricKey


@pytest.fixture
def first_output(monkeypatch):
    """The script that writes the page."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return import_module("first_output")


def test_every_row_of_the_first_output_is_explained_below_it(first_output):
    table = first_output.shown().split("\n\n")[1].splitlines()[2:]
    rows = [MetricKey.parse(line.split()[0]).metric for line in table]
    explained = first_output.PAGE.read_text(encoding="utf-8").partition(first_output.MARKS[1])[2]
    assert len(rows) > 10
    assert [name for name in rows if f"**{name}**" not in explained] == []
