"""Stages of a training: numbered, resumed wherever they were interrupted, and what is kept between them."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from places import SUPPORT
from staged import DIM, TABLE, WEIGHTS, build, drawing_judge, loop_in, training_videos
from vadbench.base.errors import CheckpointError, PluginError
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.method import Method, Task
from vadbench.training.stages import STAGES, TrainingLoop

DATA = training_videos()
RECIPE = Recipe(epochs=2, batch_size=4)


@pytest.fixture(autouse=True)
def saved_at_every_epoch(monkeypatch):
    monkeypatch.setattr("vadbench.training.stages.SAVE_SECONDS", 0)


class Stopped(BaseException):
    """An interruption."""


def stop_at(method, name, calls):
    """Interrupt the method in one of its own methods, after so many calls."""
    inner, count = getattr(method, name), 0

    def counted(*arguments):
        nonlocal count
        count += 1
        if count > calls:
            raise Stopped
        return inner(*arguments)

    setattr(method, name, counted)


def fitted(folder, *, judge=None, stop=None, **settings):
    method = build("two_stage", "TwoStage", **settings)
    loop = loop_in(folder, judge=judge)
    if stop:
        stop_at(method, *stop)
        with pytest.raises(Stopped):
            method.fit(DATA, loop)
    else:
        method.fit(DATA, loop)
    return method, loop


def lines(folder):
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


def require_same(one, other):
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


# Each stage has 6 epochs of 3 steps, and 12 videos are scored between them.
@pytest.mark.parametrize(
    "stop", [("loss", 7), ("loss", 17), ("score", 0), ("score", 5), ("refine", 0), ("refine", 8), ("refine", 17)]
)
def test_a_training_of_two_stages_resumes_in_each_of_them_to_the_same_bits(tmp_path, stop):
    whole, _ = fitted(tmp_path / "whole", judge=drawing_judge)
    fitted(tmp_path / "stopped", judge=drawing_judge, stop=stop)
    torch.manual_seed(1234)
    again, _ = fitted(tmp_path / "stopped", judge=drawing_judge)
    require_same(whole, again)
    assert lines(tmp_path / "whole") == lines(tmp_path / "stopped")


@pytest.mark.slow
def test_killed_in_each_stage_it_ends_with_the_same_bits(tmp_path):
    def started(side, pause):
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen([sys.executable, SUPPORT / "staged.py", tmp_path / side, pause], env=environment)

    def epochs():
        log = tmp_path / "b" / "training.jsonl"
        return len(log.read_text().splitlines()) if log.is_file() else 0

    assert started("a", "0").wait() == 0
    kept = tmp_path / "b" / STAGES / "once-1.json"
    rng = np.random.default_rng(0)
    reached = []
    for condition in (lambda: epochs() >= 2, kept.is_file, lambda: epochs() >= 8, lambda: epochs() >= 10):
        process = started("b", "0.25")
        while not condition() and process.poll() is None:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        reached.append(epochs())
    assert 2 <= reached[0] < 6 <= reached[1] <= 8 <= reached[2] < reached[3] < 12, reached
    assert started("b", "0").wait() == 0
    one, other = (load_file(tmp_path / side / WEIGHTS) for side in "ab")
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert (tmp_path / "a" / "training.jsonl").read_bytes() == (tmp_path / "b" / "training.jsonl").read_bytes()


def test_the_first_stage_draws_as_a_training_of_one_stage_and_the_second_otherwise(tmp_path):
    seen = {}

    def trained(stage, folder, before=()):
        method, loop = build("two_stage", "TwoStage"), loop_in(folder)
        for name in before:
            loop.run(method, DATA.videos, RECIPE, name)
        rows = seen.setdefault(stage, [])
        inner = method.loss
        loop.run(
            method,
            DATA.videos,
            RECIPE,
            stage,
            loss=lambda batch: rows.append((batch.keys, batch.views["rows"], torch.rand(2))) or inner(batch),
        )

    trained("main", tmp_path / "a")
    trained("named", tmp_path / "b")
    trained("later", tmp_path / "c", ["main"])
    one, named, later = (seen[name] for name in ("main", "named", "later"))
    for (keys, rows, drawn), (other_keys, other_rows, other_drawn) in zip(one, named, strict=True):
        assert keys == other_keys and torch.equal(rows, other_rows) and torch.equal(drawn, other_drawn)
    assert [keys for keys, _, _ in one] != [keys for keys, _, _ in later]
    assert not any(torch.equal(a[2], b[2]) for a, b in zip(one, later, strict=True))


def test_only_stages_that_select_are_looked_at(tmp_path):
    judged = []
    _, loop = fitted(tmp_path, judge=lambda method: judged.append(bool(method.refined)) or float(len(judged)))
    assert judged == [True] * 6
    assert loop.selects
    assert ["looks" in line for line in lines(tmp_path)] == [False] * 6 + [True] * 6


def test_a_fit_without_a_selecting_stage_is_known_by_it(tmp_path):
    loop, method = loop_in(tmp_path, judge=drawing_judge), build("two_stage", "TwoStage")
    loop.run(method, DATA.videos, RECIPE, select=False)
    assert not loop.selects and "looks" not in lines(tmp_path)[0]


def test_the_log_names_the_stages_but_that_of_a_training_of_one(tmp_path):
    fitted(tmp_path / "two")
    found = lines(tmp_path / "two")
    assert [(line["stage"], line["epoch"]) for line in found] == [(s, e) for s in ("mil", "refine") for e in range(6)]
    assert found[0]["learning_rate"] == 0.02 and set(found[0]["loss"]) == {"mil", "total"}
    loop_in(tmp_path / "one").run(build("two_stage", "TwoStage"), DATA.videos, RECIPE)
    (line, _) = (tmp_path / "one" / "training.jsonl").read_text().splitlines()
    assert line.startswith('{"epoch": 0, "learning_rate": 0.0001, "steps": 3, "loss": {"mil": ')
    assert list(json.loads(line)) == ["epoch", "learning_rate", "steps", "loss"]


def test_a_finished_stage_is_loaded_and_not_trained_again(tmp_path):
    first, _ = fitted(tmp_path)
    again = build("two_stage", "TwoStage", seed=77)
    again.loss = lambda batch: pytest.fail("trained again")
    loop_in(tmp_path).run(again, DATA.videos, again.config.recipe, "mil")
    state = load_file(tmp_path / STAGES / "1.safetensors")
    assert torch.equal(again.first.weight, state["method.first.weight"])
    assert torch.equal(again.first.weight, first.first.weight)
    assert not again.training


def test_a_stage_of_another_name_in_its_place_is_refused(tmp_path):
    fitted(tmp_path, stop=("loss", 7))
    with pytest.raises(
        CheckpointError, match=r"is of the stage 'mil', now .* runs 'warm' in its place; delete .*stages"
    ):
        loop_in(tmp_path).run(build("two_stage", "TwoStage"), DATA.videos, RECIPE, "warm")


def test_a_damaged_state_is_refused(tmp_path):
    (tmp_path / STAGES).mkdir()
    (tmp_path / STAGES / "1.safetensors").write_bytes(b"not a state")
    with pytest.raises(CheckpointError, match=r"cannot read .*1.safetensors.*delete it and run again"):
        loop_in(tmp_path).run(build("two_stage", "TwoStage"), DATA.videos, RECIPE)


def test_the_state_is_written_now_and_then_and_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("vadbench.training.stages.SAVE_SECONDS", 15)
    clock = [100.0]
    monkeypatch.setattr("vadbench.training.stages.time.monotonic", lambda: clock[0])
    path, written = tmp_path / STAGES / "1.safetensors", []

    def judge(method):
        clock[0] += 6
        written.append(path.stat().st_mtime_ns if path.is_file() else None)
        return 0.0

    method = build("two_stage", "TwoStage")
    loop_in(tmp_path, judge=judge).run(method, DATA.videos, RECIPE.model_copy(update={"epochs": 7}))
    # After 18 and 36 seconds: at the ends of epochs 2 and 5, which are seen in the ones after them.
    assert [w is None for w in written] == [True] * 3 + [False] * 4
    assert len(set(written[3:6])) == 1 and written[6] != written[5]
    state = load_file(path)
    assert not any(name.startswith("optimiser") for name in state)
    assert torch.equal(state["method.first.weight"], method.first.weight)


class Bank(Method):
    """A memory bank: as many rows as the normal videos have, and a parameter that is trained."""

    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = nn.Linear(task.dim, 1)
        self.register_buffer("bank", torch.empty(0, task.dim))

    def resize(self, shapes):
        self.bank = self.bank.new_empty(shapes["bank"])

    def view(self, video, rng):
        return {"rows": video.rows[:4]}

    def loss(self, batch):
        if len(self.bank) == 0:
            self.bank = batch.views["rows"].flatten(0, 1)
        return {"loss": self.layer(batch.views["rows"]).pow(2).mean()}


def bank(seed):
    torch.manual_seed(seed)
    return Bank(MethodConfig(recipe=RECIPE), Task(TABLE, DIM, torch.device("cpu"), lambda: None))


@pytest.mark.parametrize("calls", [3, 4, None])
def test_buffers_get_their_stored_size_before_a_state_is_loaded(tmp_path, calls):
    """After an interruption in the second epoch, and after the end."""
    whole = bank(0)
    loop_in(tmp_path / "whole", judge=drawing_judge).run(whole, DATA.videos, RECIPE)
    if calls:
        stopped = bank(0)
        stop_at(stopped, "loss", calls)
        with pytest.raises(Stopped):
            loop_in(tmp_path / "other", judge=drawing_judge).run(stopped, DATA.videos, RECIPE)
    again = bank(9)
    folder = tmp_path / ("other" if calls else "whole")
    loop_in(folder, judge=drawing_judge).run(again, DATA.videos, RECIPE)
    assert len(again.bank) == 16
    require_same(whole, again)


def test_what_is_kept_is_read_back_and_not_made_again(tmp_path):
    arrays = {name: np.arange(i, 3 * i, dtype=np.int32).reshape(-1, 2) for i, name in enumerate(["a/b", "../x", "é"])}
    loop = loop_in(tmp_path)
    found = loop.once("labels", lambda: arrays)
    again = loop_in(tmp_path).once("labels", lambda: pytest.fail("made again"))
    for kept in (found, again):
        assert list(kept) == list(arrays) and len(kept) == 3 and "b" not in kept
        for name, array in arrays.items():
            assert kept[name].dtype == np.int32
            np.testing.assert_array_equal(kept[name], array)
        with pytest.raises(ValueError, match="read-only"):
            kept["é"][0] = 1
    assert sorted(p.name for p in (tmp_path / STAGES).iterdir()) == ["once-1.bin", "once-1.json"]
    with pytest.raises(CheckpointError, match=r"is of 'labels', now the method's fit.* keeps 'other' in its place"):
        loop_in(tmp_path).once("other", dict)


def test_nothing_may_be_kept(tmp_path):
    assert dict(loop_in(tmp_path).once("none", dict)) == {}
    assert dict(loop_in(tmp_path).once("none", lambda: pytest.fail("made again"))) == {}


@pytest.mark.parametrize("second", [np.zeros(3), np.zeros((3, 3), np.float32), np.float32(1), np.array([None])])
def test_arrays_of_different_forms_are_refused(tmp_path, second):
    first = second if second.dtype == object else np.zeros((2, 2), np.float32)
    with pytest.raises(PluginError, match="must be arrays of one dtype and, but for the first axis, of one shape"):
        loop_in(tmp_path).once("labels", lambda: {"a": first, "b": second})
    assert not (tmp_path / STAGES / "once-1.json").exists()


def test_an_interruption_while_something_is_made_leaves_nothing_of_it(tmp_path):
    class Half(dict):
        def items(self):
            yield "a", np.zeros(3)
            raise Stopped

    with pytest.raises(Stopped):
        loop_in(tmp_path).once("labels", lambda: Half(a=0))
    assert not list((tmp_path / STAGES).iterdir())


def test_draws_of_a_fit_between_stages_are_the_same_after_an_interruption(tmp_path):
    def drawn(folder):
        loop, out = loop_in(folder), []
        method = build("two_stage", "TwoStage")
        loop.run(method, DATA.videos, RECIPE, "first")
        out.append(torch.rand(2))
        made = loop.once("made", lambda: {"x": torch.rand(2).numpy()})["x"]
        out += [torch.from_numpy(made.copy()), torch.rand(2)]
        return torch.cat(out)

    first = drawn(tmp_path)
    torch.manual_seed(99)
    assert torch.equal(first, drawn(tmp_path))
    assert len(set(first.tolist())) == 6


def test_scores_are_made_when_they_are_asked_for_and_draw_from_their_own(tmp_path):
    class Noisy(Bank):
        def score(self, videos):
            from vadbench.method import Scores

            assert not self.training
            return [Scores(torch.rand(v.row_count), torch.ones(v.row_count, 2) / 2) for v in videos]

    torch.manual_seed(0)
    method = Noisy(MethodConfig(recipe=RECIPE), Task(TABLE, DIM, torch.device("cpu"), lambda: None)).train()
    loop, videos = loop_in(tmp_path), DATA.videos
    torch.manual_seed(3)
    found = loop.score(method, videos)
    some = [found["v/7"], found["v/2"]]
    assert torch.equal(torch.rand(4), torch.rand(4, generator=torch.Generator().manual_seed(3)))
    assert method.training
    other = loop.score(method, videos[::-1])
    np.testing.assert_array_equal(other["v/2"], some[1])
    assert not np.array_equal(some[0][:5], some[1][:5])
    assert list(found) == [f"v/{i}" for i in range(12)] and len(some[0]) == 31
    assert loop.score(method, videos, classes=True)["v/0"].shape == (10, 3)
    loop.run(method, videos, RECIPE)
    with pytest.raises(PluginError, match=r"was trained further before the scores .* were read; keep them"):
        found["v/1"]
    assert loop.score(method, videos)["v/1"].shape == (13,)


def test_class_probabilities_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(PluginError, match="gives no class probabilities"):
        loop_in(tmp_path).score(build("two_stage", "TwoStage"), DATA.videos, classes=True)["v/0"]


def test_a_loop_is_what_methods_are_promised(tmp_path):
    from inspect import signature

    from vadbench.method import Loop

    for name in ("run", "once", "score"):
        promised, given = (list(signature(getattr(kind, name)).parameters) for kind in (Loop, TrainingLoop))
        assert promised == given
