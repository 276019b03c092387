"""The written definition of every metric: what a figure is, in which direction it is better, what it counts.

Imports no numpy, so that ``vadbench list metrics`` stays quick. :mod:`vadbench.metrics.definitions` looks keys up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

IOU_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Overlaps of mAP@IoU."""
FALSE_POSITIVE_RATES = (0.01, 0.02, 0.03, 0.05)
"""Operating points of ``recall@1%FPR`` and so on."""
EVENT_IOUS = (0.1, 0.3, 0.5)
"""Overlaps of ``event-recall@0.1`` and so on."""
UNPROCESSED = "/unprocessed"
"""End of the keys of headline metrics before post-processing."""

Carrier = Literal["abnormal", "normal", "mixed", "class"]
"""A kind of video that a metric counts: one with anomalous frames, one without, one with frames of both kinds, or one
with frames of the metric's class."""


@dataclass(frozen=True)
class Definition:
    """The meaning of a metric key.

    Args:
        key: as in result.json, MLflow, tables and ``--json``; a fraction there, whatever ``unit`` says.
        title: column heading.
        text: the definition, in full sentences.
        better: which direction is better; ``None`` where nothing is ranked by it and no value is called better.
        unranked: why nothing is; empty where ``better`` says a direction.
        low, high: the range of the stored value.
        unit: what tables print it in; empty for a count.
        carriers: the kinds of videos that it takes several of to say something.
    """

    key: str
    title: str
    text: str
    better: Literal["higher", "lower"] | None = "higher"
    unranked: str = ""
    low: float = 0.0
    high: float = 1.0
    unit: str = "%"
    carriers: frozenset[Carrier] = frozenset({"abnormal"})


_MIXED: frozenset[Carrier] = frozenset({"mixed"})
_NORMAL: frozenset[Carrier] = frozenset({"normal"})
_BOTH: frozenset[Carrier] = frozenset({"abnormal", "normal"})
_SILENT = "a method that never raises an alarm has no false ones"
_OF_DATA = "it is a property of the data"
_EVENTS = (
    "Predicted events are the longest runs of frames whose score is at least the run's threshold, which is fixed "
    "without test labels: the 99th percentile of the scores of normal training videos. Without one it is the lowest "
    "that 1 % of the frames of the test split's normal videos reach at most, and the result says so."
)


def _percent(rate: float) -> str:
    return f"{rate:.0%}"


_RANKING = (
    Definition(
        "AUC",
        "AUC",
        "Area under the ROC curve of the anomaly score over all frames of the split, concatenated (micro): the chance "
        "that a random anomalous frame scores higher than a random normal one, ties counting half. 0.5 is chance. "
        "Nearly all such pairs are of two videos, so it asks first which video is abnormal: see AUC/within.",
    ),
    Definition(
        "AUC/within",
        "AUC within",
        "The chance that a random anomalous frame scores higher than a random normal frame of the same video, pairs "
        "weighted alike: the mean of the AUC within each video that has frames of both kinds, weighted by its number "
        "of pairs. 0.5 is chance. It asks for the place of an anomaly and nothing else.",
        carriers=_MIXED,
    ),
    Definition(
        "AUC/cross",
        "AUC cross",
        "The chance that a random anomalous frame scores higher than a random normal frame of another video. "
        "AUC = w AUC/within + (1 - w) AUC/cross, where w is the pair-share.",
    ),
    Definition(
        "AUC/video",
        "AUC video",
        "Plain mean, over the videos that have frames of both kinds, of the AUC within each. Unlike in AUC/within, a "
        "video counts the same however long it is.",
        carriers=_MIXED,
    ),
    Definition(
        "AUC/flattened",
        "AUC flattened",
        "AUC after the score of every frame is replaced by the mean score of its video, rounded to 12 significant "
        "digits: what is left of AUC when nothing is said about the place in a video. Where it is not below AUC, the "
        "curve within videos adds nothing.",
    ),
    Definition(
        "pair-share",
        "pair share",
        "Share of the pairs of an anomalous and a normal frame that lie in one video: the weight of AUC/within in AUC.",
        better=None,
        unranked=_OF_DATA,
        carriers=_MIXED,
    ),
    Definition(
        "AP",
        "AP",
        "Average precision of the anomaly score over all frames of the split, concatenated (micro): the sum of "
        "precision times the gain in recall over every distinct score, without interpolation. Chance is the "
        "prevalence. Papers that take the area by the trapezoid rule mean AP/trapezoid.",
    ),
    Definition(
        "AP/trapezoid",
        "AP trapezoid",
        "Area under the precision-recall curve by the trapezoid rule, which several papers call AP: a straight line "
        "between the points of neighbouring scores. Close to AP where scores are continuous, far above it where they "
        "take few values.",
    ),
    Definition(
        "prevalence",
        "prevalence",
        "Share of the split's frames inside an annotated segment; the AP of a random score.",
        better=None,
        unranked=_OF_DATA,
    ),
    Definition(
        "AnoAUC",
        "Ano-AUC",
        "AUC over the frames of abnormal videos only, those with at least one anomalous frame: it gives no credit for "
        "telling abnormal videos from normal ones, but does for telling abnormal videos from each other.",
    ),
    Definition(
        "mAUC",
        "mAUC",
        "Mean over the abnormal classes of AUC[<class>]. The normal class and classes without an anomalous frame in "
        "the split are left out.",
    ),
    Definition(
        "mAP",
        "mAP",
        "Mean over the abnormal classes of AP[<class>], a frame-level metric. The normal class and classes without an "
        "anomalous frame in the split are left out. Not to be confused with mAP@IoU.",
    ),
)
_SEGMENTS = (
    *(
        Definition(
            f"mAP@{iou}",
            f"mAP@{iou}",
            f"The part of mAP@IoU in which a predicted segment must overlap an annotated one with an intersection over "
            f"union of at least {iou}.",
        )
        for iou in IOU_THRESHOLDS
    ),
    Definition(
        "mAP@IoU",
        "mAP@IoU",
        "Temporal localisation, the mean of mAP@0.1, mAP@0.2, mAP@0.3, mAP@0.4 and mAP@0.5. It ranks segments, whereas "
        "mAP ranks frames: they are two metrics. A predicted segment of a class is a longest run of rows above "
        "max - 0.6 (max - min) of the class's probability in the video; its score is its highest probability plus 0.7 "
        "times the mean over the best sixteenth of the video. From the best score down over all videos, a prediction "
        "is right if it overlaps enough with a segment of its class and video that no better one has taken. Average "
        "precision is interpolated as in ActivityNet's evaluation, and its mean is over the abnormal classes that have "
        "an annotated segment. Under the protocol 'vadclip' it is not interpolated, the mean is over all classes, "
        "normal included, a class without segments has 0, and all is 0 if any class is never predicted.",
    ),
)
_OPERATING = (
    *(
        Definition(
            f"recall@{_percent(rate)}FPR",
            f"recall at {_percent(rate)} FPR",
            f"Largest share of the anomalous frames that a threshold finds, among thresholds that at most "
            f"{_percent(rate)} of all normal frames reach; 0 where no threshold is that strict.",
        )
        for rate in FALSE_POSITIVE_RATES
    ),
    *(
        Definition(
            f"false-frames-per-hour@{_percent(rate)}FPR",
            f"false frames per hour at {_percent(rate)} FPR",
            f"Frames of normal videos that reach the threshold of recall@{_percent(rate)}FPR, per hour of normal "
            "video. Only where the frame rate of the normal videos is known.",
            better=None,
            unranked="it belongs to the recall at the same threshold",
            high=math.inf,
            unit="per hour",
            carriers=_BOTH,
        )
        for rate in FALSE_POSITIVE_RATES
    ),
    Definition(
        "FPR@95TPR",
        "FPR at 95 % TPR",
        "Share of the frames of normal videos that reach the highest threshold at which 95 % of the anomalous frames "
        "are found.",
        better="lower",
        carriers=_BOTH,
    ),
    Definition(
        "distinct",
        "distinct scores",
        "Number of distinct scores of frames. Below 100, operating points are coarse: few thresholds tell frames "
        "apart.",
        better=None,
        unranked="more distinct scores are no better scores",
        high=math.inf,
        unit="",
    ),
)
_OF_EVENTS = (
    *(
        Definition(
            f"event-{name}@{iou}",
            f"event {name} at {iou}",
            f"{what}, matched one to one within a video with an intersection over union of at least {iou}, the largest "
            f"overlaps first and of equal ones the earlier; classes are ignored. {_EVENTS}",
        )
        for iou in EVENT_IOUS
        for name, what in (
            ("recall", "Share of the annotated segments that a predicted event matches"),
            ("precision", "Share of the predicted events that match an annotated segment"),
            ("F1", "Harmonic mean of the recall and the precision of events"),
        )
    ),
    Definition(
        "hit",
        "hit",
        f"Share of the annotated segments with at least one frame in a predicted event. {_EVENTS}",
    ),
    Definition(
        "delay",
        "delay",
        "Median, over the annotated segments with a frame in a predicted event, of the frames from the first of the "
        f"segment to the first of them. {_EVENTS}",
        better=None,
        unranked="it leaves out the segments that are missed",
        high=math.inf,
        unit="frames",
    ),
    Definition(
        "delay/seconds",
        "delay",
        "The delay in seconds, where the frame rate of all videos with annotated segments is known.",
        better=None,
        unranked="it leaves out the segments that are missed",
        high=math.inf,
        unit="s",
    ),
    Definition(
        "false-alarms-per-hour",
        "false alarms per hour",
        f"Predicted events in normal videos, per hour of normal video, where its frame rate is known. {_EVENTS}",
        better=None,
        unranked=_SILENT,
        high=math.inf,
        unit="per hour",
        carriers=_NORMAL,
    ),
    Definition(
        "FAR",
        "FAR",
        "False-alarm rate: share of the frames of normal videos whose score is above 0.5. Only for scores between 0 "
        "and 1. Nothing is ranked by it: a method that never raises an alarm has none.",
        better=None,
        unranked=_SILENT,
        carriers=_NORMAL,
    ),
)
GLOSSARY = (*_RANKING, *_SEGMENTS, *_OPERATING, *_OF_EVENTS)
"""The metrics except those of single classes and branches, in the order in which they are listed."""
