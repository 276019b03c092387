"""``vadbench run --dry-run`` of a method that estimates its costs and may stop a run."""

import pytest

from places import KINDS, PLUGIN

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
PLUGINS = ("--plugin", PLUGIN, "--plugin", KINDS / "remarks.py")
CALLS = 6 * 15
"""Of two of a video's 30 rows."""


@pytest.fixture
def run(vadbench, tmp_path):
    def call(method, *more, status=0):
        base = ("run", *PLUGINS, "--device", "cpu", "--out", tmp_path / "runs", "-m", method, "-d", "tiny")
        return vadbench(*base, "--clip", "small", "--clip-weights", "random:0", *more, status=status)

    return call


def test_it_says_what_scoring_would_cost(run):
    found = run("remarks", "--dry-run", "--json", "--seeds", "0-1").json
    assert [r["state"] for r in found["runs"]] == ["to do", "to do"] and found["costs"] == {"calls": CALLS}
    assert "would cost for each seed: calls 90" in run("remarks", "--dry-run", "--seeds", "0-1").out
    (done,) = run("remarks", "--json").json
    assert done["costs"]["calls"]["total"] == CALLS
    found = run("remarks", "--dry-run", "--json").json
    assert found["runs"][0]["state"] == "finished" and found["costs"] == {}


def test_a_stopped_run_says_why(run):
    run("remarks", "--set", "most_calls=40", status=2)
    (found,) = run("remarks", "--set", "most_calls=40", "--dry-run", "--json").json["runs"]
    assert found["state"] == "to evaluate" and "most_calls=40 are used up" in found["reason"]
    said = run("remarks", "--set", "most_calls=40", "--dry-run").out
    assert "seed 0 did not finish before: most_calls=40 are used up" in said and "would cost: calls 90" in said


def test_a_method_without_an_estimate_names_no_cost(run):
    found = run("linear", "--dry-run", "--json").json
    assert (found["runs"][0]["state"], found["runs"][0]["reason"], found["costs"]) == ("to do", "", {})
    assert "cost" not in run("linear", "--dry-run").out
