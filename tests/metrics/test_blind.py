"""Scores that look at no frame: literal values, and those of the literature's test sets."""

import json

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score
from vadbench_ucfcrime.dataset import UcfCrime

from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.metrics.blind import BLIND, blind_metrics, blind_split
from vadbench.scoring.protocol import NATIVE
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores
from xd_lists import xdviolence

TABLE = ClassTable((VideoClass("Normal"), VideoClass("Odd")), 0)
LENGTHS = (31, 16, 47, 8)
RUNS = ([(3, 9), (20, 31)], [], [(0, 5)], [])


def made(stride=16, **rules):
    """A split of four videos, two of them abnormal, of which only frame counts and annotations matter."""
    videos = [
        Video(f"v{i}", ("Odd" if runs else "Normal",), segments=tuple(Segment("Odd", *run) for run in runs))
        for i, runs in enumerate(RUNS)
    ]
    given = [
        VideoScores(v.name, n, np.ones(-(-n // stride), np.float32), None) for v, n in zip(videos, LENGTHS, strict=True)
    ]
    return ScoredSplit(given, videos, stride, TABLE, NATIVE.rules.model_copy(update=rules))


def literal(name, lengths=LENGTHS):
    """Scores and truth of every frame."""
    scores, truth = [], []
    for frames, runs in zip(lengths, RUNS, strict=True):
        bell = norm.pdf(np.arange(frames), (frames - 1) / 2, frames / 2) * np.sqrt(2 * np.pi) * (frames / 2)
        scores += {
            "blind-length": [-frames] * frames,
            "blind-centre": list(bell),
            "blind-oracle-label": [bool(runs)] * frames,
            "blind-oracle-centre": list(bell * bool(runs)),
        }[name]
        truth += [any(start <= t < end for start, end in runs) for t in range(frames)]
    return np.round(np.array(scores, float), 12), np.array(truth)


@pytest.mark.parametrize("name", BLIND)
@pytest.mark.parametrize("rules", [{}, {"tail": "rows"}], ids=str)
def test_metrics_are_those_of_every_frame(name, rules):
    split = made(**rules)
    lengths = [32, 16, 48, 16] if "tail" in rules else LENGTHS
    scores, truth = literal(name, lengths)
    found = blind_metrics(split, ["AUC", "AP", "AnoAUC", "mAUC", "FAR"])[name]
    assert found["AUC"].value == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert found["AP"].value == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
    abnormal = np.repeat([bool(runs) for runs in RUNS], lengths)
    assert found["AnoAUC"].value == pytest.approx(roc_auc_score(truth[abnormal], scores[abnormal]), abs=1e-12)
    assert found["mAUC"].value is None, "no blind score tells classes apart"
    if name == "blind-length":
        assert found["FAR"].value is None and "not between 0 and 1" in found["FAR"].reason
    else:
        assert found["FAR"].value == np.mean(scores[~abnormal] > 0.5)


def test_a_blind_split_is_the_same_videos_a_row_a_frame():
    split = made()
    blind = blind_split(split, "blind-centre")
    assert blind.videos is split.videos and blind.stride == 1
    assert [len(s.anomaly) for s in blind.scores] == list(LENGTHS)
    assert blind.rows.positives.sum() == split.rows.positives.sum() == 22


NAMES = {
    "blind-length": "length (shorter is more anomalous)",
    "blind-centre": "centre prior",
    "blind-oracle-label": "oracle video label",
    "blind-oracle-centre": "oracle video label x centre prior",
}
THE_SAME = ("AUC", "AP", "AnoAUC", "FAR", *(f"recall@{percent}%FPR" for percent in (1, 2, 3, 5)))
KEYS = {key: key for key in THE_SAME} | {
    "AUC/within": "within",
    "AUC/cross": "cross",
    "AUC/video": "macro_within",
    "AUC/flattened": "video_mean_AUC",
    "pair-share": "pair_share",
    "AP/trapezoid": "AP_trapezoid",
    "FPR@95TPR": "FPR_at_95TPR_normal_videos",
    "distinct": "distinct_scores",
}
"""Names of the metrics in the file of recorded values."""


@pytest.mark.parametrize("short", ["ucf", "xd"])
def test_the_test_sets_of_the_literature_have_the_recorded_values(test_data, tmp_path, short):
    dataset = UcfCrime(test_data / "ucfcrime") if short == "ucf" else xdviolence(test_data / "xdviolence", tmp_path)
    expected = json.loads((test_data / "scores" / "expected.json").read_text())
    videos = dataset.videos("test")
    given = [VideoScores(v.name, v.frames, np.zeros(1, np.float32), None) for v in videos]
    split = ScoredSplit(given, videos, 16, dataset.classes, NATIVE.rules)
    for name, found in blind_metrics(split, KEYS).items():
        recorded = expected[f"blind {short} {NAMES[name]}"]
        assert found.keys() == KEYS.keys()
        for key, theirs in KEYS.items():
            if (name, key) == ("blind-length", "FAR"):
                assert found[key].value is None, "its scores are not between 0 and 1"
            else:
                assert found[key].value == pytest.approx(recorded[theirs], abs=1e-9), (name, key)
