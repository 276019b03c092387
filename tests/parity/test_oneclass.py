"""The one-class methods against golden vectors: numbers of a literal float64 implementation of their equations.

Every folder with a ``recipe.json`` below ``<golden>/oneclass`` is a set; ``VADBENCH_GOLDEN`` names another place. No
authors' code is behind them. Of configurations of three rows or one, distances are compared and scores are not, as the
README there says: they are near 1 and fix the arithmetic alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.covariance import shrunk_covariance
from vadbench_baselines.gaussian import Gaussian, RowSums
from vadbench_baselines.kept_rows import KeptRows, RowSample, core_set, normal_rows
from vadbench_baselines.one_class import Density, Knn

import vadbench
from devices import DEVICES, computing_on
from method_inputs import all_normal, as_videos
from recorded_sets import Golden
from vadbench.clip import Clip
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import TrainingData
from vadbench.method import Task, build_method

GOLDEN = Golden("oneclass")
SETS = GOLDEN.sets
CLASSES = ClassTable((VideoClass("Normal"), VideoClass("Anomaly")), 0)
DISTANCE = 1e-4
"""Relative tolerance of distances and their quantile; the README's for all but sums in float32, which there are none
of. Scores, AUC and AP have the README's absolute ones."""
FLOAT64 = 1e-9
"""Relative tolerance where all is computed in float64, as the vectors were."""


@dataclass
class Case:
    """One configuration of a set: what was computed with it, and the method that was fitted to its normal videos."""

    set: str
    name: str
    device: str
    dtype: torch.dtype

    def __post_init__(self) -> None:
        self.sizes = GOLDEN.load.CONFIGS[self.name]
        with np.load(GOLDEN.folder / self.set / f"{self.name}.npz", allow_pickle=False) as content:
            self.expected = {key: content[key] for key in content.files}
        self.left = set(self.expected)
        self.data: TrainingData = all_normal(GOLDEN.load.normal_videos(GOLDEN.seed(self.set), self.name), CLASSES)
        kind = {"knn": Knn, "gaussian": Density}[self.sizes["detector"]]
        memory = {"capacity": self.sizes["capacity"], "seed": GOLDEN.load.MEMORY_SEED}
        own: dict[str, Any] = {"shrinkage": self.sizes["shrinkage"]}
        if kind is Knn:
            own, memory = {"k": self.sizes["k"]}, memory | {"coreset": self.sizes["coreset"]}
        shared = {key: self.sizes[key] for key in ("normalise", "quantile", "calibration")}
        config = kind.Config.model_validate({**shared, **own, "memory": memory})
        task = Task(CLASSES, self.sizes["width"], torch.device(self.device), Clip)
        self.method = build_method(kind, config, task, 0).to(self.dtype).eval()
        self.method.prepare(self.data)

    @property
    def rtol(self) -> float:
        return FLOAT64 if self.dtype == torch.float64 else DISTANCE

    @property
    def few(self) -> bool:
        """Whether there are so few rows that scores say nothing."""
        return sum(self.sizes["normal"]) < 5

    def compare(self, found: Any, key: str, **tolerances: float) -> None:
        """Compare with what was recorded, and tick it off."""
        np.testing.assert_allclose(found, self.expected[key], err_msg=key, **({"rtol": 0} | tolerances))
        self.left.discard(key)

    def sample(self) -> KeptRows:
        sample = RowSample(self.sizes["capacity"], GOLDEN.load.MEMORY_SEED)
        for video, rows in normal_rows(self.data):
            sample.add(rows, video)
        return sample.kept()

    def unit(self, rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(np.float64)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if self.sizes["normalise"] else rows

    def tensor(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(rows).to(self.device)


def all_cases(*detectors: str) -> list[Any]:
    configs = GOLDEN.load.CONFIGS if SETS else {}
    names = [name for name, sizes in configs.items() if sizes["detector"] in detectors]
    return [
        pytest.param((s, name, *device.values, dtype), id=f"{s}-{name}-{device.id}-{str(dtype).removeprefix('torch.')}")
        for s in SETS
        for name in names
        for device in DEVICES
        for dtype in (torch.float32, torch.float64)
    ]


@cache
def made(*what: Any) -> Case:
    return Case(*what)


@pytest.fixture(params=all_cases("knn", "gaussian"))
def case(request) -> Iterator[Case]:
    with computing_on(request.param[2]):
        yield made(*request.param)


@pytest.fixture(params=all_cases("knn"))
def of_neighbours(request) -> Iterator[Case]:
    with computing_on(request.param[2]):
        yield made(*request.param)


@pytest.fixture(params=all_cases("gaussian"))
def of_gaussian(request) -> Iterator[Case]:
    with computing_on(request.param[2]):
        yield made(*request.param)


def test_there_is_a_recorded_set():
    assert SETS, f"no folder with a recipe.json in {GOLDEN.folder}"


@pytest.mark.parametrize("name", SETS)
def test_recipe_rebuilds_the_rows(name):
    for config in GOLDEN.load.CONFIGS:
        with np.load(GOLDEN.folder / name / f"{config}.npz") as want:
            np.testing.assert_allclose(GOLDEN.load.checksums(GOLDEN.seed(name), config), want["check"], rtol=1e-9)
            if config in GOLDEN.load.E2E:
                found = [v[key] for v in GOLDEN.load.e2e_set(GOLDEN.seed(name), config) for key in ("x", "gt")]
                np.testing.assert_allclose(GOLDEN.load.checksum(found), want["check_e2e"], rtol=1e-9)


def test_kept_rows(case):
    kept = case.sample()
    case.compare(kept.place, "kept")
    stream = np.concatenate([video.rows for video in case.data.videos])
    np.testing.assert_array_equal(kept.rows, stream[kept.place])


def test_memory_and_its_core_set(of_neighbours):
    case, kept = of_neighbours, of_neighbours.sample()
    rows = case.unit(kept.rows)
    if case.sizes["coreset"]:
        case.compare(core_set(rows, case.sizes["coreset"]), "core")
        rows = rows[case.expected["core"]]
    assert ("core" in case.expected) == bool(case.sizes["coreset"])
    np.testing.assert_allclose(case.method.memory.cpu(), rows, rtol=1e-6, atol=1e-7)


def test_calibration_from_other_videos(of_neighbours):
    case, kept = of_neighbours, of_neighbours.sample()
    if case.sizes["coreset"]:
        kept = kept.at(case.expected["core"])
    found = case.method.calibration_distances(kept.keys, kept.video).cpu()
    case.compare(found, "calibration_distances", rtol=case.rtol)


def test_gaussian(of_gaussian):
    """The covariance is shrunk as scikit-learn does it; the stored one is the inverse of its Cholesky factor."""
    case, sums = of_gaussian, RowSums(of_gaussian.sizes["width"])
    for _, rows in normal_rows(case.data):
        sums.add(torch.from_numpy(case.unit(rows)))
    case.compare(sums.count, "rows")
    case.compare(sums.mean, "mean", rtol=FLOAT64, atol=1e-12)
    case.compare(sums.covariance.trace(), "trace", rtol=FLOAT64, atol=1e-12)
    inverse = Gaussian.of(sums, case.sizes["shrinkage"]).inverse.numpy()
    case.compare(-2 * np.log(inverse.diagonal()).sum(), "logdet", rtol=FLOAT64)
    if case.expected["trace"] > 1e-12:
        shrunk = shrunk_covariance(sums.covariance.numpy(), case.sizes["shrinkage"])
        np.testing.assert_allclose(inverse.T @ inverse @ shrunk, np.eye(len(shrunk)), atol=1e-9)
    np.testing.assert_allclose(case.method.mean.cpu(), case.expected["mean"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(case.method.inverse.cpu(), inverse, rtol=1e-5, atol=1e-5)


def test_calibration_by_videos_held_out(of_gaussian):
    case = of_gaussian
    learnt, everything = (RowSums(case.sizes["width"]) for _ in range(2))
    for video, rows in normal_rows(case.data):
        everything.add(torch.from_numpy(case.unit(rows)))
        if video % 5 != 4:
            learnt.add(torch.from_numpy(case.unit(rows)))
    fitted = Gaussian.of(everything, case.sizes["shrinkage"])
    found = case.method.calibration_distances(case.sample(), learnt, fitted)
    case.compare(found, "calibration_distances", rtol=1e-8, atol=1e-12)


def test_distances_and_scores(case):
    case.compare(float(case.method.q), "q", rtol=case.rtol)
    videos = GOLDEN.load.test_videos(GOLDEN.seed(case.set), case.name)
    with torch.inference_mode():
        scores = case.method.score(as_videos(map(case.tensor, videos)))
        distances = [case.method.distances(case.tensor(rows)).cpu() for rows in videos]
    for rows, score, distance in zip(videos, scores, distances, strict=True):
        case.compare(distance, f"n{len(rows)}_distance", rtol=case.rtol)
        assert score.anomaly.shape == (len(rows),)
        if not case.few:
            case.compare(score.anomaly.cpu(), f"n{len(rows)}_score", atol=1e-5)


def test_every_recorded_array_is_compared(case):
    """What is left over when the tests of this case have run again was compared with nothing."""
    case.left = set(case.expected) - {"check", "check_e2e"}  # of the inputs
    if case.few:
        case.left -= {key for key in case.left if key.endswith("_score")}
    of_neighbours = isinstance(case.method, Knn)
    own = (test_memory_and_its_core_set, test_calibration_from_other_videos)
    for test in own if of_neighbours else (test_gaussian, test_calibration_by_videos_held_out):
        test(case)
    for test in (test_kept_rows, test_distances_and_scores):
        test(case)
    if case.name in GOLDEN.load.E2E:
        auc_and_ap_of_a_small_split(case)
    assert not case.left


@pytest.mark.parametrize("what", [p for p in all_cases("knn", "gaussian") if p.values[0][1] in GOLDEN.load.E2E])
def test_auc_and_ap_of_a_small_split(what):
    with computing_on(what[2]):
        auc_and_ap_of_a_small_split(made(*what))


def auc_and_ap_of_a_small_split(case):
    """Through the package's own evaluation; each row stands for 16 frames."""
    videos = GOLDEN.load.e2e_set(GOLDEN.seed(case.set), case.name)
    with torch.inference_mode():
        scored = case.method.score(as_videos(case.tensor(video["x"]) for video in videos))
    scores = {f"v{i}": found.anomaly.cpu().numpy() for i, found in enumerate(scored)}
    truth = {f"v{i}": video["gt"].astype(int) for i, video in enumerate(videos)}
    metrics = vadbench.evaluate(scores, truth, stride=GOLDEN.load.STRIDE)
    found = [metrics[key].value for key in ("AUC", "AP", "AP/trapezoid")]
    case.compare(found, "e2e_auc_apstep_aptrapezoid", atol=1e-4)
