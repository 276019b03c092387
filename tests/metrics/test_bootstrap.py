"""Intervals against naive resampling: the drawn videos written out one after another and scored from scratch."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from intervals import widened
from vadbench.metrics.bootstrap import draw_videos, interval, with_intervals
from vadbench.metrics.carriers import Carriers
from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.sweep import resampled_ap, resampled_auc
from vadbench.scoring.rows import ScoredRows, WeightedRows

CLASSES = ("Abuse", "Normal", "Arson", "Unseen")


def split(seed, videos=15, digits=2, abnormal=0.6, longest=12):
    """A random split; ``digits`` says how many ties there are."""
    rng = np.random.default_rng(seed)
    video = np.repeat(np.arange(videos), rng.integers(1, longest, videos))
    rows = len(video)
    frames = rng.integers(0, 17, rows)
    positives = np.where((rng.random(videos) < abnormal)[video], rng.integers(0, frames + 1), 0)
    class_positives = np.zeros((rows, len(CLASSES)), dtype=int)
    class_positives[:, 1] = frames - positives
    class_positives[:, 0] = np.where(video % 2, positives, 0)
    class_positives[:, 2] = np.where(video % 2, 0, positives)
    return ScoredRows(
        video,
        tuple(f"v{i}" for i in range(videos)),
        np.round(rng.random(rows), digits).astype(np.float32),
        frames,
        positives,
        np.round(rng.random((rows, len(CLASSES))), digits).astype(np.float32),
        class_positives,
        CLASSES,
        normal=1,
        hours=rng.random(videos) + 0.1,
    )


def chosen(video, multiplicities):
    """Row indices and new video indices of a resample, each drawn video written out as often as it was drawn."""
    drawn = np.repeat(np.arange(len(multiplicities)), multiplicities.astype(int))
    rows = [np.flatnonzero(video == v) for v in drawn]
    return np.concatenate(rows), np.repeat(np.arange(len(drawn)), [len(r) for r in rows])


def naive(function, rows: WeightedRows, draws, kinds):
    """A scikit-learn metric on the frames of every resample; NaN with fewer ``kinds`` of frames than it needs."""
    values = []
    for multiplicities in draws:
        index, _ = chosen(rows.video, multiplicities)
        counts = np.stack([rows.positives[index], rows.negatives[index]], 1)
        labels = np.repeat(np.tile([1, 0], len(index)), counts.ravel())
        defined = labels.any() and len(set(labels)) >= kinds
        values.append(function(labels, np.repeat(rows.scores[index], counts.sum(1))) if defined else np.nan)
    return np.array(values)


def test_draws_are_resamples_with_replacement():
    draws = draw_videos(40, 2000, seed=3)
    assert draws.shape == (2000, 40)
    assert (draws.sum(1) == 40).all()
    assert np.abs(draws.mean(0) - 1).max() < 0.15
    assert draws.var() == pytest.approx(1 - 1 / 40, rel=0.03)  # of a binomial with 40 trials


def test_draws_depend_on_the_seed_alone():
    np.testing.assert_array_equal(draw_videos(7, 20, seed=1), draw_videos(7, 50, seed=1)[:20])
    assert (draw_videos(7, 20, seed=1) != draw_videos(7, 20, seed=2)).any()


@pytest.mark.parametrize("digits", [1, 2, 9], ids=["many ties", "ties", "no ties"])
@pytest.mark.parametrize("seed", range(5))
def test_auc_equals_naive_resampling(seed, digits):
    rows, draws = split(seed, digits=digits).binary(), draw_videos(15, 60, seed)
    expected = naive(sk.roc_auc_score, rows, draws, kinds=2)
    np.testing.assert_allclose(resampled_auc(rows, draws), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("digits", [1, 2, 9], ids=["many ties", "ties", "no ties"])
@pytest.mark.parametrize("seed", range(5))
def test_ap_equals_naive_resampling(seed, digits):
    rows, draws = split(seed, digits=digits).binary(), draw_videos(15, 60, seed)
    expected = naive(sk.average_precision_score, rows, draws, kinds=1)
    np.testing.assert_allclose(resampled_ap(rows, draws), expected, atol=1e-10, rtol=0)


@given(
    seed=st.integers(0, 10_000),
    videos=st.integers(1, 40),
    digits=st.sampled_from([0, 1, 2, 9]),
    abnormal=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    longest=st.integers(2, 60),
)
@settings(max_examples=60)
def test_both_equal_naive_resampling_on_any_split(seed, videos, digits, abnormal, longest):
    rows, draws = split(seed, videos, digits, abnormal, longest).binary(), draw_videos(videos, 12, seed)
    auc, ap = naive(sk.roc_auc_score, rows, draws, kinds=2), naive(sk.average_precision_score, rows, draws, kinds=1)
    np.testing.assert_allclose(resampled_auc(rows, draws), auc, atol=1e-12, rtol=0)
    np.testing.assert_allclose(resampled_ap(rows, draws), ap, atol=1e-10, rtol=0)


@pytest.mark.parametrize("steps", [31, 32, 33, 64, 65])
def test_ap_at_the_seams_between_chunks(steps):
    """Exactly so many distinct scores of positive rows, one negative row above, between and below them."""
    scores = np.arange(2 * steps + 1) / (2 * steps + 1)
    positives = np.arange(len(scores)) % 2
    rows = WeightedRows(np.arange(len(scores)) % 5, scores, positives, 1 - positives)
    draws = draw_videos(5, 40)
    expected = naive(sk.average_precision_score, rows, draws, kinds=1)
    np.testing.assert_allclose(resampled_ap(rows, draws), expected, atol=1e-10, rtol=0)


def test_many_videos_and_many_resamples_go_through_products_in_pieces():
    rows, draws = split(0, videos=300, digits=9).binary(), draw_videos(300, 200)
    some = slice(0, 200, 40)
    auc, ap = resampled_auc(rows, draws)[some], resampled_ap(rows, draws)[some]
    np.testing.assert_allclose(auc, naive(sk.roc_auc_score, rows, draws[some], 2), atol=1e-12, rtol=0)
    np.testing.assert_allclose(ap, naive(sk.average_precision_score, rows, draws[some], 1), atol=1e-10, rtol=0)


def test_resamples_without_both_kinds_of_frames_are_nan():
    rows = WeightedRows(np.array([0, 1]), np.array([0.9, 0.1]), np.array([4, 0]), np.array([0, 4]))
    draws = np.array([[2.0, 0], [1, 1], [0, 2]])
    np.testing.assert_array_equal(resampled_auc(rows, draws), [np.nan, 1, np.nan])
    np.testing.assert_array_equal(resampled_ap(rows, draws), [1, 1, np.nan])


@pytest.mark.parametrize("drop_zeros", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_intervals_of_all_metrics_equal_evaluating_every_resample_from_scratch(seed, drop_zeros):
    rows = split(seed, videos=18, digits=1, longest=4)
    abnormal = np.unique(rows.video[rows.positives > 0])
    # Abuse is in the abnormal videos of odd numbers, arson in the others.
    normal = len(set(rows.video[rows.frames > 0]) - set(abnormal))
    carried = {"FAR": normal, "Abuse": (abnormal % 2).sum(), "Arson": (abnormal % 2 == 0).sum()}
    mixed = len(set(abnormal) & set(rows.video[rows.frames > rows.positives]))
    carried |= dict.fromkeys(("AUC/within", "AUC/video", "pair-share"), mixed)
    values = {}
    for multiplicities in draw_videos(18, 300, seed=5):
        index, video = chosen(rows.video, multiplicities)
        resample = ScoredRows(
            video,
            rows.names,
            rows.scores[index],
            rows.frames[index],
            rows.positives[index],
            rows.class_scores[index],
            rows.class_positives[index],
            CLASSES,
            normal=1,
            hours=np.repeat(rows.hours, multiplicities.astype(int)),
        )
        for key, value in evaluate(resample, drop_zeros).items():
            values.setdefault(key, []).append(value.value)
    metrics = evaluate(rows, drop_zeros)
    found = with_intervals(rows, metrics, drop_zeros, resamples=300, seed=5)
    assert found.keys() == metrics.keys()
    for key, value in found.items():
        assert value.value == metrics[key].value
        defined = [v for v in values[key] if v is not None]
        videos = carried.get(key.partition("[")[2].rstrip("]") or key, len(abnormal))
        if key == "distinct":  # more videos have more scores, so resamples say nothing
            assert value == metrics[key]
        elif value.value is not None and videos >= 5 and len(defined) >= 150:
            counted = min(videos, normal) if key == "FPR@95TPR" or key.startswith("false-") else videos
            assert (value.low, value.high) == pytest.approx(np.percentile(defined, widened(counted)), abs=1e-10), key
            assert value.reason == metrics[key].reason
        else:
            assert value.low is None and value.high is None and value.reason, key


def test_only_what_was_asked_comes_back_and_what_is_not_resampled_is_untouched():
    rows = split(0)
    localisation = MetricValue(value=0.1, low=None, high=None, reason=None)
    asked = {"AP[Arson]": evaluate(rows)["AP[Arson]"], "mAP@IoU": localisation}
    found = with_intervals(rows, asked)
    assert list(found) == ["AP[Arson]", "mAP@IoU"]
    assert found["mAP@IoU"] is localisation
    assert found["AP[Arson]"] == with_intervals(rows, evaluate(rows))["AP[Arson]"]
    assert asked["AP[Arson]"].low is None  # the input is left as it was


def test_an_interval_holds_its_value_and_repeats():
    rows = split(7, videos=60)
    found = with_intervals(rows, evaluate(rows))
    assert found == with_intervals(rows, evaluate(rows))
    for key in ("AUC", "AP", "AnoAUC", "mAUC", "mAP", "FAR", "prevalence"):
        assert found[key].low < found[key].value < found[key].high, key


def rows_of(video, positives, frames):
    video = np.array(video)
    return ScoredRows(
        video,
        tuple(f"v{i}" for i in range(video.max() + 1)),
        np.linspace(0, 1, len(video)),
        np.array(frames),
        np.array(positives),
        None,
        None,
        ("Normal", "Abuse"),
        normal=0,
    )


def test_no_interval_where_most_resamples_are_undefined():
    samples = np.where(np.arange(1000) < 499, 0.5, np.nan)
    assert interval(samples, Carriers(9)) == (None, None, "no interval: defined in only 499 of 1000 resamples")
    samples[-1] = 0.5
    assert interval(samples, Carriers(9)) == (0.5, 0.5, None)


def test_no_interval_from_a_single_video():
    rows = rows_of([0, 0], positives=[0, 16], frames=[16, 16])
    auc = with_intervals(rows, evaluate(rows))["AUC"]
    assert (auc.value, auc.low) == (1, None)
    assert auc.reason == "no interval: 1 abnormal video, fewer than 5"


def test_a_remark_on_a_value_stays_beside_its_interval_and_beside_the_reason_for_none():
    rows = split(0)
    remarked = {"AUC": evaluate(rows)["AUC"].model_copy(update={"reason": "a remark"})}
    assert with_intervals(rows, remarked)["AUC"].low is not None
    assert with_intervals(rows, remarked)["AUC"].reason == "a remark"
    rows = rows_of([0, 0], positives=[0, 16], frames=[16, 16])
    assert with_intervals(rows, remarked)["AUC"].reason == "no interval: 1 abnormal video, fewer than 5; a remark"


def test_an_undefined_metric_keeps_its_reason():
    rows = rows_of([0, 1], positives=[0, 0], frames=[16, 16])
    metrics = evaluate(rows)
    assert with_intervals(rows, metrics)["AUC"] == metrics["AUC"]


@pytest.mark.slow
def test_intervals_cover_the_truth():
    """Videos with a common effect on all their frames, all anomalous or all normal, so that the true AUC is known."""
    shift, effect, videos, rows, simulations = 1.5, 1.0, 200, 10, 400
    truth = {"AUC": NormalDist().cdf(shift / np.sqrt(2 * (1 + effect**2))), "prevalence": 0.5}
    rng = np.random.default_rng(0)
    covered = dict.fromkeys(truth, 0)
    for _ in range(simulations):
        abnormal = rng.random(videos) < 0.5
        offsets = shift * abnormal + effect * rng.standard_normal(videos)
        video = np.repeat(np.arange(videos), rows)
        frames = np.full(len(video), 16)
        split = ScoredRows(
            video,
            tuple(map(str, range(videos))),
            offsets[video] + rng.standard_normal(len(video)),
            frames,
            frames * abnormal[video],
            None,
            None,
            ("Normal", "Abuse"),
            normal=0,
        )
        found = with_intervals(split, {key: evaluate(split)[key] for key in truth})
        for key, true in truth.items():
            covered[key] += found[key].low <= true <= found[key].high
    for key, count in covered.items():
        assert 0.92 <= count / simulations <= 0.98, (key, count / simulations)
