"""The arithmetic that steps and scores run in: seen from inside, whatever was set before, and restored after it."""

import os

import pytest
import torch
from torch import nn

from method_inputs import as_videos, labelled
from vadbench.base.errors import PluginError
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.dataset import ClassTable, VideoClass
from vadbench.method import Method, Scores, Task, build_method
from vadbench.scoring.scoring import score_videos
from vadbench.testing.pretend import pretend
from vadbench.training.stages import TrainingLoop

TABLE = ClassTable((VideoClass("Normal"), VideoClass("Fire")), normal=0)
DIM = 4
CPU, GPU = torch.device("cpu"), torch.device("cuda")


def settings():
    """What decides on the numbers of a GPU now, as the newer interface has it."""
    return {
        "products": torch.backends.cuda.matmul.fp32_precision,
        "convolutions": torch.backends.cudnn.conv.fp32_precision,
        "algorithms of cuDNN": torch.backends.cudnn.deterministic,
        "algorithms": torch.are_deterministic_algorithms_enabled(),
    }


class Looks(torch.autograd.Function):
    """Notes the settings on the way forward and on the way back."""

    @staticmethod
    def forward(ctx, x, seen):
        seen["loss"] = settings()
        ctx.seen = seen
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        ctx.seen["backward"] = settings()
        return gradient, None


class Watched(Method):
    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = nn.Linear(task.dim, 1)
        self.seen = {"building": settings()}
        self.fault = None

    def prepare(self, data):
        self.seen["prepare"] = settings()

    def view(self, video, rng):
        return {"x": video.rows[rng.integers(len(video.rows), size=3)].mean(0)}

    def loss(self, batch):
        logits = Looks.apply(self.layer(batch.views["x"])[:, 0], self.seen)
        if self.fault:
            raise self.fault
        return {"bce": nn.functional.binary_cross_entropy_with_logits(logits, batch.labels[:, 1])}

    def score(self, videos):
        self.seen["score"] = settings()
        if self.fault:
            raise self.fault
        return [Scores(torch.sigmoid(self.layer(video.rows)[:, 0])) for video in videos]


def videos():
    rng = torch.Generator().manual_seed(0)
    rows = [torch.randn(20, DIM, generator=rng).numpy() for _ in range(8)]
    return [labelled(x, ["Fire" if i < 4 else "Normal"], TABLE) for i, x in enumerate(rows)]


def made(device, **recipe):
    config = MethodConfig(recipe=Recipe(epochs=1, batch_size=4, **recipe))
    return build_method(Watched, config, Task(TABLE, DIM, device, lambda: None), 0)


def train_and_score(method, folder, precision="fp32"):
    TrainingLoop(0, folder).run(method, videos(), method.config.recipe)
    score_videos(method, [[video] for video in as_videos([torch.ones(5, DIM)])], precision=precision)


@pytest.fixture(params=["nothing", "older", "newer"])
def left(request):
    """What somebody left set in the process."""
    if request.param == "older":
        torch.set_float32_matmul_precision("high")
    elif request.param == "newer":
        torch.backends.cudnn.fp32_precision = "tf32"
        torch.backends.cuda.matmul.fp32_precision = "tf32"
    yield settings()
    torch.backends.cudnn.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.fp32_precision = torch.backends.mkldnn.matmul.fp32_precision = "none"


@pytest.mark.parametrize(
    ("device", "recipe", "expected"),
    [
        (GPU, {}, ("ieee", "ieee", True, True)),
        (GPU, {"precision": "tf32"}, ("tf32", "tf32", True, True)),
        (GPU, {"precision": "bf16"}, ("ieee", "ieee", True, True)),
        (GPU, {"deterministic": False}, ("ieee", "ieee", True, False)),
        (CPU, {}, ("ieee", "ieee", True, False)),
        (CPU, {"precision": "tf32"}, ("ieee", "ieee", True, False)),
    ],
    ids=str,
)
def test_steps_and_scores_run_as_the_recipe_says_whatever_was_set_before(tmp_path, left, device, recipe, expected):
    with pretend():
        method = made(device, **recipe)
        train_and_score(method, tmp_path, recipe.get("precision", "fp32"))
    assert method.seen.keys() == {"building", "loss", "backward", "score"}
    for where in ("loss", "backward", "score"):
        assert tuple(method.seen[where].values()) == expected, where
    assert method.seen["building"]["products"] == "ieee"
    assert settings() == left


@pytest.mark.parametrize("part", ["loss", "score"])
def test_the_settings_are_restored_after_an_error(tmp_path, left, part):
    with pretend():
        method = made(GPU)
        method.fault = ZeroDivisionError()
        with pytest.raises(ZeroDivisionError):
            if part == "loss":
                TrainingLoop(0, tmp_path).run(method, videos(), method.config.recipe)
            else:
                score_videos(method, [[video] for video in as_videos([torch.ones(5, DIM)])])
    assert method.seen[part]["algorithms"] and settings() == left


def test_an_operation_without_a_deterministic_algorithm_is_named_with_its_way_out(tmp_path):
    said = "cumsum_cuda_kernel has no deterministic algorithm on a GPU; .*--set recipe.deterministic=false"
    # As torch words it.
    fault = RuntimeError(
        "cumsum_cuda_kernel does not have a deterministic implementation, but you set"
        " 'torch.use_deterministic_algorithms(True)'. You can turn off determinism just for this operation."
    )
    with pretend():
        method = made(GPU)
        method.fault = fault
        with pytest.raises(PluginError, match=said) as error:
            train_and_score(method, tmp_path)
        assert "\n" not in str(error.value)
        # Where it was not asked for, torch's own words are left alone.
        method = made(GPU, deterministic=False)
        method.fault = fault
        with pytest.raises(RuntimeError, match="does not have a deterministic"):
            train_and_score(method, tmp_path / "again")


def test_cublas_has_its_deterministic_workspace_on_a_gpu_unless_another_is_given(tmp_path, monkeypatch):
    from vadbench.harness.environment import choose_device

    name = "CUBLAS_WORKSPACE_CONFIG"
    monkeypatch.delenv(name, raising=False)
    choose_device("cpu")
    assert name not in os.environ
    with pretend():
        choose_device("auto")
        assert os.environ[name] == ":4096:8"
        monkeypatch.setenv(name, ":16:8")
        choose_device("cuda")
        train_and_score(made(GPU), tmp_path)
    assert os.environ[name] == ":16:8"
