"""Videos of any length in a model of samples: they are cut into chunks, and its results are put together again.

Shapes: B chunks, L rows of each, D width of a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SampleModel = Callable[[Tensor, Tensor], Mapping[str, Tensor]]
"""``model(rows, lengths)`` gives results ``(B, L, ...)`` by name for rows ``(B, L, D)``; the first ``lengths`` ``(B,)``
of them are the video's, the others zeros."""

ROWS_AT_ONCE = 16384
"""Rows that go through a model at once when scoring; bounds memory."""
_ROWS_AT_ONCE_ON_CPU = 2048
"""With as many, what a model keeps of 512 columns fits the caches, and its memory is used again instead of requested
from the system: VadCLIP scores a split in 0.85 times the CPU time that 16,384 rows at once take."""


def rows_at_once(device: torch.device) -> int:
    """Return the number of rows that go through a model at once when scoring on a device."""
    return _ROWS_AT_ONCE_ON_CPU if device.type == "cpu" else ROWS_AT_ONCE


def in_chunks(model: SampleModel, videos: Sequence[Tensor], length: int) -> list[dict[str, Tensor]]:
    """Return a model's results for the rows of whole videos, each scored in chunks that do not see each other.

    ::

        found = in_chunks(lambda rows, lengths: {"class": self(rows, lengths)}, videos, self.config.length)
        return [Scores.from_classes(of_video["class"].softmax(-1), self.task.classes) for of_video in found]

    Chunks of several videos go through together, so the model must not relate samples to each other. Declare the chunk
    in :attr:`vadbench.method.Method.reach`.

    Args:
        model: see :data:`SampleModel`.
        videos: each ``(rows, D)``, at least one row.
        length: rows of a chunk, as of a training sample.

    Returns:
        for each video its results ``(rows, ...)`` by name.
    """
    chunks = torch.cat([to_chunks(rows.float(), length) for rows in videos])
    lengths = torch.cat([chunk_lengths(len(rows), length) for rows in videos]).to(chunks.device)
    at_once = max(1, rows_at_once(chunks.device) // length)
    parts = [model(*part) for part in zip(torch.split(chunks, at_once), torch.split(lengths, at_once), strict=True)]
    counts = [math.ceil(len(rows) / length) for rows in videos]
    joined = {name: torch.split(torch.cat([part[name] for part in parts]), counts) for name in parts[0]}
    return [
        {name: results[i].flatten(0, 1)[: len(rows)] for name, results in joined.items()}
        for i, rows in enumerate(videos)
    ]


def to_chunks(rows: Tensor, length: int) -> Tensor:
    """Cut a video ``(rows, dim)`` into chunks ``(chunks, length, dim)``, the last one filled up with zeros.

    VadCLIP's authors add a chunk of zeros where ``length`` divides the number of rows; no result depends on
    it (spec of VadCLIP, 3.5).
    """
    missing = -len(rows) % length
    return F.pad(rows, (0, 0, 0, missing)).view(-1, length, rows.shape[1])


def chunk_lengths(rows: int, length: int) -> Tensor:
    """Return the number of the video's rows in each chunk of :func:`to_chunks`, int64 ``(chunks,)``, on the CPU."""
    return torch.tensor([min(length, rows - start) for start in range(0, rows, length)])
