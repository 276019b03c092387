"""A training step asks no more of a GPU than it did: kernels, waits and copies that are not pinned, line by line.

``python tests/support/step_counts.py --update`` lowers budget.json to what is counted now.
"""

import json

import pytest
from vadbench_baselines.linear import ClipLinear

from step_counts import BUDGET, METHODS, small_step, write_budget

LOWER = "python tests/support/step_counts.py --update"
ALLOWED = json.loads(BUDGET.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def counted(small_clip):
    found = {}

    def of(name):
        if name not in found:
            found[name] = small_step(name, small_clip)
        return found[name]

    return of


def test_every_trained_method_has_a_budget():
    assert sorted(ALLOWED) == METHODS


@pytest.mark.parametrize("name", METHODS)
def test_a_step_launches_no_more_kernels(name, counted):
    found, most = counted(name).kernels, ALLOWED[name]["kernels"]
    assert found <= most, f"{found} kernels a step, {most} before"


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("what", ["waits", "pageable"])
def test_a_step_waits_and_copies_in_the_listed_lines_alone(name, what, counted):
    found, listed = counted(name).allowed[what], ALLOWED[name][what]
    more = {line: n for line, n in found.items() if n > listed.get(line, 0)}
    assert not more, f"{name}: {what} that budget.json does not list: {more}"
    gone = {line: n for line, n in listed.items() if n > found.get(line, 0)}
    assert not gone, f"{name}: less than before, well done; {LOWER}: {gone}"


def test_every_batch_is_pinned(counted):
    for name in METHODS:
        assert counted(name).pinned_bytes > 0, name
        lines = [line for line in counted(name).pageable if line.startswith("vadbench/training/")]
        assert lines == [], name


def test_the_counts_are_the_same_again(counted, small_clip):
    assert small_step("mil", small_clip).allowed == counted("mil").allowed


def test_a_wait_in_a_loss_is_counted_with_its_line(small_clip, counted, monkeypatch):
    real = ClipLinear.loss

    def loss(self, batch):
        terms = real(self, batch)
        assert sum(terms.values()).item() > 0
        return terms

    monkeypatch.setattr(ClipLinear, "loss", loss)
    found = small_step("clip-linear", small_clip).waits - counted("clip-linear").waits
    # The line of the program that called the test's own.
    assert found.total() == 1 and next(iter(found)).startswith("vadbench/training/loop.py: terms = ")


def test_the_budget_is_lowered_and_never_raised_unless_that_is_asked_for(tmp_path, monkeypatch, counted):
    path = tmp_path / "budget.json"
    step = counted("mil")
    before = {"kernels": step.kernels - 1, "waits": {}, "pageable": {"gone": 3}}
    path.write_text(json.dumps({"mil": before}))
    monkeypatch.setattr("step_counts.BUDGET", path)
    write_budget({"mil": step}, more=False)
    assert json.loads(path.read_text()) == {"mil": {"kernels": step.kernels - 1, "waits": {}, "pageable": {}}}
    write_budget({"mil": step}, more=True)
    assert json.loads(path.read_text()) == {"mil": step.allowed}
