"""``prompt-contrast``: anomalous sentences against normal ones, without training.

Sources: NOVA and Flashback, see :mod:`vadbench_descriptions.contrast_config`. For each class a row is compared with
sentences of both sides; the video's own beginning, as one more normal sentence, says what is ordinary there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from vadbench.method import Method, Reach, Remarks, Scores, Task, VideoInput
from vadbench_descriptions.contrast_config import PromptContrastConfig
from vadbench_descriptions.row_motion import between_samples, motion_of, sampled_rows
from vadbench_descriptions.sentence_sides import SentenceSides, nearest_share, sentence_groups

_ROWS_AT_ONCE = 1024
"""Sampled rows that are compared with the sentences at a time; bounds memory."""
_SMALLEST = 1e-30
"""Of a class's score where its share among the classes is taken: where all are 0 they have equal shares."""


@dataclass(frozen=True)
class VideoAnchor:
    """The video's own beginning.

    Args:
        scores: ``(n,)`` of its first sampled rows, by the sentences alone.
        weights: ``(n,)`` of these rows, which sum to 1: the lower the score, the higher.
        vector: ``(D,)`` unit vector, the weighted mean.
    """

    scores: Tensor
    weights: Tensor
    vector: Tensor


class PromptContrast(Method):
    """``s = max_c sigmoid((alpha T(cos with P_c) - T(cos with N_c)) / tau)`` with T the mean of the highest cosines.

    P_c and N_c are the sentences of the anomalous and the normal side of class c. A remark on every row names the
    anomalous sentence that it is most like, of the class with the highest score: it means as much as the score beside
    it. Class probabilities divide the anomaly score among the classes in proportion to their own.
    """

    Config = PromptContrastConfig

    def __init__(self, config: PromptContrastConfig, task: Task) -> None:
        super().__init__(config, task)
        groups = sentence_groups(config, task.classes, task.known)
        self.sides = SentenceSides(groups, config, task.comparable_text())
        self._named = [i for i, g in enumerate(groups) if g.owner is not None]
        self._owners = [g.owner for g in groups if g.owner is not None]

    @property
    def reach(self) -> Reach:
        """Return the whole video where its beginning counts; otherwise the neighbours that averages, motion and
        interpolation look at, in chunks that begin with a sampled row."""
        if self.config.anchored:
            return Reach(512, whole=True)
        gated, step = self.config.gated, self.config.step
        farthest = max(self._window // 2, 1) if gated else 0
        return Reach(step, farthest + (step > 1))

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        """Return the scores of each row, before smoothing, which is post-processing."""
        return [self._score(video.rows) for video in videos]

    def anchor_of(self, rows: Tensor) -> VideoAnchor | None:
        """Return the anchor of a video ``(rows, D)``; ``None`` where the settings want none."""
        config = self.config
        samples = -(-len(rows) // config.step)
        if not config.anchored or samples < config.anchor.minimum:
            return None
        first = self.sampled(rows, 0, min(config.anchor.rows, samples))
        scores = self.compared(first)[0].amax(-1)
        weights = (-scores / config.anchor.temperature).softmax(-1)
        return VideoAnchor(scores, weights, normalize(weights @ first, dim=-1))

    def sampled(self, rows: Tensor, first: int, end: int) -> Tensor:
        """Return unit vectors ``(end - first, D)`` of some sampled rows, averaged with their neighbours if gated."""
        places = torch.arange(first, end, device=rows.device) * self.config.step
        return sampled_rows(rows, places, self._window, self._dtype)

    def compared(self, samples: Tensor, anchor: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the scores ``(B, G)`` of unit vectors ``(B, D)`` by group of sentences, and the number ``(B,)`` of the
        anomalous sentence that each is most like."""
        config, sides = self.config, self.sides
        if config.scoring == "retrieval":
            own = config.retrieval
            similar = sides.similarities(samples, own.alpha)
            count = len(sides.sentences)
            weights = nearest_share(similar, count, own.nearest, own.temperature)
            scores = torch.stack([w.sum(-1) for w in sides.split(weights, 0)], dim=-1)
            return scores, similar[:, :count].argmax(-1)
        high, low, best = sides.contrast(samples, config.top_share, anchor)
        contrast = ((config.alpha * high - low) / config.tau).sigmoid()
        scores = (1 + high) / 2 if config.sides == "anomalous" else contrast
        return scores, best.gather(-1, scores.argmax(-1, keepdim=True))[:, 0]

    def together(self, scores: Tensor) -> Tensor:
        """Return anomaly scores ``(B,)`` of the scores ``(B, G)`` by group: of retrieval the sum, else the highest."""
        return scores.sum(-1).clamp(max=1) if self.config.scoring == "retrieval" else scores.amax(-1)

    @property
    def _window(self) -> int:
        return int(self.config.motion.window) if self.config.gated else 1

    @property
    def _dtype(self) -> torch.dtype:
        return self.sides.anomalous.dtype

    def _score(self, rows: Tensor) -> Scores:
        count, step, table = len(rows), self.config.step, self.task.classes
        anomaly = torch.empty(count, dtype=self._dtype, device=rows.device)
        classes = anomaly.new_zeros(count, len(table)) if self._named else None
        won = np.empty(-(-count // step), np.int32)
        # An error of 1e-3 in a cosine is one of 0.03 in a logit.
        with torch.autocast(rows.device.type, enabled=False):
            for first, by_group, best in self._blocks(rows):
                won[first : first + len(best)] = best
                start = first * step
                end = min(start + len(best) * step, count)
                scores = between_samples(self.together(by_group), end - start, step) * self._gate(rows, start, end)
                anomaly[start:end] = scores
                if classes is not None:
                    own = between_samples(by_group[:, self._named], end - start, step).clamp(min=_SMALLEST)
                    classes[start:end, self._owners] = scores[:, None] * own / own.sum(-1, keepdim=True)
                    classes[start:end, table.normal] = 1 - scores
        return Scores(anomaly, classes, remarks=_remarks(won, step, count, self.sides.sentences))

    def _blocks(self, rows: Tensor) -> Iterator[tuple[int, Tensor, NDArray[np.int32]]]:
        """Yield the number of the first sampled row of a block, the scores ``(B, G)`` of its rows and, where there is
        one, of the row behind, and the numbers of the sentences that won in its own rows."""
        samples = -(-len(rows) // self.config.step)
        anchor = self.anchor_of(rows)
        vector = None if anchor is None else anchor.vector
        for first in range(0, samples, _ROWS_AT_ONCE):
            end = min(first + _ROWS_AT_ONCE, samples)
            behind = min(end + 1, samples)
            scores, best = self.compared(self.sampled(rows, first, behind), vector)
            yield first, scores, best[: end - first].to(torch.int32).cpu().numpy()

    def _gate(self, rows: Tensor, start: int, end: int) -> Tensor | float:
        """Return the factors ``(end - start,)`` of the motion gate; 1 without one."""
        if not self.config.gated:
            return 1.0
        own = self.config.motion
        return (own.slope * (motion_of(rows, start, end, self._dtype) - own.threshold)).sigmoid()


def _remarks(won: NDArray[np.int32], step: int, count: int, sentences: Sequence[str]) -> Remarks:
    """Return a remark for each span of rows whose samples are most like the same sentence.

    Args:
        won: ``(samples,)`` number of the sentence of each.
        step: rows from one sample to the next.
        count: number of rows.
        sentences: by number.
    """
    starts = np.flatnonzero(np.diff(won, prepend=-1))
    ends = np.minimum(np.append(starts[1:], len(won)) * step, count)
    used, which = np.unique(won[starts], return_inverse=True)
    return Remarks(starts * step, ends, which, [sentences[number] for number in used])
