"""Checks of what a method gives for a video, before it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vadbench.base.errors import PluginError
from vadbench.base.metric_keys import is_branch
from vadbench.base.remarks import Remarks
from vadbench.inputs import VideoInput
from vadbench.method import Method
from vadbench.outputs import Scores
from vadbench.scoring.video_scores import Scored, VideoScores


def checked(method: Method, video: VideoInput, scores: Scores) -> VideoScores:
    """Return the scores of a video as numpy arrays.

    Raises:
        PluginError: they are no :class:`Scores`; one has another shape or is not finite, or a name cannot be used.
    """
    given: object = scores
    if not isinstance(given, Scores):
        raise PluginError(f"score() of {type(method).__name__} must return Scores, found {type(given).__name__}")
    kind, name, rows, classes = type(method).__name__, video.name, video.row_count, len(method.task.classes)
    of_video: Mapping[str, torch.Tensor] = {}
    if scores.video is not None:
        of_video = scores.video if isinstance(scores.video, Mapping) else {"": scores.video}
    rules = of_video if of_video is scores.video else ()
    named = {"a branch": scores.branches, "an extra": scores.extras, "a cost": scores.costs, "a rule": rules}
    for what, names in named.items():
        if wrong := [given for given in names if not is_branch(given)]:
            raise PluginError(
                f"{kind}: {what} name has letters, digits, '_' and '-', with single blanks between, found {wrong[0]!r};"
                " rename it, as metrics and files are called after it, such as AUC(<branch>)"
            )

    def values(what: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> Scored:
        array: NDArray[Any] = tensor.float().cpu().numpy()
        if array.shape != shape:
            raise PluginError(f"{kind}: {what} of {name} must be {shape}, found {array.shape}")
        if not np.isfinite(array).all():
            raise PluginError(f"{kind}: {what} of {name} are not all finite")
        return array

    for cost, value in scores.costs.items():
        if not (isinstance(value, int | float) and np.isfinite(value) and value >= 0):
            raise PluginError(f"{kind}: the cost '{cost}' of {name} must be a number from 0 on, found {value!r}")
    return VideoScores(
        name,
        video.frame_count,
        values("anomaly scores", scores.anomaly, (rows,)),
        None if scores.classes is None else values("class scores", scores.classes, (rows, classes)),
        {branch: values(f"scores of branch {branch}", s, (rows,)) for branch, s in scores.branches.items()},
        {extra: values(f"values of {extra}", s, (rows,)) for extra, s in scores.extras.items()},
        {rule: values(f"scores {rule} of the video".replace("  ", " "), s, (classes,)) for rule, s in of_video.items()},
        dict(scores.costs),
        None if scores.remarks is None else _on_rows(kind, video, scores.remarks),
    )


def _on_rows(kind: str, video: VideoInput, remarks: Remarks) -> Remarks:
    """Return remarks after making sure that each is on rows of the video.

    Raises:
        PluginError: one is not, or has no text.
    """
    first, end, which = (np.asarray(column, np.int64) for column in (remarks.first, remarks.end, remarks.which))
    if not (first.ndim == 1 and first.shape == end.shape == which.shape):
        raise PluginError(f"{kind}: remarks on {video.name} need columns first, end and which of one length")
    inside = (first >= 0) & (first < end) & (end <= video.row_count) & (which >= 0) & (which < len(remarks.texts))
    if not inside.all():
        at = int((~inside).argmax())
        raise PluginError(
            f"{kind}: remark {at} on {video.name} must be on rows from 0 to {video.row_count} and have a text, found"
            f" rows {first[at]} to {end[at]} and text {which[at]} of {len(remarks.texts)}"
        )
    return Remarks(first, end, which, remarks.texts).legible()
