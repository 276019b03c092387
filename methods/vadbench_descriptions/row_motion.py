"""Rows of a video as unit vectors, their motion, means of neighbours, and values between sampled rows.

Source: NOVA (see :mod:`vadbench_descriptions.contrast_config`), its MAS and its sampling; what happens at the ends is
our decision. Rows are ``(rows, D)``; only the rows that are asked for are copied, so a long video takes little memory.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def motion_of(rows: Tensor, first: int, end: int, dtype: torch.dtype) -> Tensor:
    """Return ``m_t = 1 - cos(x_(t-1), x_(t+1))`` of the rows from ``first`` to before ``end``, ``(end - first,)``.

    At the ends of the video the row itself stands for the neighbour that is missing.
    """
    start, stop = max(0, first - 1), min(len(rows), end + 1)
    unit = normalize(rows[start:stop].to(dtype), dim=-1)
    own = torch.arange(first - start, end - start, device=rows.device)
    before, after = (own - 1).clamp(min=0), (own + 1).clamp(max=len(unit) - 1)
    return 1 - (unit[before] * unit[after]).sum(-1)


def sampled_rows(rows: Tensor, places: Tensor, window: int, dtype: torch.dtype) -> Tensor:
    """Return unit vectors ``(n, D)`` at some places ``(n,)``: each the mean of the unit vectors in an odd window.

    At the ends of the video it is the mean of those that exist. With a window of 1 they are the rows themselves.
    """
    if window == 1:
        return normalize(rows[places].to(dtype), dim=-1)
    around = places[:, None] + torch.arange(-(window // 2), window // 2 + 1, device=places.device)
    there = (around >= 0) & (around < len(rows))
    unit = normalize(rows[around.clamp(0, len(rows) - 1)].to(dtype), dim=-1) * there[..., None]
    return normalize(unit.sum(1) / there.sum(1, keepdim=True), dim=-1)


def between_samples(values: Tensor, count: int, step: int) -> Tensor:
    """Return values of ``count`` rows by linear interpolation between sampled ones, constant behind the last.

    Args:
        values: ``(samples, ...)`` of every ``step``-th row from the first on.
        count: number of rows.
        step: rows from one sample to the next.
    """
    offsets = torch.arange(count, device=values.device)
    low = offsets // step
    share = (offsets % step).to(values.dtype) / step
    lower, upper = values[low], values[(low + 1).clamp(max=len(values) - 1)]
    return lower + share.reshape(-1, *(1,) * (values.dim() - 1)) * (upper - lower)
