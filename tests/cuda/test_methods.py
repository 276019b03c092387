"""Every installed method under all its settings on a GPU, through what a run calls: the CPU's weights and scores."""

import numpy as np
import pytest
import torch

from method_settings import variants
from vadbench.harness.training import score_alone
from vadbench.plugins.registry import installed
from vadbench.testing.device_check import TOLERANCE, compared, weights_apart
from vadbench.testing.fitting import late_stops, resumed
from vadbench.testing.parameters import differences
from vadbench.testing.tested_method import everything
from vadbench.training.stages import TrainingLoop

NAMES = sorted(installed().specs("method"))
TRAINED = [name for name in NAMES if installed().method_config(name)().trains]
GPU = torch.device("cuda")


def cases():
    for name in NAMES:
        for changed, config in variants(name).items():
            marks = [] if changed == "defaults" else [pytest.mark.slow]
            yield pytest.param(name, config, id=f"{name}-{changed}", marks=marks)


@pytest.mark.parametrize(("name", "config"), list(cases()))
def test_a_method_is_trained_resumed_and_scored_as_on_the_cpu(name, config, subject, some_gpu):
    assert "the CPU's values within" in compared(subject(name, config), some_gpu)


def test_settings_are_taken_from_the_plugins_themselves():
    found = variants("anomalyclip")
    assert len(found) > 25
    assert {'temporal="mlp"', "separate_masks=true"} <= found.keys()
    assert any("text_encoder" in changed and "directions" in changed for changed in found), "of no benchmark"


@pytest.mark.parametrize("name", TRAINED)
def test_what_is_resumed_on_a_gpu_ends_with_the_same_bits(name, subject, gpu):
    own = subject(name)
    whole = own.rehearse(0, own.build(0, device=GPU), epochs=2)
    again = resumed(own, lambda: own.build(0, device=GPU), late_stops(whole), 2)
    assert differences(whole.method.state_dict(), again.state_dict()) == []


@pytest.mark.parametrize("name", TRAINED)
def test_weights_are_judged_and_rolled_back_as_on_the_cpu(name, subject, some_gpu, tmp_path):
    """Under a selection rule, every epoch begins with the best weights so far."""
    own = subject(name)
    recipe = own.recipe.model_copy(
        update={"epochs": 2, "steps": 0, "epoch_steps": min(2, own.recipe.epoch_steps), "look_every": 1}
        | {"look_count": "run", "look_from": 0, "rollback": True}
    )
    video, looks = own.videos((17,))[0], {}

    def fitted(device):
        def judge(method):
            value = float(score_alone(method, video, "fp32")[0].mean())
            looks.setdefault(str(device), []).append(value)
            return value

        method = own.build(0, device=device)
        method.prepare(own.data)
        TrainingLoop(0, tmp_path / device.type, judge=judge).run(method, own.data.videos, recipe)
        return {name: value.cpu() for name, value in method.state_dict().items()}

    expected = fitted(torch.device("cpu"))
    with some_gpu():
        found = fitted(GPU)
    assert len(looks["cuda"]) == len(looks["cpu"]) > 1
    np.testing.assert_allclose(looks["cuda"], looks["cpu"], atol=TOLERANCE)
    assert weights_apart(found, expected)[0] <= TOLERANCE


def test_features_in_float16_are_as_good(subject, some_gpu):
    """Rows of a file are float16; a batch is float32 wherever it is."""
    own = subject("vadclip")
    (video,) = own.videos((40,))
    with some_gpu():
        method = own.build(0, device=GPU).eval()
        whole, half = (everything(own.score(method, [own_video])[0]) for own_video in (video, halved(video)))
        gaps = {name: float((whole[name] - half[name]).abs().max().cpu()) for name in whole}
    assert max(gaps.values()) < 1e-2


def halved(video):
    line = next(iter(video.streams.values()))
    return video.with_line(type(line)(lambda: line.read().astype(np.float16), line.count, line.spacing))
