import subprocess
import sys

import numpy as np
import pytest
import torch
from vadbench_baselines.blind import BlindCentre, BlindLength, BlindOracleCentre, BlindOracleLabel
from vadbench_baselines.chance import Random
from vadbench_baselines.linear import ClipLinear, ClipTemporalLinear
from vadbench_baselines.mil import Mil
from vadbench_baselines.motion import MotionEnergy
from vadbench_baselines.one_class import Density, Knn
from vadbench_baselines.zero_shot import ZeroShot

from method_inputs import as_videos
from vadbench.base.errors import ConfigError, FeatureError
from vadbench.clip import ClipSource, load_clip
from vadbench.dataset import ClassTable, VideoClass
from vadbench.method import Task

TABLE = ClassTable((VideoClass("Fire"), VideoClass("Normal", "street"), VideoClass("Fall", "fallen person")), normal=1)


@pytest.fixture(scope="module")
def clip():
    return load_clip(ClipSource("small", "random:0"))


@pytest.fixture
def make(clip):
    def build(cls, seed=0, **settings):
        torch.manual_seed(seed)
        return cls(cls.Config(**settings), Task(TABLE, clip.dim, torch.device("cpu"), lambda: clip.text)).eval()

    return build


@pytest.fixture
def videos(clip):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, clip.dim, generator=generator) for n in (1, 2, 15, 16, 17, 300)]


@pytest.mark.parametrize("cls", [Random, ZeroShot])
def test_scores_are_probabilities_and_do_not_depend_on_company(make, videos, cls):
    method = make(cls)
    with torch.inference_mode():
        together = method.score(as_videos(videos))
        alone = [method.score(as_videos([v]))[0] for v in reversed(videos)][::-1]
    for rows, a, b in zip(videos, together, alone, strict=True):
        assert a.anomaly.shape == (len(rows),)
        assert a.classes.shape == (len(rows), 3)
        assert torch.all((a.anomaly >= 0) & (a.anomaly <= 1))
        torch.testing.assert_close(a.classes.sum(1), torch.ones(len(rows)))
        torch.testing.assert_close(a.classes[:, 1], 1 - a.anomaly)
        torch.testing.assert_close(a.anomaly, b.anomaly)


def test_sure_zero_shot_scores_stay_probabilities(make, clip):
    rows = torch.randn(4000, clip.dim, generator=torch.Generator().manual_seed(0))
    anomaly = make(ZeroShot, temperature=0.002).score(as_videos([rows]))[0].anomaly
    assert anomaly.max() == 1 and anomaly.min() >= 0


def test_random_scores_follow_the_seed(make, videos):
    first, same, other = (make(Random, seed).score(as_videos(videos[-1:]))[0].anomaly for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert abs(float(first.mean()) - 0.5) < 0.1


def test_zero_shot_equals_its_equation_in_numpy(make, clip, videos):
    found = make(ZeroShot, temperature=0.05, template="a photo of {class}.").score(as_videos(videos[-1:]))[0]
    text = clip.text(["a photo of Fire.", "a photo of street.", "a photo of fallen person."]).double().numpy()
    rows = videos[-1].double().numpy()
    cosine = (rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ (
        text / np.linalg.norm(text, axis=1, keepdims=True)
    ).T
    expected = np.exp(cosine / 0.05) / np.exp(cosine / 0.05).sum(1, keepdims=True)
    np.testing.assert_allclose(found.classes.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(found.anomaly.numpy(), 1 - expected[:, 1], atol=1e-5)


def test_default_template_is_the_published_one(make, clip, videos):
    """AnomalyCLIP's zero-shot CLIP rows, and CLIP's own temperature at the end of its training."""
    found = make(ZeroShot).score(as_videos(videos[-1:]))[0]
    prompts = [f"a video from a CCTV camera of a {words}" for words in ("Fire", "street", "fallen person")]
    text = torch.nn.functional.normalize(clip.text(prompts), dim=-1)
    expected = (torch.nn.functional.normalize(videos[-1], dim=-1) @ text.T / 0.01).softmax(-1)
    torch.testing.assert_close(found.classes, expected, rtol=0, atol=1e-5)


def test_registering_imports_no_torch_and_names_what_exists():
    check = "assert 'torch' not in sys.modules; print(*(m.target for m in p.vadbench_methods()))"
    code = f"import sys, vadbench_baselines as p; {check}"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    blind = [BlindLength, BlindCentre, BlindOracleLabel, BlindOracleCentre]
    expected = [Random, ZeroShot, ClipLinear, ClipTemporalLinear, Mil, Knn, Density, MotionEnergy, *blind]
    assert out.split() == [f"{cls.__module__}:{cls.__name__}" for cls in expected]


def test_a_template_without_a_place_for_the_class_is_refused(make):
    with pytest.raises(ConfigError, match="must contain"):
        make(ZeroShot, template="a photo")


def test_rows_of_another_width_than_the_texts_are_refused(clip):
    task = Task(TABLE, clip.dim + 1, torch.device("cpu"), lambda: clip.text)
    with pytest.raises(FeatureError, match=r"use features extracted with the same CLIP$"):
        ZeroShot(ZeroShot.Config(), task)
