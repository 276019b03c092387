"""AUC, AP and the metrics built from them, against scikit-learn on frames written out one by one."""

import json
from dataclasses import replace
from threading import current_thread, main_thread

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import metrics as sk

from drawn_rows import videos_of
from literal_metrics import of_frames
from vadbench.base.errors import DataError
from vadbench.metrics.curves import pr_curve, roc_curve
from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.evaluation import CLASSES_AT_ONCE, evaluate
from vadbench.metrics.ranking import average_precision, roc_auc
from vadbench.scoring.rows import ScoredRows

SCORES = {
    "any": st.floats(-1e6, 1e6, width=32),
    "probabilities": st.floats(0, 1, width=32),
    "tied": st.sampled_from([-1.0, -0.0, 0.0, 0.25, 0.5, 1.0]),
    "constant": st.just(0.3),
}


@st.composite
def problems(draw, least=0, fewest=0):
    """Scores with their positive and negative frames; float32 or float64, with and without ties."""
    frames = st.integers(fewest, 20)
    kind = SCORES[draw(st.sampled_from(sorted(SCORES)))]
    rows = draw(st.lists(st.tuples(kind, frames, frames), min_size=least, max_size=40))
    scores = np.array([r[0] for r in rows], dtype=draw(st.sampled_from([np.float32, np.float64])))
    return scores, np.array([r[1] for r in rows], dtype=int), np.array([r[2] for r in rows], dtype=int)


def frames_of(scores, positives, negatives):
    """Labels and scores of every single frame."""
    labels = np.repeat(np.tile([1, 0], len(scores)), np.stack([positives, negatives], 1).ravel())
    return labels, np.repeat(scores, positives + negatives)


@given(problems())
def test_auc_equals_scikit_learn(problem):
    labels, scores = frames_of(*problem)
    if len(set(labels)) == 2:
        assert roc_auc(*problem) == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-12)
    else:
        assert roc_auc(*problem) is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
def test_scores_of_any_type_equal_scikit_learn(dtype):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 20, 50).astype(dtype) / (1 if dtype is np.uint8 else 7)
    scores = scores.astype(dtype)
    positives, negatives = rng.integers(0, 5, (2, 50))
    labels, every = frames_of(scores, positives, negatives)
    assert roc_auc(scores, positives, negatives) == pytest.approx(sk.roc_auc_score(labels, every), abs=1e-12)
    found = average_precision(scores, positives, negatives)
    assert found == pytest.approx(sk.average_precision_score(labels, every), abs=1e-12)


@given(problems())
def test_ap_equals_scikit_learn(problem):
    labels, scores = frames_of(*problem)
    if labels.any():
        assert average_precision(*problem) == pytest.approx(sk.average_precision_score(labels, scores), abs=1e-12)
    else:
        assert average_precision(*problem) is None


@given(problems(least=2), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(problem, random):
    order = random.sample(range(len(problem[0])), len(problem[0]))
    shuffled = [column[order] for column in problem]
    assert roc_auc(*shuffled) == roc_auc(*problem)
    assert average_precision(*shuffled) == average_precision(*problem)


@given(problems())
def test_turning_scores_round_mirrors_auc(problem):
    scores, positives, negatives = problem
    assume(positives.any() and negatives.any())
    assert roc_auc(-scores, positives, negatives) == pytest.approx(1 - roc_auc(*problem), abs=1e-12)


def test_large_scores_far_apart_keep_their_order_in_float32():
    scores = np.array([-np.finfo(np.float32).max, -1e-45, 0, 1e-45, 1, np.finfo(np.float32).max], np.float32)
    for cut in range(1, len(scores)):
        above = (np.arange(len(scores)) >= cut).astype(int)
        assert roc_auc(scores, above, 1 - above) == 1


def test_float64_scores_are_not_rounded():
    assert roc_auc([0.5, 0.5 + 1e-12], [0, 1], [1, 0]) == 1


@given(problems(least=1, fewest=1))
def test_curves_equal_scikit_learn(problem):
    labels, scores = frames_of(*problem)
    roc = roc_curve(*problem)
    for ours, theirs in zip(roc, sk.roc_curve(labels, scores, drop_intermediate=False), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert np.trapezoid(roc.y, roc.x) == pytest.approx(roc_auc(*problem), abs=1e-12)
    precision, recall, thresholds = sk.precision_recall_curve(labels, scores)
    pr = pr_curve(*problem)
    np.testing.assert_allclose(pr.x, recall[::-1], rtol=1e-12)
    np.testing.assert_allclose(pr.y, precision[::-1], rtol=1e-12)
    np.testing.assert_array_equal(pr.thresholds[1:], thresholds[::-1])


def test_curves_of_one_kind_of_frame_are_none():
    assert roc_curve([0.1, 0.2], [1, 1], [0, 0]) is None
    assert roc_curve([], [], []) is None
    assert pr_curve([0.1, 0.2], [0, 0], [1, 1]) is None


def test_precision_ignores_rows_without_frames():
    assert pr_curve([0.9, 0.5], [0, 1], [0, 1]).y.tolist() == [1, 0.5]


CLASSES = ("Normal", "Abuse", "Arson", "Unseen")


def split(seed=0, videos=12, dtype=np.float32, per_row=16):
    """A random split with ties, rows without frames, overlapping classes and one class that never occurs."""
    rng = np.random.default_rng(seed)
    video = np.repeat(np.arange(videos), rng.integers(1, 9, videos))
    rows = len(video)
    frames = rng.integers(0, per_row + 1, rows)
    abnormal = rng.random(videos) < 0.6
    positives = np.where(abnormal[video], rng.integers(0, frames + 1), 0)
    class_positives = np.zeros((rows, len(CLASSES)), dtype=int)
    class_positives[:, 0] = frames - positives
    class_positives[:, 1] = np.where(video % 2, positives, 0)
    class_positives[:, 2] = np.where(video % 3, positives, 0)
    return ScoredRows(
        video,
        tuple(f"v{i}" for i in range(videos)),
        np.round(rng.random(rows), 2).astype(dtype),
        frames,
        positives,
        np.round(rng.random((rows, len(CLASSES))), 2).astype(dtype),
        class_positives,
        CLASSES,
        normal=0,
        hours=rng.random(videos) + 0.1,
    )


@given(st.integers(0, 10_000), st.sampled_from([np.float32, np.float64]))
def test_every_metric_of_a_split_equals_scikit_learn_on_its_frames(seed, dtype):
    rows = split(seed, dtype=dtype)
    found = {key: value.value for key, value in evaluate(rows).items()}
    negatives = rows.frames - rows.positives
    abnormal_videos = {v for v, p in zip(rows.video, rows.positives, strict=True) if p}
    own = np.isin(rows.video, list(abnormal_videos))
    expected = of_frames(videos_of(rows), rows.hours) | {
        "AnoAUC": both(sk.roc_auc_score, rows.scores[own], rows.positives[own], negatives[own]),
        "prevalence": rows.positives.sum() / rows.frames.sum(),
        "FAR": rows.frames[~own & (rows.scores > 0.5)].sum() / rows.frames[~own].sum() if (~own).any() else None,
    }
    for metric, function in (("AUC", sk.roc_auc_score), ("AP", sk.average_precision_score)):
        per_class = {
            f"{metric}[{name}]": both(
                function,
                rows.class_scores[:, i],
                rows.class_positives[:, i],
                rows.frames - rows.class_positives[:, i],
            )
            for i, name in enumerate(CLASSES)
            if name != "Normal"
        }
        defined = [value for value in per_class.values() if value is not None]
        expected |= per_class | {f"m{metric}": np.mean(defined) if defined else None}
    assert found == pytest.approx(expected, abs=1e-12)


def both(function, scores, positives, negatives):
    """A scikit-learn metric on frames, ``None`` unless there are frames of both kinds."""
    labels, scores = frames_of(scores, positives, negatives)
    return function(labels, scores) if len(set(labels)) == 2 else None


def test_rows_with_weights_and_rows_per_frame_give_the_same_numbers():
    rows = split(3)
    order = np.repeat(np.arange(len(rows.scores)), rows.frames)
    place = np.concatenate([np.arange(f) for f in rows.frames])
    class_positives = (place[:, None] < rows.class_positives[order]).astype(int)
    positives = (place < rows.positives[order]).astype(int)
    class_positives[:, 0] = 1 - positives
    per_frame = replace(
        rows,
        video=rows.video[order],
        scores=rows.scores[order],
        frames=np.ones(len(order), dtype=int),
        positives=positives,
        class_scores=rows.class_scores[order],
        class_positives=class_positives,
    )
    assert evaluate(per_frame) == evaluate(rows)


def test_a_worked_split():
    """Two videos of two rows; one abnormal frame pair scores above, the other below the normal rows."""
    rows = ScoredRows(
        video=np.array([0, 0, 1, 1]),
        names=("bad", "good"),
        scores=np.array([0.9, 0.2, 0.6, 0.4]),
        frames=np.array([16, 16, 16, 8]),
        positives=np.array([16, 8, 0, 0]),
        class_scores=None,
        class_positives=None,
        class_names=("Normal", "Abuse"),
        normal=0,
    )
    found = {key: value.value for key, value in evaluate(rows).items()}
    assert found == {
        # 16 positives beat all 32 negatives; 8 positives tie with 8 negatives and lose to 24.
        "AUC": pytest.approx((16 * 32 + 8 * 8 / 2) / (24 * 32)),
        # In the first video 16 positives beat 8 negatives and 8 tie with them; in the other 16 beat all and 8 none.
        "AUC/within": pytest.approx((16 * 8 + 8 * 8 / 2) / (24 * 8)),
        "AUC/cross": pytest.approx(16 * 24 / (24 * 24)),
        "AUC/video": pytest.approx((16 * 8 + 8 * 8 / 2) / (24 * 8)),
        # The means are 0.55 and 0.533.
        "AUC/flattened": pytest.approx((24 * 24 + 24 * 8 / 2) / (24 * 32)),
        "pair-share": pytest.approx(24 * 8 / (24 * 32)),
        "AP": pytest.approx(16 / 24 * 1 + 8 / 24 * 24 / 56),
        # Above the lowest score 16 of 40 frames are positive.
        "AP/trapezoid": pytest.approx(16 / 24 * 1 + 8 / 24 * (16 / 40 + 24 / 56) / 2),
        "prevalence": pytest.approx(24 / 56),
        "AnoAUC": pytest.approx((16 * 8 + 8 * 8 / 2) / (24 * 8)),
        "FAR": pytest.approx(16 / 24),
        **{f"recall@{rate}%FPR": pytest.approx(16 / 24) for rate in (1, 2, 3, 5)},
        **{f"false-frames-per-hour@{rate}%FPR": None for rate in (1, 2, 3, 5)},
        "FPR@95TPR": 1,
        "distinct": 4,
        "mAUC": None,
        "mAP": None,
    }
    assert evaluate(rows)["mAUC"].reason == "the method gives no probabilities of these classes"


def only(rows, **changes):
    return evaluate(replace(rows, **changes))


def test_undefined_metrics_are_none_with_a_reason():
    rows = split(1)
    nothing = np.zeros_like(rows.positives)
    normal = np.zeros_like(rows.class_positives)
    normal[:, 0] = rows.frames
    metrics = only(rows, positives=nothing, class_positives=normal)
    for key in ("AUC", "AP", "AnoAUC", "mAUC", "mAP", "AUC[Abuse]", "AP[Abuse]"):
        assert metrics[key].value is None and metrics[key].reason, key
    assert metrics["AUC"].reason == "the split has only normal frames"
    assert metrics["prevalence"] == MetricValue(value=0.0)
    assert metrics["FAR"].value is not None

    normal[:, 0] = 0
    metrics = only(rows, positives=rows.frames, class_positives=normal)
    assert metrics["AUC"].reason == "the split has only anomalous frames"
    assert metrics["AP"].value == 1
    assert metrics["FAR"].value is None

    metrics = evaluate(rows)
    assert metrics["AP[Unseen]"] == MetricValue(value=None, reason="the split has no frame of class Unseen")
    assert only(rows, class_positives=None)["mAP"].reason == "the data set annotates no classes"
    assert "AUC[Abuse]" not in only(rows, class_scores=None)


def test_an_empty_split_has_no_metric():
    empty = np.zeros(0, dtype=int)
    rows = ScoredRows(empty, (), np.zeros(0), empty, empty, np.zeros((0, 4)), np.zeros((0, 4), int), CLASSES, normal=0)
    assert all(value.value is None and value.reason for value in evaluate(rows).values())


def test_classes_ranked_in_threads_have_the_same_values(monkeypatch):
    """More classes than are ranked at a time, on any number of cores."""
    rng = np.random.default_rng(0)
    names = ("Normal", *(f"c{i}" for i in range(9)))
    label = rng.integers(0, 10, 3000)
    truth = (label[:, None] == np.arange(10)).astype(int)
    ones, scores = np.ones(3000, int), rng.random((3000, 10), np.float32)
    rows = ScoredRows(label // 5, ("a", "b"), scores[:, 0], ones, 1 - truth[:, 0], scores, truth, names, normal=0)
    alone, used = evaluate(rows), set()
    monkeypatch.setattr("vadbench.metrics.evaluation.WORTH_A_THREAD", 0)
    monkeypatch.setattr("vadbench.metrics.evaluation.threads", lambda: 16)
    of_class = ScoredRows.one_vs_rest
    monkeypatch.setattr(ScoredRows, "one_vs_rest", lambda *given: used.add(current_thread()) or of_class(*given))
    assert list(evaluate(rows).items()) == list(alone.items())
    assert main_thread() not in used and 1 <= len(used) <= CLASSES_AT_ONCE < 9


@given(st.integers(0, 200))
def test_values_are_plain_json_without_nan(seed):
    metrics = evaluate(split(seed, videos=2))
    written = json.dumps({key: value.model_dump() for key, value in metrics.items()}, allow_nan=False)
    assert {key: MetricValue(**value) for key, value in json.loads(written).items()} == metrics
    assert all(value.reason for value in metrics.values() if value.value is None)
    beside = {key for key, value in metrics.items() if value.value is not None and value.reason}
    assert all(metrics[key].value == 0 and key.startswith("recall@") for key in beside)


def test_false_alarm_rate_needs_scores_between_0_and_1():
    rows = split(2)
    for wrong in (rows.scores * 2, rows.scores - 0.5):
        far = only(rows, scores=wrong)["FAR"]
        assert far == MetricValue(value=None, reason="scores are not between 0 and 1")


def test_a_method_that_declares_other_scores_has_no_false_alarm_rate():
    """Even where these happen to lie between 0 and 1, and never 0 for want of alarms."""
    rows = split()
    assert evaluate(rows)["FAR"].value is not None
    found = evaluate(replace(rows, unit_scores=False))
    assert found["FAR"].value is None
    assert "a fixed threshold means nothing" in found["FAR"].reason
    assert {k: v for k, v in found.items() if k != "FAR"} == {k: v for k, v in evaluate(rows).items() if k != "FAR"}


def test_a_score_of_exactly_one_half_is_no_alarm():
    rows = split(2)
    assert only(rows, scores=np.full(len(rows.scores), 0.5))["FAR"].value == 0
    assert only(rows, scores=np.full(len(rows.scores), np.nextafter(0.5, 1)))["FAR"].value == 1


def test_drop_zeros_leaves_a_true_zero_out_of_the_mean():
    positives = np.array([[4, 0, 0], [0, 4, 0], [0, 0, 4]])
    rows = ScoredRows(
        video=np.arange(3),
        names=("a", "b", "c"),
        scores=np.array([0.1, 0.8, 0.9]),
        frames=np.full(3, 4),
        positives=np.array([0, 4, 4]),
        class_scores=np.array([[0.1, 0.9, 0.0], [0.0, 0.5, 0.5], [0.0, 0.6, 0.9]]),
        class_positives=positives,
        class_names=("Normal", "Abuse", "Arson"),
        normal=0,
    )
    kept, dropped = evaluate(rows), evaluate(rows, drop_zeros=True)
    assert (kept["AUC[Abuse]"].value, kept["AUC[Arson]"].value) == (0, 1)
    assert (kept["mAUC"].value, dropped["mAUC"].value) == (0.5, 1)
    assert kept["mAP"] == dropped["mAP"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": np.ones(3, dtype=int)}, "'frames' must have shape"),
        ({"scores": np.zeros(6, dtype=int)}, "'scores' must be floating point"),
        ({"positives": np.zeros(6)}, "'positives' must be integers"),
        ({"class_scores": np.zeros((6, 3))}, "'class_scores' must have shape"),
        ({"normal": 4}, "'normal' must be a class id from 0 to 3, found 4"),
        ({"video": np.array([0, 0, 0, 1, 1, 2])}, "a video index without a name at row 5"),
        ({"video": np.array([-1, 0, 0, 1, 1, 1])}, "a video index without a name at row 0"),
        ({"scores": np.array([0, 0, np.nan, 0, 0, np.inf])}, r"not finite at row 2 \(video a\); 2 such rows"),
        ({"positives": np.array([0, 0, 0, 17, 0, 0])}, r"positives outside 0..frames at row 3 \(video b\)"),
        ({"positives": np.array([0, -1, 0, 0, 0, 0])}, "positives outside 0..frames at row 1"),
        ({"class_scores": np.full((6, 4), np.nan)}, "a class probability that is not finite"),
        ({"class_positives": np.full((6, 4), 17)}, "class positives outside"),
        ({"class_positives": np.zeros((6, 4), dtype=int)}, "a normal class whose positives are not"),
    ],
)
def test_rows_that_contradict_themselves_are_refused(change, message):
    rows = ScoredRows(
        video=np.array([0, 0, 0, 1, 1, 1]),
        names=("a", "b"),
        scores=np.zeros(6),
        frames=np.full(6, 16),
        positives=np.zeros(6, dtype=int),
        class_scores=None,
        class_positives=None,
        class_names=CLASSES,
        normal=0,
    )
    with pytest.raises(DataError, match=message):
        replace(rows, **change)


def test_rows_know_their_totals():
    rows = split(5)
    assert rows.total == rows.frames.sum()
    for i in range(len(rows.names)):
        assert rows.video_frames[i] == rows.frames[rows.video == i].sum()
        assert rows.abnormal[i] == rows.positives[rows.video == i].any()
