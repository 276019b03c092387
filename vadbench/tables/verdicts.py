"""Compare a published number with a reproduced one: like with like, or a note that says why not.

Two metrics are published as AP, so a number of the other rule or of an unknown one says nothing about ours. Neither
does a number made by another selection of weights or another post-processing, nor one of other test videos, of another
ground truth, or over rows of features instead of frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from vadbench.metrics.carriers import TOO_FEW
from vadbench.records.published import TRAPEZOID, PublishedNumber
from vadbench.tables.evaluations import Evaluation
from vadbench.tables.standing import DIGITS, Resamples, TablePlace
from vadbench.tables.table import ABOVE, BELOW, DIFFERS, WITHIN, PublishedFigure, ReproducedFigure, TableCell

AP_RULES = {"AP": "step", TRAPEZOID: "trapezoid"}
"""The rule of each average precision of the anomaly score, by our key; headings print it."""
_RULE_WORDS = {"step": "step sum", "trapezoid": "trapezoid rule"}
_OF_CLASS = {"mAUC": "AUC", "mAP": "AP"}
"""The metric of a single class by the mean over classes."""
_DOUBTS = {
    "derived": "published number: derived from other numbers in print; no verdict",
    "recalled": "published number: recalled from memory; no verdict",
    "second-hand": "published number: second-hand, not read in a paper; no verdict",
    "read": "published number: quoted from another paper, or another paper's method run again; no verdict",
}
_OWN = "the data set's own"
_UNKNOWN_RULE = "published number: an AP by an unknown rule, the step sum or the trapezoid rule; no verdict"


def measured_key(metric: str, numbers: Iterable[PublishedNumber | None]) -> str:
    """Return our key for a column of a paper's table: AP is what the paper itself measured by that name.

    Args:
        metric: key of the column in the benchmark file.
        numbers: the published numbers of the column.
    """
    own = {n.measured for n in numbers if n is not None and n.reported_in == n.key}
    return TRAPEZOID if metric == "AP" and TRAPEZOID in own else metric


def table_cell(place: TablePlace, reproduced: ReproducedFigure | None, resamples: Resamples, metric: str) -> TableCell:
    """Return the content of a place: both numbers, their gap if they can be compared, and a verdict if one is possible.

    Args:
        place: the published number, and the runs.
        reproduced: figure of the runs; ``None`` without runs.
        resamples: resamples of all runs in the table.
        metric: our key, from :func:`measured_key`.
    """
    number = place.published
    if number is None:
        verdict = f"{DIFFERS} {place.differs}" if place.differs else ""
        return TableCell(reproduced=reproduced, verdict=verdict)
    unlike = list(_unlike(number, metric, place.runs))
    if place.runs and (lost := _lost_classes(place.runs, resamples, metric)):
        unlike.append(f"over all classes, ours without {', '.join(lost)}, of which the features have no frame")
    notes = (*_reservations(number, place.runs), *(f"published number: {words}; no verdict" for words in unlike))
    published = PublishedFigure(value=number.value, printed=number.printed, notes=notes)
    if place.differs:
        return TableCell(published=published, reproduced=reproduced, verdict=f"{DIFFERS} {place.differs}")
    if reproduced is None or reproduced.mean is None or unlike:
        return TableCell(published=published, reproduced=reproduced)
    gap = round(reproduced.mean - number.value, DIGITS)
    # Figures on incomplete data cannot be compared.
    incomplete = any(run.kind.incomplete for run in place.runs)
    judged = number.first_hand and number.ap_rule != "unknown" and not incomplete
    verdict = _verdict(number.value, reproduced) if judged else ""
    if judged and resamples.carriers(place.runs, metric).too_few:
        verdict = TOO_FEW
    return TableCell(published=published, reproduced=reproduced, gap=gap, verdict=verdict)


def _lost_classes(runs: Sequence[Evaluation], resamples: Resamples, metric: str) -> list[str]:
    """Return the classes that the test videos are annotated with and that a mean over classes leaves out, since the
    features have no frame of them; none where the scores cannot be read."""
    of_class, truth = _OF_CLASS.get(metric), resamples.truth(runs)
    if of_class is None or truth is None:
        return []
    annotated = sorted({segment.label for video in truth[0] for segment in video.segments})
    # The videos are the same for every seed.
    found = [runs[0].record.metrics.get(f"{of_class}[{name}]") for name in annotated]
    return [name for name, value in zip(annotated, found, strict=True) if value is not None and value.value is None]


def _reservations(number: PublishedNumber, runs: Sequence[Evaluation]) -> Iterator[str]:
    """Yield what must be said of a published number whatever it is compared with."""
    if not number.first_hand:
        yield _DOUBTS[number.verified]
    if number.ap_rule == "unknown":
        yield _UNKNOWN_RULE
    if not runs and number.selection == "best-on-test":
        yield "published number: weights selected on the test set (best-on-test)"
    if not runs and number.post:
        yield f"published number: scores post-processed ({number.post})"
    if not runs and number.truth:
        yield f"published number: another ground truth of the test videos ({number.truth})"


def _unlike(number: PublishedNumber, metric: str, runs: Sequence[Evaluation]) -> Iterator[str]:
    """Yield in which of its rules that are known a published number is unlike ours, in words."""
    ours = AP_RULES.get(metric, "")
    if ours and number.ap_rule not in (ours, "unknown"):
        yield f"AP by the {_RULE_WORDS[number.ap_rule]}, ours by the {_RULE_WORDS[ours]}"
    if number.counted:
        yield f"a metric over {number.counted} of features, ours over frames"
    if not runs:
        return
    rules = runs[0].rules  # the same for every seed
    transferred = runs[0].kind.trained_on != runs[0].kind.dataset
    if number.test_protocol != "unknown" and (number.test_protocol == "cross-dataset") != transferred:
        yield f"trained on {'the' if transferred else 'another'} data set, ours on {runs[0].kind.trained_on}"
    if not number.is_of_division(rules.partition):
        yield f"test videos {number.test_protocol}, ours {rules.partition or _OWN}"
    # Recorded scores are as their authors left them, and may carry the ground truth that these used.
    recorded = runs[0].record.recorded is not None
    if number.truth != rules.truth and not (recorded and rules.truth and number.truth == "other"):
        yield f"ground truth {number.truth or _OWN}, ours {rules.truth or _OWN}"
    if number.selection not in (rules.selection, "unknown"):
        yield f"selection {number.selection}, ours {rules.selection}"
    if number.post not in (rules.post, "") and not (recorded and number.post == "other"):
        yield f"post-processing {number.post}, ours {rules.post or 'none'}"


def _verdict(published: float, reproduced: ReproducedFigure) -> str:
    """Return the position of the published number relative to the interval of the reproduced one, in words."""
    if reproduced.low is None or reproduced.high is None:
        return ""
    if published > reproduced.high:
        return BELOW
    return ABOVE if published < reproduced.low else WITHIN
