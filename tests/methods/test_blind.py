"""The methods that look at no frame say what the core's functions say."""

import numpy as np
import pytest
import torch

from vadbench.clip import Clip
from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.inputs import VideoInput
from vadbench.method import Task, build_method
from vadbench.metrics.blind import BLIND
from vadbench.plugins.registry import installed

CLASSES = ClassTable((VideoClass("Normal"), VideoClass("Odd")), 0)


def method(name):
    kind = installed().method(name)
    return build_method(kind, kind.Config(), Task(CLASSES, {}, torch.device("cpu"), Clip), 0)


def scores(name, frames=11, stride=1, truth=None):
    rows = -(-frames // stride)
    video = VideoInput(name="a", row_count=rows, stride=stride, frame_count=frames, truth=truth)
    (found,) = method(name).score([video])
    assert found.anomaly.dtype == torch.float32 and found.classes is None
    return found.anomaly.numpy()


def gauss(frames):
    return [np.exp(-((((t - (frames - 1) / 2) / (frames / 2)) ** 2) / 2)) for t in range(frames)]


@pytest.mark.parametrize("frames", [1, 2, 11])
@pytest.mark.parametrize("abnormal", [False, True])
def test_every_row_has_the_score_of_its_frame(frames, abnormal):
    truth = Video("a", ("Odd",), segments=(Segment("Odd", 0, 1),) if abnormal else ())
    expected = {
        "blind-length": [-frames] * frames,
        "blind-centre": gauss(frames),
        "blind-oracle-label": [float(abnormal)] * frames,
        "blind-oracle-centre": [abnormal * value for value in gauss(frames)],
    }
    assert expected.keys() == BLIND.keys()
    for name, values in expected.items():
        assert scores(name, frames, truth=truth) == pytest.approx(values, abs=1e-7)
        assert scores(name, frames, 4, truth) == pytest.approx(values[::4], abs=1e-7)


@pytest.mark.parametrize("name", BLIND)
def test_it_says_of_itself_what_it_is(name):
    config = method(name).config
    needs = config.needs()
    assert config.rows.stride == 1 and not config.trains and needs.reads == "none"
    assert needs.supervision == ("oracle" if "oracle" in name else "training-free")
    assert needs.unit_scores == (name != "blind-length")
    assert list(config.named_classes()) == []
    assert method(name).reach.whole, "a part of the video has another length and another middle"
