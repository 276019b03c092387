"""Motion energy against a literal computation on decoded frames."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from vadbench_baselines.config import MotionConfig
from vadbench_baselines.motion import MotionEnergy

from vadbench.clip import Clip
from vadbench.data.media import read_frames
from vadbench.data.timed_frames import FrameDecoder, VideoExtent
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import VideoInput
from vadbench.method import Task, build_method
from watch_media import encode, noise, numbered

CLASSES = ClassTable((VideoClass("Normal"), VideoClass("Odd")), 0)


def method(**settings):
    config = MotionConfig.model_validate(settings)
    return build_method(MotionEnergy, config, Task(CLASSES, {}, torch.device("cpu"), Clip), 0)


def scores(path, count, stride, **settings):
    decode = FrameDecoder(path, VideoExtent(count, None))
    rows = -(-count // stride)
    video = VideoInput(name="a", row_count=rows, stride=stride, frame_count=count, decode=decode)
    (found,) = method(rows={"stride": stride}, **settings).score([video])
    return found.anomaly.numpy()


def energies(path, stride, factor=1):
    """Mean absolute difference of grey frames, 0 to 255, each the mean of square blocks; BT.601 weights as in PIL."""
    grey = [np.round(f.astype(np.float64) @ [0.299, 0.587, 0.114]) for f in read_frames(path)]
    h, w = grey[0].shape
    small = [g.reshape(h // factor, factor, w // factor, factor).mean((1, 3)) for g in grey]
    changes = [np.abs(b - a).mean() for a, b in pairwise(small)]
    rows = -(-len(grey) // stride)
    own = [[changes[t - 1] for t in range(r * stride, min((r + 1) * stride, len(grey))) if t] for r in range(rows)]
    return np.array([np.mean(row) if row else 0.0 for row in own])


@pytest.mark.parametrize("stride", [1, 4, 7, 100])
@pytest.mark.parametrize(("size", "factor"), [(64, 1), (200, 1), (16, 4)])
def test_scores_are_the_mean_change_of_small_grey_frames(tmp_path, stride, size, factor):
    path = encode(tmp_path / "a.mp4", noise(25))
    energy = energies(path, stride, factor)
    expected = energy / (energy + 2)
    found = scores(path, 25, stride, size=size)
    assert found == pytest.approx(expected, abs=1e-3 if factor == 1 else 0.02)
    assert (found >= 0).all() and (found <= 1).all()
    assert (found[0] == 0) == (stride == 1), "the first frame has none before it"


def test_half_is_the_energy_whose_score_is_one_half(tmp_path):
    for t in range(8):
        Image.fromarray(np.full((48, 64, 3), 40 + 4 * t, np.uint8)).save(tmp_path / f"{t}.png")
    assert scores(tmp_path, 8, 4, half=4.0) == pytest.approx([0.5, 0.5])
    assert scores(tmp_path, 8, 4, half=12.0) == pytest.approx([0.25, 0.25])


def test_a_still_video_has_no_energy_and_one_of_a_single_frame_neither(tmp_path):
    for t in range(4):
        Image.fromarray(np.full((48, 64, 3), 99, np.uint8)).save(tmp_path / f"{t}.png")
    assert scores(tmp_path, 4, 2).tolist() == [0, 0]
    single = encode(tmp_path / "single.mp4", numbered(1))
    assert scores(single, 1, 16).tolist() == [0]


def test_a_window_with_its_margin_has_the_scores_of_the_whole_video(tmp_path):
    path = encode(tmp_path / "a.mp4", noise(40))
    video = VideoInput(
        name="a", row_count=10, stride=4, frame_count=40, decode=FrameDecoder(path, VideoExtent(40, None))
    )
    measured = method(rows={"stride": 4})
    (whole,) = measured.score([video])
    margin = measured.reach.margin
    (part,) = measured.score([video.window(6 - margin, 9)])
    assert torch.equal(part.anomaly[margin:], whole.anomaly[6:9])


def test_no_score_depends_on_a_later_row(tmp_path):
    frames = noise(40)
    whole, cut = encode(tmp_path / "a.mkv", frames, "ffv1"), encode(tmp_path / "b.mkv", frames[:24], "ffv1")
    assert MotionConfig().needs().lookahead == 0
    assert scores(whole, 40, 4)[:6].tolist() == scores(cut, 24, 4).tolist()
