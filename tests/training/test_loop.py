import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from method_inputs import labelled
from places import SUPPORT
from vadbench.base.errors import ConfigError, TrainingError
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.dataset import ClassTable, VideoClass
from vadbench.method import Method, Task
from vadbench.testing.pretend import pretend
from vadbench.training.loop import StageTraining
from vadbench.training.prefetching import BatchLoader
from vadbench.training.stage_state import StageState, read_state
from vadbench.training.stages import STAGES, TrainingLoop
from vadbench.training.views import BatchPlan

TABLE = ClassTable((VideoClass("Fire"), VideoClass("Normal"), VideoClass("Fall")), normal=1)


class Linear(Method):
    """Mean of a few random rows, one linear layer with dropout: everything random comes from the harness."""

    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = nn.Linear(task.dim, 1)
        self.calls = 0
        self.stop_after = None
        self.dropout = 0.3

    def view(self, video, rng):
        features = video.rows
        return {"x": features[rng.integers(len(features), size=3)].mean(0)}

    def loss(self, batch):
        self.calls += 1
        if self.stop_after is not None and self.calls > self.stop_after:
            raise KeyboardInterrupt
        x = nn.functional.dropout(batch.views["x"], self.dropout)
        target = 1 - batch.labels[:, 1]
        return {"bce": nn.functional.binary_cross_entropy_with_logits(self.layer(x)[:, 0], target)}


def make(recipe, seed=0):
    torch.manual_seed(seed)
    task = Task(TABLE, 4, torch.device("cpu"), lambda: pytest.fail("no text needed"))
    return Linear(MethodConfig(recipe=recipe), task)


def samples(abnormal=6, normal=9):
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(20, 4)).astype(np.float32) + (i < abnormal) for i in range(abnormal + normal)]
    carried = [("Fire", "Fall")[: 1 + i % 2] if i < abnormal else ("Normal",) for i in range(abnormal + normal)]
    return [labelled(x, c, TABLE) for x, c in zip(rows, carried, strict=True)]


@pytest.fixture(autouse=True)
def saved_at_every_epoch(monkeypatch):
    monkeypatch.setattr("vadbench.training.stages.SAVE_SECONDS", 0)


RECIPE = Recipe(epochs=4, batch_size=4, learning_rate=0.01)


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path):
    whole = make(RECIPE)
    TrainingLoop(3, tmp_path / "whole").run(whole, samples(), RECIPE)
    stopped = make(RECIPE)
    stopped.stop_after = 10
    with pytest.raises(KeyboardInterrupt):
        TrainingLoop(3, tmp_path / "stopped").run(stopped, samples(), RECIPE)
    assert (tmp_path / "stopped" / STAGES / "1.safetensors").is_file()
    again = make(RECIPE, seed=99)
    TrainingLoop(3, tmp_path / "stopped").run(again, samples(), RECIPE)
    assert again.calls < whole.calls
    assert torch.equal(whole.layer.weight, again.layer.weight)
    logs = [(tmp_path / n / "training.jsonl").read_text() for n in ("whole", "stopped")]
    assert logs[0] == logs[1]
    assert [json.loads(line)["epoch"] for line in logs[0].splitlines()] == [0, 1, 2, 3]


def test_the_seed_decides_the_result(tmp_path):
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        method = make(RECIPE)
        TrainingLoop(seed, tmp_path / name).run(method, samples(), RECIPE)
        weights.append(method.layer.weight.detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_too_few_videos_say_which_batch_size_fits(tmp_path):
    with pytest.raises(ConfigError, match=r"found 1 and 9; set recipe.batch_size=2"):
        TrainingLoop(0, tmp_path).run(make(RECIPE), samples(1, 9), RECIPE)


def test_a_loss_that_is_not_finite_is_named(tmp_path):
    carried = [("Fire",)] * 6 + [("Normal",)] * 9
    bad = [labelled(np.full((20, 4), np.nan, np.float32), names, TABLE) for names in carried]
    with pytest.raises(TrainingError, match=r"loss term bce is not finite at epoch 0"):
        TrainingLoop(0, tmp_path).run(make(RECIPE), bad, RECIPE)


def test_bf16_trains_and_differs_from_fp32(tmp_path):
    weights = []
    for precision in ("fp32", "bf16"):
        recipe = RECIPE.model_copy(update={"precision": precision})
        method = make(recipe)
        TrainingLoop(0, tmp_path / precision).run(method, samples(), recipe)
        weights.append(method.layer.weight.detach())
    assert not torch.equal(*weights)
    assert torch.allclose(*weights, atol=0.05)


def train_two_epochs(compiled, folder):
    recipe = RECIPE.model_copy(update={"compile": compiled, "epochs": 2})
    method = make(recipe)
    method.dropout = 0.0  # compiled code draws from a generator of its own
    TrainingLoop(0, folder).run(method, samples(), recipe)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_training_goes_the_same_way(tmp_path):
    # In a process of its own: what compiling leaves behind goes on growing, and a check of memory would see it.
    code = "import pathlib, sys, test_loop; test_loop.train_two_epochs(True, pathlib.Path(sys.argv[1]))"
    found = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])}
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "compiled"], cwd=Path(__file__).parent, env=found, check=True
    )
    train_two_epochs(False, tmp_path / "plain")
    compiled, plain = (
        [json.loads(line)["loss"]["bce"] for line in (tmp_path / side / "training.jsonl").read_text().splitlines()]
        for side in ("compiled", "plain")
    )
    assert compiled == pytest.approx(plain, rel=1e-5)
    assert compiled[1] < compiled[0]


def test_backward_runs_at_the_precision_of_forward(tmp_path):
    seen = []

    class Looks(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            seen.append(torch.backends.cudnn.allow_tf32)
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            seen.append(torch.backends.cudnn.allow_tf32)
            return gradient

    method = make(RECIPE)
    method.layer.register_forward_hook(lambda module, inputs, output: Looks.apply(output))
    TrainingLoop(0, tmp_path).run(method, samples(), RECIPE.model_copy(update={"epochs": 1}))
    assert seen and not any(seen)


class Judge:
    """Gives prepared values, and remembers what the weights were."""

    def __init__(self, *values):
        self.values, self.seen = list(values), []

    def __call__(self, method):
        method.eval()
        self.seen.append(method.layer.weight.detach().clone())
        return self.values[len(self.seen) - 1]


def test_a_judge_ends_the_training_with_the_weights_it_liked_best(tmp_path):
    judge = Judge(0.1, 0.7, 0.7, 0.3)
    method = make(RECIPE)
    TrainingLoop(0, tmp_path, judge=judge).run(method, samples(), RECIPE)
    assert len(judge.seen) == 4
    assert torch.equal(method.layer.weight, judge.seen[1])
    assert not torch.equal(judge.seen[1], judge.seen[2])


def test_looks_come_every_so_many_steps_of_an_epoch(tmp_path):
    # VadCLIP on UCF-Crime: 125 steps of 128 rows, a look every 10 steps but the first, 12 an epoch (spec, section 4).
    recipe = RECIPE.model_copy(update={"sampler": "paired", "look_every": 10, "epochs": 2, "batch_size": 2})
    judge = Judge(*range(24))
    TrainingLoop(0, tmp_path, judge=judge).run(make(recipe), samples(125, 125), recipe)
    assert len(judge.seen) == 24


def test_rollback_begins_each_epoch_from_the_best_weights(tmp_path):
    recipe = RECIPE.model_copy(update={"rollback": True, "epochs": 3, "learning_rate": 0.1})
    judge = Judge(0.5, 0.2, 0.1)
    method = make(recipe)
    first_of_epoch = []
    loss = method.loss
    method.loss = lambda batch: first_of_epoch.append(method.layer.weight.detach().clone()) or loss(batch)
    TrainingLoop(0, tmp_path, judge=judge).run(method, samples(), recipe)
    steps = len(first_of_epoch) // 3
    assert torch.equal(first_of_epoch[steps], judge.seen[0])
    assert torch.equal(first_of_epoch[2 * steps], judge.seen[0])
    assert torch.equal(method.layer.weight, judge.seen[0])


def test_an_interrupted_selection_ends_with_the_same_weights(tmp_path):
    recipe = RECIPE.model_copy(update={"rollback": True})

    def judge(method):
        return float(method.layer.weight.detach().sum())

    whole, stopped, again = make(recipe), make(recipe), make(recipe, seed=99)
    TrainingLoop(3, tmp_path / "whole", judge=judge).run(whole, samples(), recipe)
    stopped.stop_after = 10
    with pytest.raises(KeyboardInterrupt):
        TrainingLoop(3, tmp_path / "stopped", judge=judge).run(stopped, samples(), recipe)
    TrainingLoop(3, tmp_path / "stopped", judge=judge).run(again, samples(), recipe)
    assert again.calls < whole.calls
    assert torch.equal(whole.layer.weight, again.layer.weight)


class Breaking(Linear):
    """A loss that is not finite in the third step of the second epoch; what came of each step is noted."""

    def __init__(self, config, task):
        super().__init__(config, task)
        self.seen = []

    def loss(self, batch):
        self.seen.append("loss")
        terms = super().loss(batch)
        return {"bce": terms["bce"], "other": terms["bce"] * (torch.nan if self.calls == self.steps + 3 else 1)}

    def stepped(self, step):
        self.seen.append("stepped")


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_a_step_from_a_loss_that_is_not_finite_is_the_last_and_stored_nowhere(tmp_path, kind):
    with pretend():
        torch.manual_seed(0)
        task = Task(TABLE, 4, torch.device(kind), lambda: pytest.fail("no text needed"))
        method = Breaking(MethodConfig(recipe=RECIPE), task).to(kind)
        method.steps = 9 // 2
        with pytest.raises(TrainingError, match="loss term other is not finite at epoch 1, step 2; lower"):
            TrainingLoop(0, tmp_path).run(method, samples(), RECIPE)
    # The GPU is given the whole step before its losses are read, the next step is not begun.
    assert method.seen == ["loss", "stepped"] * 6 + ["loss"] + ["stepped"] * (kind == "cuda")
    state = read_state(tmp_path / STAGES / "1.safetensors", "main")
    assert len(state.lines) == 1 and not state.finished
    assert all(t.isfinite().all() for t in [*state.tensors.values(), *state.optimisers.values()])


def test_losses_are_read_when_the_gpu_has_the_whole_step(monkeypatch):
    order = []
    with pretend():
        method = Linear(MethodConfig(recipe=RECIPE), Task(TABLE, 4, torch.device("cuda"), lambda: None)).to("cuda")
        training = StageTraining(method, BatchPlan(samples(), 1, RECIPE, 0), method.loss, StageState("main"), None)
        step = training.optimisers.step
        monkeypatch.setattr(training.optimisers, "step", lambda: order.append("optimiser") or step())
        monkeypatch.setattr(torch.cuda.Event, "synchronize", lambda event: order.append("wait"))
        with BatchLoader(method, training.plan) as loader:
            training._epoch(loader, 0)
    assert order == ["optimiser", "wait"] * 4
