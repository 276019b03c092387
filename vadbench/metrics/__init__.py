"""Metrics: from scored rows to numbers with intervals, one module for each family of metrics, on numpy and scipy alone.

    definitions.py     what every metric key means, in words (imports no numpy, so that ``vadbench list`` stays quick)
    evaluation.py      all frame-level metrics of a split; mAUC, mAP and the false-alarm rate
    ranking.py         AUC and both average precisions of weighted rows, from one sort
    within.py          AUC within videos, across them, and of their means
    operating.py       what a threshold that few normal frames reach finds
    bootstrap.py       confidence intervals from resampling videos
    sweep.py           what in resamples depends on the order of all frames
    multiplicities.py  how often videos are drawn, and sums of their frames in all resamples
    proposals.py       predicted segments of a video and their match with the annotated ones
    localization.py    mAP@IoU from them, by the rule that the protocol names
    event_counts.py    events from a threshold on, as an operator counts them
    recognition.py     AnomalyCLIP's diagnostics at a threshold chosen on the test set

Metrics know no method and no data set, so every number can be made again from the scores of a run.
"""

from vadbench.metrics.definitions import DEFINITIONS, definition
from vadbench.metrics.glossary import Definition

__all__ = ["DEFINITIONS", "Definition", "definition"]
