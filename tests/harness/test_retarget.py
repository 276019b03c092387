"""Classes at test that differ from those of the training: a method that can is asked for them."""

import numpy as np
import pytest
import torch

from method_inputs import as_videos
from vadbench.clip import load_clip
from vadbench.dataset import ClassTable, VideoClass
from vadbench.method import Task, build_method
from vadbench.plugins.registry import installed

TRAINED = ClassTable((VideoClass("Normal"), VideoClass("Fighting"), VideoClass("Fire")), normal=0)
OTHER = ClassTable((VideoClass("Burglary"), VideoClass("Fire"), VideoClass("Normal"), VideoClass("Riot")), normal=2)


@pytest.fixture(scope="module")
def clip():
    return load_clip()


def built(clip, name, table, seed=0):
    kind = installed().method(name)
    settings = {
        "descriptions-video": {"prompt": {"position": "middle"}},
        "prompt-contrast": {"descriptions": "general"},
    }
    config = kind.Config.model_validate(settings.get(name, {}))
    assert config.open_vocabulary
    return build_method(kind, config, Task(table, clip.dim, torch.device("cpu"), lambda: clip.text), seed).eval()


@pytest.mark.parametrize("name", ["zero-shot", "descriptions-frame", "descriptions-video", "prompt-contrast"])
def test_a_method_of_an_open_vocabulary_scores_the_other_classes_with_its_trained_state(clip, name):
    method = built(clip, name, TRAINED)
    # As if it had learnt something.
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    other = method.retarget(OTHER)
    assert other.task.classes == OTHER and other.task.text is method.task.text and not other.training
    for key, value in method.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key
    literal = built(clip, name, OTHER, seed=3)
    literal.load_state_dict(method.state_dict())
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((20, clip.dim), np.float32))
    with torch.inference_mode():
        found, expected = other.score(as_videos([rows]))[0], literal.score(as_videos([rows]))[0]
    assert torch.equal(found.anomaly, expected.anomaly)
    assert (found.classes is None) == (expected.classes is None)
    if found.classes is not None:
        assert found.classes.shape == (20, len(OTHER)) and torch.equal(found.classes, expected.classes)
