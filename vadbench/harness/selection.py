"""Selection of the weights of a training to evaluate: the last, or the best by a rule that every result states."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vadbench.base.locations import TRAINING_LOG
from vadbench.dataset import Dataset, Split, Video
from vadbench.harness.provision import Provision
from vadbench.harness.video_inputs import scored_inputs
from vadbench.harness.watched_videos import are_annotated, hold_out, require_watchable
from vadbench.method import Method
from vadbench.metrics.ranking import Ranking
from vadbench.scoring.protocol import Selection
from vadbench.scoring.scoring import score_videos
from vadbench.scoring.video_scores import VideoScores
from vadbench.training.loop import Judge

TOP_SHARE = 16
"""A video's score is the mean of its top ``rows // TOP_SHARE + 1`` rows, the number that MIL losses look at
(spec of VadCLIP, section 2)."""


class Chosen(NamedTuple):
    """The videos to train on, and the judge of the weights, ``None`` if the last ones are evaluated.

    ``by`` says in words what it measures on a validation split, and on a test split where the protocol says so.
    """

    videos: Sequence[Video]
    judge: Judge | None = None
    by: str = ""


def choose_judge(
    dataset: Dataset,
    provision: Provision,
    rule: Selection,
    headline: Callable[[Method, Split], float],
    metric: str,
    precision: str,
    seed: int,
) -> Chosen:
    """Return the videos to train on and the judge of the weights.

    ``validation`` looks at the validation split: at its frames where every abnormal video is annotated, else at whole
    videos. Without that split it looks at training videos that it holds out.

    Args:
        dataset: says which videos are normal.
        provision: its videos and their features.
        rule: which weights are evaluated.
        headline: measures a split by the frames.
        metric: key of the metric that it measures.
        precision: arithmetic of the method, as in a recipe.
        seed: of the run.

    Raises:
        ConfigError: the data set does not allow the selection.
    """
    # A method without training needs no such videos.
    videos = provision.videos.get("train", ())
    if rule == "last":
        return Chosen(videos)
    if rule == "best-on-test":
        by = f"by the {metric} of frames" if metric != dataset.headline else ""
        return Chosen(videos, lambda method: headline(method, "test"), by)
    watched, by = provision.videos.get("validation"), "by the AUC of whole videos"
    if watched is None:
        videos, watched = hold_out(dataset, videos, seed)
        by = ""
    elif are_annotated(dataset, watched):
        by = f"by the {metric} of frames"
        return Chosen(videos, lambda method: headline(method, "validation"), by)
    crops = provision.scored_like_test([v.name for v in watched])
    abnormal = {v.name: not dataset.is_normal(v) for v in watched}
    require_watchable(dataset, rule, provision.videos)  # some may have been left out

    def judge(method: Method) -> float:
        videos = scored_inputs(provision, crops, seed)
        return video_auc(score_videos(method, videos, provision.joined, precision, total=len(crops)), abnormal)

    return Chosen(videos, judge, by)


def selection_notes(rule: Selection, folder: Path, by: str = "") -> list[str]:
    """Return the notes on how the weights of a result were chosen.

    Args:
        rule: the rule that chose them.
        folder: of the training.
        by: what it measured, as in :class:`Chosen`.
    """
    if rule == "last":
        return []
    log = folder / TRAINING_LOG
    lines = map(json.loads, log.read_text(encoding="utf-8").splitlines() if log.is_file() else [])
    looked = [line for line in lines if "looks" in line]
    # The weights that are evaluated are those of the last stage that was looked at.
    looks = [look for line in looked if line.get("stage") == looked[-1].get("stage") for look in line["looks"]]
    own = f"the validation split {by}" if by else "training videos held out"
    where = f"the test split {by}".rstrip() if rule == "best-on-test" else own
    seen = f" ({len(looks)} looks, the best {max(looks):.4f})" if looks else ""
    return [f"weights selected on {where}{seen}: not comparable with weights of the last epoch"]


def video_auc(scores: Sequence[VideoScores], abnormal: Mapping[str, bool]) -> float:
    """Return the AUC of whole videos, abnormal against normal, each scored by the mean of its top rows."""
    tops = np.array([_top_mean(s) for s in scores], np.float64)
    positive = np.array([abnormal[s.name] for s in scores], np.int64)
    value = Ranking(tops).hits(positive, 1 - positive).auc
    assert value is not None  # there are both kinds
    return value


def _top_mean(scores: VideoScores) -> float:
    count = len(scores.anomaly) // TOP_SHARE + 1
    return float(np.sort(scores.anomaly)[-count:].mean())
