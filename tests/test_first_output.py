"""The output of the demo on the first page: what the command prints, every row of it explained."""

import os
import re
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


def parted(text):
    """A text with a mark for each number, and its numbers; seconds are left out, which no two runs share."""
    text = re.sub(r"\(\d+(\.\d+)? s\)", "", text)
    number = r"(?<![\w/])\d+(?:\.\d+)?(?![\w/])"
    words = " ".join(re.sub(number, "#", re.sub(r"-{2,}", "-", text)).split())
    return words, [float(found) for found in re.findall(number, text)]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_first_output_is_what_the_command_prints(first_output, tmp_path, monkeypatch):
    monkeypatch.setenv("VADBENCH_CACHE", os.fspath(tmp_path / "cache"))
    text, numbers = parted(first_output.first_output(tmp_path))
    shown, written = parted(first_output.shown())
    assert text == shown
    # Another processor rounds differently.
    assert numbers == pytest.approx(written, rel=0.02, abs=0.3)
