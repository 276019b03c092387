"""The maximum over regions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vadbench.base.errors import FeatureError
from vadbench.dataset import ClassTable, VideoClass
from vadbench.features.crops import CropRule
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.regions import SLOTS
from vadbench.features.source import FeatureSource
from vadbench.method import Method, Scores, Task
from vadbench.scoring.opened import open_videos
from vadbench.scoring.scoring import score_videos

CLASSES = ClassTable((VideoClass("Normal"), VideoClass("A"), VideoClass("B")), normal=0)
TASK = Task(CLASSES, 4, torch.device("cpu"), lambda: None)


class Echo(Method):
    """Scores that are the rows: the anomaly score, two class probabilities, a branch."""

    def score(self, videos):
        every = [video.rows for video in videos]
        return [Scores(v[:, 0], torch.stack([1 - v[:, 0], v[:, 1], v[:, 2]], 1), {"other": v[:, 3]}) for v in every]


class Held(FeatureSource):
    """Features of regions in memory."""

    folder = "memory"
    fingerprint = Fingerprint("e", "0" * 64, "gelu", "none", 4, "first", 4, crops=SLOTS, regions="boxes 0")

    def __init__(self, values):
        self._values = values

    @property
    def names(self):
        return tuple(sorted(self._values))

    def crops(self, name):
        return SLOTS[: len(self._values[name])]

    def crop_rows(self, name, crop):
        return self._values[name][SLOTS.index(crop)]

    def frames(self, name):
        return None

    def stamp(self, name):
        return ""


def scores_of(values):
    source = Held(values)
    chosen = {name: source.crops(name) for name in source.names}
    method = Echo(Method.Config(), TASK)
    return {
        s.name: s for s in score_videos(method, open_videos(source, chosen, dict.fromkeys(source.names, 100)), "max")
    }


def test_a_score_is_the_maximum_over_regions_with_the_classes_of_the_region_that_has_it(monkeypatch):
    monkeypatch.setattr("vadbench.scoring.scoring.ROWS_AT_ONCE", 30)  # a video's regions come in several groups
    rng = np.random.default_rng(0)
    values = {
        n: rng.random((k, r, 4), np.float32) for n, k, r in (("a", 3, 11), ("b", 1, 40), ("c", 20, 2), ("d", 7, 5))
    }
    found = scores_of(values)
    assert list(found) == list(values)
    for name, v in values.items():
        for row in range(v.shape[1]):
            best = max(range(len(v)), key=lambda k: v[k, row, 0])
            assert found[name].anomaly[row] == v[best, row, 0]
            np.testing.assert_array_equal(
                found[name].classes[row], [1 - v[best, row, 0], v[best, row, 1], v[best, row, 2]]
            )
            assert found[name].branches["other"][row] == max(v[k, row, 3] for k in range(len(v)))


@given(st.integers(1, 6), st.integers(1, 14), st.integers(0, 99))
def test_repeating_a_region_changes_no_score(regions, repeats, seed):
    rng = np.random.default_rng(seed)
    v = rng.random((regions, 5, 4), np.float32)
    more = np.concatenate([v, np.repeat(v[:1], repeats, axis=0)])
    once, again = scores_of({"v": v})["v"], scores_of({"v": more})["v"]
    np.testing.assert_array_equal(once.anomaly, again.anomaly)
    np.testing.assert_array_equal(once.classes, again.classes)
    np.testing.assert_array_equal(once.branches["other"], again.branches["other"])


def test_regions_are_scored_by_their_maximum_and_nothing_else():
    source = Held({"v": np.zeros((3, 2, 4), np.float32)})
    for wanted, asked in (("center", False), ("5", False), ("max", True)):
        found = CropRule(wanted, asked).of_test(source, ["v"])
        assert found == ({"v": SLOTS[:3]}, ["scores are the maximum over regions"])
    for wanted in ("center", "mean", "0", "region-1"):
        with pytest.raises(FeatureError, match=f"scored by their maximum, found --crop {wanted}"):
            CropRule(wanted, True).of_test(source, ["v"])
