"""The page on kinds of methods: every example on it is a file that runs as it stands, and every kind has one."""

import re
from pathlib import Path

import numpy as np
import pytest

from places import KINDS, PLUGIN, ROOT
from vadbench.plugins.registry import Registry, installed
from vadbench.records.scores import load_split

PAGE = (ROOT / "docs" / "kinds-of-methods.md").read_text(encoding="utf-8")
SHOWN = [ROOT / "docs" / path for path in re.findall(r"^```\{literalinclude\} (\S+)$", PAGE, re.MULTILINE)]
OF_DATASETS = {"testing_only", "three_splits", "two_truths"}


def examples():
    """The name and the file of each method on the page."""
    return [(name, file) for file in SHOWN for name in Registry([], [file]).specs("method")]


EXAMPLES = examples()


def test_every_plugin_of_a_method_is_on_the_page():
    there = {file.stem for file in KINDS.glob("*.py") if not file.stem.startswith("test_")} - OF_DATASETS
    assert {file.stem for file in SHOWN} == there
    assert all(file.resolve().is_relative_to(ROOT) for file in SHOWN)


def rows_of_the_table():
    table = PAGE.partition("## The kinds")[2].partition("\n\n##")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "](#" in line]


def test_every_kind_leads_to_an_example_and_names_methods_that_there_are():
    headings = re.findall(r"^##+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-"): heading for heading in headings}
    rows, sections = rows_of_the_table(), re.split(r"^##+ .*$", PAGE, flags=re.MULTILINE)[1:]
    assert len(rows) >= 16
    for kind, _, example, shipped in rows:
        (anchor,) = re.findall(r"\(#([\w-]+)\)", example)
        assert "{literalinclude}" in sections[headings.index(anchors[anchor])], kind
        assert set(re.findall(r"`([a-z-]+)`", shipped)) <= installed().specs("method").keys() | {"streams"}, kind


@pytest.fixture
def sound(tmp_path):
    """A second stream of the tiny data set: six rows of noise a video."""
    folder = tmp_path / "sound"
    folder.mkdir()
    for name in (*(f"train-{i}" for i in range(8)), *(f"test-{i}" for i in range(6))):
        np.save(folder / f"{name}.npy", np.random.default_rng(0).standard_normal((6, 16), dtype="f4"))
    return folder


@pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
@pytest.mark.parametrize(("name", "file"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_runs_and_is_recorded_as_what_it_says(vadbench, tmp_path, sound, name, file):
    needs = Registry([], [file]).method(name).Config().needs()
    arguments = ["run", "--plugin", PLUGIN, "--plugin", file, "-m", name, "-d", "tiny", "--device", "cpu", "--json"]
    arguments += ["--out", tmp_path / "runs"]
    if needs.streams:
        arguments += ["--clip", "small", "--clip-weights", "random:0"]
    for stream in needs.streams[1:]:
        arguments += ["--features", f"{stream}={sound}"]
    (record,) = vadbench(*arguments).json
    assert record["status"] == "finished" and record["metrics"]["AUC"]["value"] is not None
    said = {key: record[key] for key in ("supervision", "reads", "company", "lookahead", "unit_scores")}
    assert said == {
        "supervision": needs.supervision,
        "reads": needs.reads,
        "company": needs.company,
        "lookahead": needs.lookahead,
        "unit_scores": needs.unit_scores,
    }
    assert set(record["streams"]) == set(needs.streams[1:])
    assert all(len(s.anomaly) and np.isfinite(s.anomaly).all() for s in load_split(Path(record["folder"])).scores)
    assert vadbench(*arguments).json == [record], "it is returned, not repeated"
