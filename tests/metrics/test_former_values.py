"""Values in resamples against those of the former code, which counted pairs of every two videos, on the same draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from class_rows import CLASSES, class_rows
from drawn_rows import drawn_rows
from former_resampling import PLACES, localised_ap
from former_resampling import resampled_metrics as former
from vadbench.metrics.bootstrap import draw_videos, resampled_metrics
from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.localization import KEYS as LOCALISED
from vadbench.metrics.localization import LocalisedVideo, localise
from vadbench.metrics.operating import RESAMPLED

KEYS = {*PLACES, *RESAMPLED, "AP", "AP/trapezoid", "AnoAUC", "mAUC", "mAP", "prevalence", "FAR"}


def equal(rows, draws, keys=KEYS, drop_zeros=False):
    """Assert that all values are the former ones, and undefined where they were."""
    found, expected = resampled_metrics(rows, keys, draws, drop_zeros), former(rows, keys, draws, drop_zeros)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, atol=1e-12, rtol=0, err_msg=key)
    return found


@given(drawn_rows(videos=20, longest=40), st.integers(0, 1000))
@settings(max_examples=60)
def test_any_split_has_the_former_values(rows, seed):
    equal(rows, draw_videos(len(rows.names), 70, seed))


@pytest.mark.parametrize("drop_zeros", [False, True])
@pytest.mark.parametrize("digits", [1, 2, 9], ids=["many ties", "ties", "no ties"])
@pytest.mark.parametrize("seed", range(3))
def test_a_split_with_classes_has_the_former_values(seed, digits, drop_zeros):
    """More steps and resamples than are handled at a time."""
    rows = class_rows(seed, 150, digits=digits)
    found = equal(rows, draw_videos(150, 130, seed), {*KEYS, *evaluate(rows)} - {"distinct"}, drop_zeros)
    assert np.isnan(found["AUC[Unseen]"]).all() and not np.isnan(found["AP[Arson]"]).any()


def test_the_only_step_may_have_more_frames_than_float32_can_count():
    """An answer of yes or no has two scores; sums of its frames beyond 16 million were rounded in float32."""
    rows = class_rows(0, 40, digits=0, most=2**20)
    rng = np.random.default_rng(1)
    found = equal(rows, draw_videos(40, 100), {"AUC", "AP", "AnoAUC", "FPR@95TPR"})
    odd = 2 * rng.integers(0, 3, (100, 40)) + 1.0
    assert (found["AUC"] != equal(rows, odd, {"AUC"})["AUC"]).any()


def test_a_resample_has_its_value_whatever_is_drawn_beside_it():
    rows = class_rows(2, 60)
    whole, first = (resampled_metrics(rows, KEYS, draw_videos(60, n)) for n in (300, 100))
    for key in whole:
        np.testing.assert_array_equal(whole[key][:100], first[key])


@pytest.mark.parametrize("rule", ["native", "vadclip"])
def test_segments_have_the_former_values(rule):
    """Class 3 is never annotated, and class 2 hardly ever found."""
    rng = np.random.default_rng(0)
    videos = []
    for i in range(120):
        rows, label = int(rng.integers(10, 60)), 1 + i % 2
        first = int(rng.integers(rows // 2))
        segment = (label, 16 * first, 16 * (first + 5))
        scores = rng.random((rows, 4))
        scores[first : first + 5, label] += 1 if label == 1 else -1
        videos.append(LocalisedVideo(f"v{i}", scores.astype(np.float32), 16 * rows, [segment] if i % 3 else []))
    found, draws = localise(videos, 16, CLASSES, 0, rule), draw_videos(120, 150)
    ap = localised_ap(found, draws)
    values = found.resampled(draws)
    for key, expected in zip(LOCALISED, found.means(ap, draws), strict=False):
        np.testing.assert_allclose(values[key], expected, atol=1e-12, rtol=0, err_msg=key)
    assert 0.05 < values["mAP@IoU"].mean() < 0.95
