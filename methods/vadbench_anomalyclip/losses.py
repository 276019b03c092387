"""Loss terms (paper, section 3.4; spec 3), as means over chosen rows.

Shapes as in ``selector.py``. Logarithms of probabilities are computed by log-softmax and log-sigmoid: the same
numbers as the authors' logarithm of a product, but finite if a score saturates.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vadbench_anomalyclip.config import LossWeights
from vadbench_anomalyclip.selector import Chosen


def weighted_terms(
    weights: LossWeights, similarity: Tensor, class_logits: Tensor, logits: Tensor, columns: Tensor, chosen: Chosen
) -> dict[str, Tensor]:
    """Return every term of positive weight, multiplied by it.

    Args:
        similarity: ``(B, N, L, C')`` similarity of rows with class directions.
        class_logits: ``(B, N, L, C')`` logits of the class of an abnormal row.
        logits: ``(B, N, L)`` logits of a row being abnormal.
        columns: ``(B/2,)`` column of each abnormal video's own class.
        chosen: segments chosen of every video.
    """
    half = len(columns)
    abnormal, normal = similarity[:half], similarity[half:]
    class_logs = F.log_softmax(class_logits[:half], -1)

    def top(values: Tensor) -> Tensor:
        return _segments(values, chosen.top_abnormal)

    def bottom(values: Tensor) -> Tensor:
        return _segments(values, chosen.bottom_abnormal)

    terms: dict[str, Callable[[], Tensor]] = {
        "direction_abnormal": lambda: -top(_own(abnormal, columns)).mean(),
        "direction_normal": lambda: normal.amax(-1).mean(),
        "direction_top_normal": lambda: _segments(normal.amax(-1), chosen.top_normal).mean(),
        "direction_bottom_abnormal": lambda: bottom(_own(abnormal, columns)).mean(),
        "top_abnormal": lambda: -top(_own(class_logs, columns) + F.logsigmoid(logits[:half])).mean(),
        "bottom_abnormal": lambda: -bottom(F.logsigmoid(-logits[:half])).mean(),
        "top_normal": lambda: -_segments(F.logsigmoid(-logits[half:]), chosen.top_normal).mean(),
        "smooth": lambda: _smooth(logits[:half].sigmoid(), weights.smooth_within),
        "sparse": lambda: logits[:half].sigmoid().mean(),
    }
    return {name: term() * getattr(weights, name) for name, term in terms.items() if getattr(weights, name) > 0}


def _own(values: Tensor, columns: Tensor) -> Tensor:
    """Return the column of each video's class: ``(B/2, N, L, C')`` to ``(B/2, N, L)``."""
    return values[torch.arange(len(columns), device=values.device), :, :, columns]


def _segments(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the rows of chosen segments: ``(B/2, N, L)`` to ``(B/2, K, L)``."""
    return values[torch.arange(len(chosen), device=values.device)[:, None], chosen]


def _smooth(scores: Tensor, within: str) -> Tensor:
    lines = {"batch": scores.flatten(), "video": scores.flatten(1), "segment": scores}[within]
    return lines.diff(dim=-1).square().sum()
