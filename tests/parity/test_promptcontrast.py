"""``prompt-contrast`` against golden vectors, in float64 and float32.

They are not an author's outputs, as there is no code: a literal implementation of the same text gave them (see their
README). Every folder with a ``recipe.json`` below ``<golden>/promptcontrast`` is a set; ``VADBENCH_GOLDEN`` names
another place. The AUC and AP of retrieval are left out: rows with ten anomalous neighbours tie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score
from vadbench_descriptions.contrast import PromptContrast
from vadbench_descriptions.contrast_config import PromptContrastConfig
from vadbench_descriptions.row_motion import between_samples, motion_of
from vadbench_descriptions.wording import ambiguities

from method_inputs import as_videos
from recorded_sets import Golden
from vadbench.dataset import ClassTable, VideoClass
from vadbench.harness.request import method_post
from vadbench.method import Scores, Task
from vadbench.metrics.ranking import average_precision, roc_auc
from vadbench.scoring.post import processed
from vadbench.scoring.video_scores import VideoScores

GOLDEN = Golden("promptcontrast")
SETS = GOLDEN.sets
TOLERANCES = {
    **dict.fromkeys(("motion", "u_anomalous", "u_normal", "warm_weights", "anchor", "gap"), 1e-5),
    **dict.fromkeys(("warm_scores", "s_class", "s_rows", "s_frames", "gated"), 5e-5),
    "final": 2e-5,
}
"""Those of the README, of float32; float64 keeps to ``EXACT``."""
EXACT = 1e-12
OF_THE_NEAREST = ("s_class", "s_rows", "s_frames", "gated", "final")
"""Arrays of retrieval that depend on which sentences are the nearest."""


@dataclass
class DrawnTexts:
    """A text tower that knows the features of the sentences of a bank by heart."""

    features: dict[str, np.ndarray]
    dtype: torch.dtype
    dim: int
    context_length: int = 77

    def to(self, device: torch.device) -> DrawnTexts:
        self.device = device
        return self

    def __call__(self, texts: list[str]) -> torch.Tensor:
        drawn = np.stack([self.features[text] for text in texts])
        return torch.from_numpy(drawn).to(self.device, self.dtype)


@dataclass
class Case:
    """One configuration of a set: what was computed with it, and the method with its text features."""

    set: str
    name: str
    device: torch.device
    dtype: torch.dtype

    def __post_init__(self) -> None:
        self.c: dict[str, Any] = GOLDEN.load.CONFIGS[self.name]
        self.expected = GOLDEN.arrays(self.set, self.name)
        self.sides = GOLDEN.load.texts(GOLDEN.seed(self.set), self.name)
        names = [f"class {i}" for i in range(len(self.sides[0]))]
        # Where the normal class stands is the data set's business.
        table = ClassTable(tuple(map(VideoClass, (names[0], "Normal", *names[1:]))), 1)
        retrieves = self.c["scoring"] == "retrieval"
        wrap = "{}: class {}: {}" if retrieves else "{}{}{}"
        banks: tuple[dict[str, list[str]], ...] = ({}, {})
        features = {}
        for side, bank, word in zip(self.sides, banks, ("Anomalous", "Normal"), strict=True):
            for i, drawn in enumerate(side):
                bank[names[i]] = [f"{word.lower()} {i} {j}" for j in range(len(drawn))]
                for sentence, feature in zip(bank[names[i]], drawn, strict=True):
                    text = wrap.format(word, i, sentence) if retrieves else f"{word} scene: {sentence}"
                    features[text] = feature
        settings: dict[str, Any] = {
            "descriptions": {"normal": ["anything else"], "classes": banks[0], "normals": banks[1]},
            "rows": {"stride": self.c["stride"], "pooling": "first"},
            "scoring": self.c["scoring"],
            "sides": self.c["sides"],
            "top_share": self.c["share"],
            "alpha": self.c["alpha"],
            "tau": self.c["tau"],
            "sample": self.c["sample"],
            "anchor": {"enabled": self.c["anchor"], "rows": self.c["warm"], "temperature": self.c["gamma"]},
            "motion": {
                "enabled": self.c["motion"],
                "window": self.c["window"],
                "threshold": self.c["threshold"],
                "slope": self.c["slope"],
            },
        }
        if retrieves:
            own = {name: self.c[name] for name in ("nearest", "alpha", "temperature")}
            settings["retrieval"] = own | {"template": "{side}: {category}: {sentence}"}
        self.config = PromptContrastConfig.model_validate(settings)
        tower = DrawnTexts(features, self.dtype, self.c["width"])
        self.method = PromptContrast(self.config, Task(table, self.c["width"], self.device, lambda: tower)).eval()

    def rows(self, drawn: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(drawn).to(self.device, self.dtype)

    def scores(self, *drawn: np.ndarray) -> list[Scores]:
        with torch.inference_mode():
            return self.method.score(as_videos(map(self.rows, drawn)))

    def final(self, scores: Scores) -> np.ndarray:
        """The scores after the post-processing that the method proposes, in frames as it does."""
        post = method_post("prompt-contrast", self.config)
        if self.c["sigma"] != 50:
            post = f"gaussian({self.c['sigma']}f)"
        given = scores.anomaly.cpu().numpy()
        return processed(VideoScores("video", len(given), given, None), post, self.c["stride"]).anomaly

    def assert_close(self, found: Any, key: str) -> None:
        wanted = self.expected[key]
        found = found.cpu().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
        assert found.shape == wanted.shape, key
        atol = EXACT if self.dtype == torch.float64 else TOLERANCES[key.partition("_")[2]]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=atol, err_msg=key)


@pytest.fixture(params=[torch.float64, torch.float32], ids=str)
def dtype(request) -> torch.dtype:
    return request.param


def cases(configs: list[str]) -> list[Any]:
    return [pytest.param((s, c), id=f"{s}-{c}") for s in SETS for c in configs]


@pytest.fixture(params=cases(list(GOLDEN.load.CONFIGS)) if SETS else [])
def case(request, device, dtype) -> Case:
    return Case(*request.param, device, dtype)


def test_there_is_a_recorded_set():
    assert SETS, f"no folder with a recipe.json in {GOLDEN.folder}"


@pytest.mark.parametrize("name", SETS)
def test_recipe_rebuilds_the_inputs(name):
    for config in GOLDEN.load.CONFIGS:
        np.testing.assert_allclose(
            GOLDEN.load.checksums(GOLDEN.seed(name), config), GOLDEN.arrays(name, config)["check"], rtol=1e-9
        )


def test_every_array_of_every_video(case):
    """What is left over at the end was compared with nothing."""
    left = {key for key in case.expected if key.startswith("n")}
    drawn = GOLDEN.load.eval_videos(GOLDEN.seed(case.set), case.name)
    for video, scores in zip(drawn, case.scores(*drawn), strict=True):
        found = stages(case, video, scores)
        gap = case.expected.get(f"n{len(video)}_gap", np.inf)
        # Which of two sentences is among the nearest is left to rounding where they are that close.
        undecided = case.dtype == torch.float32 and gap < 1e-6
        for name, values in found.items():
            if (key := f"n{len(video)}_{name}") in case.expected:
                if not (undecided and name in OF_THE_NEAREST):
                    case.assert_close(values, key)
                left.discard(key)
    assert not left


@torch.inference_mode()
def stages(case: Case, drawn: np.ndarray, scores: Scores) -> dict[str, Any]:
    """Everything on the way to the scores of a video, and these."""
    method, rows, step = case.method, case.rows(drawn), case.config.step
    samples = -(-len(rows) // step)
    own = method.sampled(rows, 0, samples)
    anchor = method.anchor_of(rows)
    assert (anchor is None) == (not case.c["anchor"])
    found: dict[str, Any] = {"motion": motion_of(rows, 0, len(rows), rows.dtype)}
    if anchor is not None:
        found |= {"warm_scores": anchor.scores, "warm_weights": anchor.weights, "anchor": anchor.vector}
    vector = None if anchor is None else anchor.vector
    by_class, _ = method.compared(own, vector)
    if case.c["scoring"] == "contrast":
        high, low, _ = method.sides.contrast(own, case.config.top_share, vector)
        found |= {"u_anomalous": high, "u_normal": low, "s_class": by_class}
    else:
        similar = method.sides.similarities(own, case.config.retrieval.alpha).sort(descending=True).values
        nearest = case.config.retrieval.nearest
        found["gap"] = (similar[:, nearest - 1] - similar[:, nearest]).min()
    together = method.together(by_class)
    return found | {
        "s_rows": together,
        "s_frames": between_samples(together, len(rows), step),
        "gated": scores.anomaly,
        "final": case.final(scores),
    }


def test_ambiguity_of_normal_sentences(case):
    found = [key for key in case.expected if key.startswith("ambiguity_")]
    assert len(found) == len(case.sides[0])
    for i, (anomalous, normal) in enumerate(zip(*case.sides, strict=True)):
        values = ambiguities(case.rows(normal), case.rows(anomalous)).cpu().numpy()
        atol = EXACT if case.dtype == torch.float64 else TOLERANCES["u_normal"]
        np.testing.assert_allclose(values, case.expected[f"ambiguity_{i}"], rtol=0, atol=atol)


@pytest.mark.parametrize("case", cases(GOLDEN.load.E2E) if SETS else [], indirect=True)
def test_a_small_split_end_to_end(case):
    """AUC and AP over frames after post-processing, a row's score for each of its frames, by the package and by
    scikit-learn."""
    videos = GOLDEN.load.e2e_set(GOLDEN.seed(case.set), case.name)
    np.testing.assert_allclose(
        GOLDEN.load.checksum([v[k] for v in videos for k in ("x", "gt")]), case.expected["check_e2e"], rtol=1e-9
    )
    finals = [case.final(s) for s in case.scores(*(v["x"] for v in videos))]
    frames = np.concatenate([f.repeat(case.c["stride"]) for f in finals])
    truth = np.concatenate([v["gt"] for v in videos])
    precision, recall, _ = precision_recall_curve(truth, frames)
    found = roc_auc_score(truth, frames), average_precision_score(truth, frames), auc(recall, precision)
    np.testing.assert_allclose(found, case.expected["e2e_auc_apstep_aptrapezoid"], rtol=0, atol=1e-4)
    ours = roc_auc(frames, truth, 1 - truth), average_precision(frames, truth, 1 - truth)
    np.testing.assert_allclose(ours, case.expected["e2e_auc_apstep_aptrapezoid"][:2], rtol=0, atol=1e-4)
    atol = EXACT if case.dtype == torch.float64 else TOLERANCES["final"]
    means = np.array([f.mean(dtype=np.float64) for f in finals])
    wanted = case.expected["e2e_score_sum"] / [len(v["gt"]) for v in videos]
    np.testing.assert_allclose(means, wanted, rtol=0, atol=atol)
