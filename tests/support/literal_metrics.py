"""Metrics of the place of anomalies and of operating points, read literally: frame by frame, with loops over videos,
pairs and thresholds, and with scikit-learn."""

import numpy as np
from sklearn import metrics as sk

RATES = (0.01, 0.02, 0.03, 0.05)


def of_frames(videos, hours=None):
    """All metrics by key, ``None`` where one is undefined.

    Args:
        videos: scores and truth of every frame, a pair of arrays for each video.
        hours: of each video, where they are known.
    """
    scores, truth = (np.concatenate(parts) for parts in zip(*videos, strict=True))
    both = truth.any() and not truth.all()
    flat = np.concatenate([np.full(len(s), float(f"{s.mean(dtype=float):.11e}") if len(s) else 0) for s, _ in videos])
    found = {
        "AUC": sk.roc_auc_score(truth, scores) if both else None,
        "AUC/flattened": sk.roc_auc_score(truth, flat) if both else None,
        "AUC/cross": cross(videos),
        "AP": sk.average_precision_score(truth, scores) if truth.any() else None,
        "AP/trapezoid": trapezoid(truth, scores) if truth.any() else None,
        "distinct": len(set(scores.tolist())) or None,
    }
    return found | within(videos) | operating(videos, scores, truth, hours)


def trapezoid(truth, scores):
    """Area under the precision-recall curve as papers compute it."""
    precision, recall, _ = sk.precision_recall_curve(truth, scores)
    return sk.auc(recall, precision)


def within(videos):
    """AUC within videos, weighted by pairs and not, and the share of these pairs."""
    aucs, pairs = [], []
    for scores, truth in videos:
        if len(truth) and truth.any() and not truth.all():
            aucs.append(sk.roc_auc_score(truth, scores))
            pairs.append(int(truth.sum()) * int((~truth).sum()))
    truth = np.concatenate([t for _, t in videos])
    every = int(truth.sum()) * int((~truth).sum())
    return {
        "AUC/within": sum(a * m for a, m in zip(aucs, pairs, strict=True)) / sum(pairs) if aucs else None,
        "AUC/video": np.mean(aucs) if aucs else None,
        "pair-share": sum(pairs) / every if every else None,
    }


def cross(videos):
    """Share of the pairs of frames of different videos that are in right order, counted one by one."""
    right = count = 0
    for i, (scores, truth) in enumerate(videos):
        for j, (others, false) in enumerate(videos):
            if i != j:
                high, low = scores[truth][:, None], others[~false]
                right += (high > low).sum() + (high == low).sum() / 2
                count += truth.sum() * (~false).sum()
    return right / count if count else None


def operating(videos, scores, truth, hours):
    """Operating points, by trying every threshold."""
    normal = [s for s, t in videos if len(s) and not t.any()]
    # Python floats, which are compared with scores in the precision of these.
    thresholds = sorted(set(scores.tolist()), reverse=True)
    alarms = [sum((s >= t).sum() for s in normal) for t in thresholds]
    tpr = [(scores[truth] >= t).mean() if truth.any() else None for t in thresholds]
    fpr = [(scores[~truth] >= t).mean() if not truth.all() else None for t in thresholds]
    of_normal = [] if hours is None else [h for h, (_, t) in zip(hours, videos, strict=True) if len(t) and not t.any()]
    whole = sum(of_normal) if of_normal and not np.isnan(of_normal).any() else None
    both, found = truth.any() and not truth.all(), {}
    for rate in RATES:
        recall, false = 0.0, 0
        for i in range(len(thresholds)) if both else ():
            if fpr[i] <= rate and tpr[i] > recall:
                recall, false = tpr[i], alarms[i]
        found[f"recall@{rate:.0%}FPR"] = recall if both else None
        found[f"false-frames-per-hour@{rate:.0%}FPR"] = false / whole if both and whole else None
    frames = sum(len(s) for s in normal)
    reached = [i for i in range(len(thresholds)) if both and tpr[i] >= 0.95]
    return found | {"FPR@95TPR": alarms[reached[0]] / frames if reached and frames else None}
