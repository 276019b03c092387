"""``descriptions-frame``: Dong, "CLIP: Assisted Video Anomaly Detection", ICPRAM 2024, at the level of frames.

Each row is compared with all phrases of a bank; its anomaly score is the share of a softmax over them that belongs to
the abnormal ones. Without training this is zero-shot CLIP, and the author of the bank decides what is anomalous.
Training weights the features that a phrase uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from vadbench.method import Batch, Method, Reach, Scores, Task, VideoInput
from vadbench.nn.chunks import rows_at_once
from vadbench.nn.sampling import drawn_sample, sum_where
from vadbench_descriptions.config import FrameConfig
from vadbench_descriptions.losses import phrase_losses
from vadbench_descriptions.wording import require_fitting

_NOBODYS = -1


class DescriptionsFrame(Method):
    """``p = softmax(W)`` over N phrases with ``W_k = f . (a_k * f_k) / m + b_k`` of unit vectors f of a row and f_k of
    a phrase; ``a`` starts as ones and ``b`` as zeros, which is zero-shot CLIP.

    ``weights`` ``(N, D)`` are a, ``biases`` ``(N,)`` are b. Class probabilities exist where the bank has phrases of the
    data set's classes: the anomaly score, divided in proportion to the probabilities of these phrases. An abnormal
    class without a phrase has probability 0 (our decision).
    """

    Config = FrameConfig
    phrases: Tensor
    owners: Tensor
    _tied: Tensor
    _order: Tensor
    _described: Tensor

    def __init__(self, config: FrameConfig, task: Task) -> None:
        super().__init__(config, task)
        text = task.comparable_text()
        bank, normal = config.descriptions, task.classes.normal
        require_fitting(bank, text.context_length)
        of_classes = bank.of_classes(task.classes)
        ids = {phrase: number for number, phrases in of_classes.items() for phrase in phrases}
        owners = [normal] * len(bank.normal) + [ids.get(phrase, _NOBODYS) for phrase in bank.anomalies]
        with torch.no_grad():
            phrases = F.normalize(text([*bank.normal, *bank.anomalies]), dim=-1)
        self.register_buffer("phrases", phrases, persistent=False)
        self.register_buffer("owners", torch.tensor(owners, device=phrases.device), persistent=False)
        self.weights = nn.Parameter(torch.ones(len(owners), task.dim))
        self.biases = nn.Parameter(torch.zeros(len(owners)))
        self.knows_classes = bool(of_classes)
        tied = [place for place, owner in enumerate(owners) if owner not in (normal, _NOBODYS)]
        self._rounds, order, described = _in_rounds([owners[place] for place in tied])
        for name, places in {"_tied": tied, "_order": order, "_described": described}.items():
            self.register_buffer(name, torch.tensor(places, dtype=torch.long), persistent=False)

    def view(self, video: VideoInput, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """Return a sample: ``features`` ``(length, dim)``, float32, and the number of the video's rows, ``length``."""
        features, length = video.rows, self.config.length
        return {"features": drawn_sample(features, length, rng), "length": np.array(min(len(features), length))}

    def forward(self, rows: Tensor) -> Tensor:
        """Return logits ``(..., N)`` of the phrases for rows ``(..., D)``, in the precision of the weights."""
        with torch.autocast(rows.device.type, enabled=False):
            unit = F.normalize(rows.to(self.weights.dtype), dim=-1)
            return unit @ (self.weights * self.phrases).mT / self.config.temperature + self.biases

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the terms ``normal`` and ``abnormal``: the contribution of each kind of video to the mean over all."""
        logits = self.forward(batch.views["features"])
        labels = batch.labels > 0
        losses = phrase_losses(
            logits, batch.views["length"], self._abnormal, self._own(labels), self.config.mil.k_ratio
        )
        is_normal = labels[:, self.task.classes.normal]
        return {
            "normal": sum_where(losses, is_normal) / len(losses),
            "abnormal": sum_where(losses, ~is_normal) / len(losses),
        }

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        """Return the scores of each row after the vote of its neighbours."""
        return [self._score(video.rows) for video in videos]

    @property
    def reach(self) -> Reach:
        """Return the reach of a row and its voting neighbours."""
        return Reach(margin=self._voters // 2)

    @property
    def _voters(self) -> int:
        """Number of rows in the window of a vote, including the row itself."""
        return 1 if self.config.vote == "none" else round(self.config.vote_window / self.config.rows.stride)

    @property
    def _abnormal(self) -> Tensor:
        return self.owners != self.task.classes.normal

    def _own(self, labels: Tensor) -> Tensor:
        """Return the abnormal phrases that may describe each video, bool ``(B, N)``: those of its classes, all phrases
        if these have none, and none for a normal video."""
        carried = labels[:, self.owners.clamp(min=0)] & (self.owners != _NOBODYS) & self._abnormal
        everything = self._abnormal & ~labels[:, self.task.classes.normal, None]
        return torch.where(carried.any(-1, keepdim=True), carried, everything)

    def _score(self, rows: Tensor) -> Scores:
        parts = [self._compared(part) for part in rows.split(rows_at_once(rows.device))]
        anomaly = torch.cat([a for a, _ in parts])
        voted = self._vote((anomaly > 0.5).to(anomaly.dtype) if self.config.vote == "majority" else anomaly)
        if not self.knows_classes:
            return Scores(voted)
        # Class shares are averaged over the neighbours, independently of the vote on their scores.
        shares = self._vote(anomaly[:, None] * torch.cat([s for _, s in parts]))
        classes = F.normalize(shares, p=1, dim=-1) * voted[:, None]
        classes[:, self.task.classes.normal] = 1 - voted
        return Scores(voted, classes)

    def _compared(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return anomaly scores ``(rows,)``, and the share of each class in them ``(rows, C)``."""
        logits = self.forward(rows)
        anomaly = logits.softmax(-1)[:, self._abnormal].sum(-1).clamp(max=1)
        shares = logits.new_zeros(len(rows), len(self.task.classes))
        if self._rounds:
            # Added class by class in the order of the phrases: index_add_ takes any order on a GPU, and rounds anew.
            total, *further = logits[:, self._tied].softmax(-1).mT[self._order].split(self._rounds)
            for others in further:
                total[: len(others)] += others
            shares.index_copy_(1, self._described, total.mT)
        return anomaly, shares

    def _vote(self, values: Tensor) -> Tensor:
        """Return means over each row's window, cut at the ends of the video: ``(rows, ...)`` to the same shape."""
        window = self._voters
        if window <= 1:
            return values
        lines = values.reshape(len(values), -1).mT
        padded = F.pad(torch.stack([*lines, torch.ones_like(lines[0])]), (window // 2, window - 1 - window // 2))
        sums = F.avg_pool1d(padded[:, None], window, stride=1)[:, 0]
        return (sums[:-1] / sums[-1]).mT.reshape(values.shape)


def _in_rounds(owners: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Return how phrases are added by class without adding two of a class at once: the first phrase of each class, then
    the second of each that has one, and so on.

    Args:
        owners: the class of each phrase.

    Returns:
        the number of phrases in each round; the phrases, round by round; and the classes in their order within each
        round, those of most phrases first.
    """
    counts = Counter(owners)
    classes = [owner for owner, _ in counts.most_common()]
    of_class = {owner: [place for place, other in enumerate(owners) if other == owner] for owner in classes}
    rounds = [[of_class[c][r] for c in classes if counts[c] > r] for r in range(max(counts.values(), default=0))]
    return [len(places) for places in rounds], [place for places in rounds for place in places], classes
