"""Videos that carry a metric are counted as a loop over frames does, and too few of them are said in words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.base.errors import UnknownNameError
from vadbench.metrics.bootstrap import with_intervals
from vadbench.metrics.carriers import FEWEST, Carriers, carriers
from vadbench.metrics.evaluation import evaluate
from vadbench.scoring.rows import ScoredRows

CLASSES = ("Normal", "Fire", "Riot")


def rows_of(videos, seed=0):
    """A split from ``(class or None, normal frames, anomalous frames)`` of each video, one row for each kind."""
    rng = np.random.default_rng(seed)
    parts = [(i, n, 0, 0) for i, (_, n, _) in enumerate(videos)]
    parts += [(i, p, p, CLASSES.index(name)) for i, (name, _, p) in enumerate(videos) if name]
    parts.sort(key=lambda part: part[0])
    video, frames, positives, label = (np.array(column) for column in zip(*parts, strict=True))
    class_positives = np.zeros((len(video), len(CLASSES)), int)
    class_positives[np.arange(len(video)), label] = np.where(label > 0, positives, frames)
    scores = rng.random((len(video), len(CLASSES)))
    names = tuple(f"v{i}" for i in range(len(videos)))
    return ScoredRows(video, names, scores[:, 0], frames, positives, scores, class_positives, CLASSES, normal=0)


VIDEOS = st.lists(
    st.one_of(
        st.tuples(st.none(), st.integers(0, 3), st.just(0)),
        st.tuples(st.sampled_from(CLASSES[1:]), st.integers(0, 3), st.integers(0, 3)),
    ),
    min_size=1,
    max_size=12,
)


@given(VIDEOS)
def test_videos_of_every_kind_are_counted(videos):
    """By a loop over the videos' frames; a video without frames is of no kind."""
    rows = rows_of(videos)
    abnormal = sum(p > 0 for _, _, p in videos)
    normal = sum(p == 0 and n > 0 for _, n, p in videos)
    mixed = sum(p > 0 and n > 0 for _, n, p in videos)
    fire = sum(name == "Fire" and p > 0 for name, _, p in videos)
    for metric in ("AUC", "AP", "AnoAUC", "mAUC", "mAP@IoU", "AUC(coarse)"):
        assert (carriers(rows, metric).count, carriers(rows, metric).kind) == (abnormal, "abnormal")
    assert (carriers(rows, "FAR").count, carriers(rows, "FAR").kind) == (normal, "normal")
    assert (carriers(rows, "AUC/within").count, carriers(rows, "AUC/within").kind) == (mixed, "mixed")
    assert carriers(rows, "FPR@95TPR").count == min(abnormal, normal)
    assert carriers(rows, "AUC[Fire]") == Carriers(fire, "class", "Fire")


def test_a_class_that_is_not_annotated_is_carried_by_no_video():
    assert carriers(rows_of([("Fire", 1, 1)] * 6), "AP[Flood]").count == 0


def test_an_unknown_metric_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean"):
        carriers(rows_of([("Fire", 1, 1)]), "AUCC")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Carriers(2), "2 abnormal videos, fewer than 5"),
        (Carriers(1, "normal"), "1 normal video, fewer than 5"),
        (Carriers(0, "mixed"), "0 videos with frames of both kinds, fewer than 5"),
        (Carriers(1, "class", "Road Accidents"), "1 video of class Road Accidents, fewer than 5"),
    ],
)
def test_too_few_are_named_with_their_number_and_kind(found, words):
    assert found.too_few and found.reason == words
    assert found.verdict == f"too few videos to tell: {words}"


@pytest.mark.parametrize("abnormal", [1, 4, 5])
def test_fewer_than_five_abnormal_videos_have_no_interval(abnormal):
    """Beside them are enough normal videos, so the false-alarm rate has an interval all the same."""
    rows = rows_of([("Fire", 3, 2)] * abnormal + [(None, 4, 0)] * 9)
    found = with_intervals(rows, evaluate(rows))
    for key in ("AUC", "AP", "AnoAUC", "mAUC", "mAP", "prevalence"):
        assert found[key].value is not None
        assert (found[key].low is None) == (found[key].high is None) == (abnormal < FEWEST)
        videos = "video" if abnormal == 1 else "videos"
        told = None if abnormal >= FEWEST else f"no interval: {abnormal} abnormal {videos}, fewer than 5"
        assert found[key].reason == told
    assert found["FAR"].low is not None


@pytest.mark.parametrize("normal", [1, 4, 5])
def test_fewer_than_five_normal_videos_have_no_interval_of_false_alarms(normal):
    rows = rows_of([("Fire", 3, 2)] * 9 + [(None, 4, 0)] * normal)
    found = with_intervals(rows, evaluate(rows))
    assert (found["FAR"].low is None) == (normal < FEWEST)
    assert found["FAR"].reason is None or found["FAR"].reason.startswith(f"no interval: {normal} normal video")
    assert found["AUC"].low is not None


def test_a_class_of_one_video_has_no_interval_beside_one_of_five():
    rows = rows_of([("Fire", 3, 2)] + [("Riot", 3, 2)] * 5 + [(None, 4, 0)] * 6)
    found = with_intervals(rows, evaluate(rows))
    for metric in ("AUC", "AP"):
        assert found[f"{metric}[Fire]"].reason == "no interval: 1 video of class Fire, fewer than 5"
        assert found[f"{metric}[Riot]"].low is not None
    assert found["mAUC"].low is not None
