"""The first order of areas against derivatives of scikit-learn's weighted areas, and against exact resamples."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from drawn_rows import drawn_rows, rows_of, videos_of
from vadbench.metrics import first_order, operating
from vadbench.metrics.bootstrap import draw_videos, percentiles, resampled_metrics
from vadbench.metrics.descent import descend
from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.first_order import ENOUGH, FirstOrder, many, near
from vadbench.metrics.multiplicities import Multiplicities
from vadbench.metrics.operating import RESAMPLED, OperatingPoints
from vadbench.metrics.sweep import Sweep

AREAS = ("AUC", "AP", "AP/trapezoid")
CHANGE = 1e-4


def in_resamples(rows, draws):
    binary = rows.binary()
    return FirstOrder(descend(binary), Multiplicities(np.asarray(draws))).areas(AREAS)


def weighted(scores, truth, weights):
    """The areas of frames of some weight each, by scikit-learn."""
    precision, recall, _ = sk.precision_recall_curve(truth, scores, sample_weight=weights)
    return {
        "AUC": sk.roc_auc_score(truth, scores, sample_weight=weights),
        "AP": sk.average_precision_score(truth, scores, sample_weight=weights),
        "AP/trapezoid": sk.auc(recall, precision),
    }


@given(drawn_rows(videos=6, longest=6), st.integers(0, 5))
@settings(max_examples=150)
def test_a_video_changes_what_it_changes_in_weighted_areas(rows, changed):
    """By how much an area grows per part of a video more, as each resample is a few of these steps."""
    videos = videos_of(rows)
    assume(changed < len(videos))
    scores, truth = (np.concatenate(parts) for parts in zip(*videos, strict=True))
    assume(0 < truth.sum() < len(truth))
    owner = np.repeat(np.arange(len(videos)), [len(own) for own, _ in videos])
    draws = np.ones((2, len(videos)))
    draws[0, changed] += CHANGE
    draws[1, changed] -= CHANGE
    found = in_resamples(rows, draws)
    more, less = (weighted(scores, truth, draw[owner]) for draw in draws)
    for key in AREAS:
        growth = (found[key][0] - found[key][1]) / (2 * CHANGE)
        assert growth == pytest.approx((more[key] - less[key]) / (2 * CHANGE), abs=1e-6), key


@given(drawn_rows(videos=8, longest=12))
def test_all_videos_once_give_the_areas_themselves(rows):
    assume(0 < rows.positives.sum() < rows.frames.sum())
    values = evaluate(rows)
    found = in_resamples(rows, np.ones((1, len(rows.names))))
    for key in AREAS:
        assert found[key] == pytest.approx([values[key].value], abs=1e-12), key


def test_an_area_is_never_beyond_what_it_can_be():
    """Without the worst of the negatives both would grow beyond 1, and without the best of the positives below 0."""
    order = np.array([0.9, 0.8, 0.2, 0.1])
    for positives, end in (([5, 0, 5, 0], 1.0), ([0, 5, 0, 5], 0.0)):
        rows = rows_of(np.arange(4), order, np.full(4, 5), np.array(positives))
        found = in_resamples(rows, [[3, 0, 0, 1], [1, 0, 0, 3], [0, 2, 2, 0], [0, 3, 1, 0]])
        assert all(((values >= 0) & (values <= 1)).all() for values in found.values())
        assert any((values == end).any() for values in found.values())


def test_without_a_positive_there_is_no_area():
    rows = rows_of(np.arange(4), np.array([0.9, 0.8, 0.2, 0.1]), np.full(4, 5), np.array([5, 5, 0, 0]))
    assert all(np.isnan(values).all() for values in in_resamples(rows, [[0, 0, 2, 2]]).values())


def world(seed, abnormal, normal, signal, digits=9, longest=20):
    """A split whose videos share an effect and whose abnormal ones have a segment of higher scores."""
    rng = np.random.default_rng(seed)
    videos = abnormal + normal
    lengths = rng.integers(2, longest, videos)
    owner = np.repeat(np.arange(videos), lengths)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    inside = (owner < abnormal) & (place < lengths[owner] * rng.random(videos)[owner])
    scores = rng.normal(size=len(owner)) + rng.normal(size=videos)[owner] + signal * (inside + 0.3 * (owner < abnormal))
    frames = np.full(len(owner), 16)
    return rows_of(owner, scores.round(digits), frames, frames * inside, rng.random(videos) + 0.1)


def widths_apart(found, exact):
    """The larger distance between the ends of two intervals, in widths of the second."""
    (low, high, _), (exact_low, exact_high, _) = percentiles(found), percentiles(exact)
    return max(abs(low - exact_low), abs(high - exact_high)) / (exact_high - exact_low)


@pytest.mark.parametrize(
    ("abnormal", "normal", "signal", "digits"),
    [(600, 500, 0.5, 9), (600, 500, 2.0, 9), (500, 900, 4.0, 9), (500, 900, 2.0, 1), (600, 0, 0.0, 9)],
    ids=["weak", "fair", "strong", "tied", "chance, no normal video"],
)
def test_intervals_of_many_videos_are_those_of_exact_resamples(monkeypatch, abnormal, normal, signal, digits):
    rows = world(0, abnormal, normal, signal, digits)
    assert many(rows.binary(), len(rows.names))
    draws, keys = draw_videos(len(rows.names), 400), list(evaluate(rows))
    found = resampled_metrics(rows, keys, draws)
    monkeypatch.setattr(first_order, "ENOUGH", 10**6)
    exact = resampled_metrics(rows, keys, draws)
    assert found.keys() == exact.keys()
    apart = {key: widths_apart(found[key], exact[key]) for key in (*AREAS, "AnoAUC", "AUC/cross", "AUC/flattened")}
    assert 0 < max(apart.values()) < 0.1, apart
    for key in exact.keys() - apart.keys():
        np.testing.assert_allclose(found[key], exact[key], atol=1e-12, rtol=0, err_msg=key)


@pytest.mark.parametrize("frames", [4, 40, 160])
def test_where_a_few_videos_decide_an_average_precision_is_exact(monkeypatch, frames):
    """One normal video above all others: precision at the top is that of a coin, however many videos there are."""
    rng = np.random.default_rng(frames)
    counts = np.full(1500, 4)
    counts[310] = frames
    inside = np.arange(1500) < 310
    scores = inside + 0.5 * rng.random(1500)
    scores[310] = 2
    rows = rows_of(np.arange(1500), scores, counts, counts * inside)
    assert many(rows.binary(), 1500)
    draws = draw_videos(1500, 200)
    found = resampled_metrics(rows, AREAS, draws)
    monkeypatch.setattr(first_order, "ENOUGH", 10**6)
    exact = resampled_metrics(rows, AREAS, draws)
    np.testing.assert_array_equal(found["AP"], exact["AP"])
    assert widths_apart(found["AUC"], exact["AUC"]) < 0.1


def test_what_is_exact_does_not_depend_on_what_else_is_asked_for():
    """The abnormal videos with normal frames are too few for AnoAUC, those of all frames are enough."""
    rng = np.random.default_rng(0)
    video = np.repeat(np.arange(900), 2)
    inside = (video < 400) & ((video < 200) | (np.arange(1800) % 2 > 0))
    rows = rows_of(video, rng.random(1800) + inside, np.full(1800, 16), 16 * inside, rng.random(900) + 0.1)
    draws, keys = draw_videos(900, 100), ["AP", "AUC", "AnoAUC", "AUC/cross", "AP/trapezoid", *RESAMPLED]
    together = resampled_metrics(rows, keys, draws)
    for key in keys:
        np.testing.assert_array_equal(resampled_metrics(rows, [key], draws)[key], together[key], err_msg=key)


def test_values_are_near_by_how_far_they_are_apart_on_the_whole():
    found, rng = np.random.default_rng(0).normal(size=1000), np.random.default_rng(1)
    exact = found[:32] + 0.1 * rng.choice([-1, 1], 32)
    assert near(found, exact) and not near(found, found[:32] + 2 * (exact - found[:32]))
    assert near(np.ones(100), np.ones(32)) and not near(np.ones(100), np.zeros(32))
    assert not near(found, np.full(32, np.nan))


def test_the_first_order_is_for_videos_that_weigh_as_much_as_so_many_equal_ones():
    def rows(count, heavy=1, positives=1):
        frames = np.full((count, 2), 4)
        frames[0] *= heavy
        video = np.repeat(np.arange(count), 2)
        counts = frames.ravel()
        return rows_of(video, np.arange(2.0 * count), counts, counts * np.tile([1, 0], count) * positives).binary()

    assert many(rows(ENOUGH), ENOUGH)
    assert not many(rows(ENOUGH - 1), ENOUGH - 1)
    assert not many(rows(ENOUGH, heavy=2), ENOUGH), "one counts twice, so the others count for less"
    assert many(rows(2 * ENOUGH, heavy=10), 2 * ENOUGH)
    assert not many(rows(2 * ENOUGH, heavy=60), 2 * ENOUGH)
    assert not many(rows(ENOUGH, positives=0), ENOUGH), "there is nothing to rank"


@pytest.mark.parametrize(("signal", "digits"), [(0.5, 9), (2.0, 9), (2.0, 1), (1.0, 0)])
def test_operating_points_in_a_few_steps_are_those_in_all(monkeypatch, signal, digits):
    rows = world(1, 300, 300, signal, digits)
    draws = draw_videos(600, 200)
    looked_at, window = [], operating.window

    def spied(*given):
        looked_at.append(window(*given))
        return looked_at[-1]

    monkeypatch.setattr(operating, "window", spied)
    binary, drawn = rows.binary(), Multiplicities(draws)
    sweep, few = Sweep(descend(binary), drawn, rows.normal_videos), OperatingPoints(rows, drawn)
    few.find(sweep)
    monkeypatch.setattr(first_order, "ENOUGH", 10**6)
    every = resampled_metrics(rows, RESAMPLED, draws)
    found = few.values()
    assert found.keys() == set(RESAMPLED) and not np.isnan(found["FPR@95TPR"]).any()
    for key, values in found.items():
        np.testing.assert_array_equal(values, every[key], err_msg=key)
    shares = [(steps.stop - (steps.start or 0)) / sweep.steps for steps in looked_at]
    # Where scores are rounded to whole numbers there are hardly any steps, and a part of them cannot be told.
    assert shares[-1] < 0.3 if digits else max(shares) == 1, shares


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.3, 1.0, 2.0, 3.0])
def test_operating_points_do_not_depend_on_how_many_steps_are_looked_at(monkeypatch, margin):
    """With few resamples and a small margin the points of some are at the ends of what is looked at, or beyond."""
    rows = world(3, 100, 100, 1.0, digits=2)
    monkeypatch.setattr(operating, "MARGIN", margin)
    for seed in range(20):
        draws = draw_videos(200, 3, seed)
        drawn, few = Multiplicities(draws), OperatingPoints(rows, Multiplicities(draws))
        few.find(Sweep(descend(rows.binary()), drawn, rows.normal_videos))
        every = resampled_metrics(rows, RESAMPLED, draws)
        for key, values in few.values().items():
            np.testing.assert_array_equal(values, every[key], err_msg=key)


def test_a_window_of_a_sweep_shows_its_steps_as_the_whole_sweep_does():
    rows = world(2, 20, 20, 1.0, digits=1)
    drawn = Multiplicities(draw_videos(40, 70))

    class Seen:
        def __init__(self):
            self.blocks = []

        def add(self, block):
            self.blocks.append(block)

        def columns(self):
            parts = {block.resamples.start: [] for block in self.blocks}
            for b in self.blocks:
                parts[b.resamples.start].append(
                    np.stack([b.gained, b.tied, b.tp, b.fp, b.apart_tied, b.apart_fp], dtype=np.float64)
                )
            return np.concatenate([np.concatenate(own, axis=1) for own in parts.values()], axis=2)

    sweep = Sweep(descend(rows.binary()), drawn, rows.normal_videos)
    whole, part = Seen(), Seen()
    sweep.count([whole])
    sweep.count([part], slice(5, 17))
    assert whole.columns().shape == (6, sweep.steps, 70)
    np.testing.assert_array_equal(part.columns(), whole.columns()[:, 5:17])
    np.testing.assert_array_equal(sweep.above(5), whole.columns()[[2, 3, 5], 4])
    tp, fp = sweep.totals
    assert (tp[-1], fp[3]) == (
        rows.positives.sum(),
        Sweep(descend(rows.binary()), Multiplicities(np.ones((1, 40)))).above(4)[1],
    )
