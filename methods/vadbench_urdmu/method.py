"""UR-DMU: Zhou, Yu and Yang, "Dual Memory Units with Uncertainty Regulation for Weakly Supervised Video Anomaly
Detection", AAAI 2023.

Rows behind global and local attention are compared with the slots of a memory for abnormal and one for normal rows. A
classifier scores a row with what it reads from both. In training, what normal rows read from the normal memory is the
mean and the variance of a latent that is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vadbench.method import Batch, Method, Reach, Scores, Task, VideoInput
from vadbench.nn import dropout
from vadbench.nn.chunks import rows_at_once
from vadbench.nn.devices import part_count
from vadbench.nn.linear import Linear, linear
from vadbench.nn.parts import crops_in_parts, sum_of_parts
from vadbench.nn.sampling import abnormal_first, binned_sample
from vadbench_urdmu.checkpoint import to_ours
from vadbench_urdmu.config import UrDmuConfig
from vadbench_urdmu.losses import MemoryScores, classification, distance, divergence, memory_terms, triplet
from vadbench_urdmu.memory import Memory, Seen, highest
from vadbench_urdmu.transformer import Embedding, Kept, Transformer, parts_of

HIDDEN = 128
"""Hidden units of the classifier (code)."""
ROWS_IN_PART = 5200
"""Rows whose activations are in memory at once in training on a CPU: as many as keep the largest tensor, of three times
the width, below 32 MB, from which on each gets new pages at every step."""

NUMBERS_IN_ENTRY = 40
"""Numbers that a training step with the default settings keeps for each entry of the embedded rows (counted): they say
in how many parts a batch fits on a GPU whose free memory is small."""


class Draws(NamedTuple):
    """The random draws of a training step for P pairs of a normal and an abnormal sample of N crops and T rows.

    Args:
        kept: units that dropout keeps in each layer, ``(2, P, N, T, units)``; empty without dropout.
        noise: of the normal samples' latents, ``(P, N, T, W)``; ``None`` without uncertainty.
    """

    kept: tuple[Kept, ...]
    noise: Tensor | None


class ChosenRows(NamedTuple):
    """The highest rows of each sample ``(P N, k)``: of a normal one in the normal memory, of an abnormal one in the
    abnormal memory, and in the normal one."""

    normal: Tensor
    abnormal: Tensor
    positive: Tensor


class PairedOutputs(NamedTuple):
    """The results of a training pass for P pairs of N crops.

    Args:
        frame: scores of the rows of normal and of abnormal samples, ``(2, P, T)``.
        memories: their scores in the memories, of each crop by itself; ``None`` where there are none, as all below.
        chosen: the rows that stand for a sample.
        triplet: mean rows ``(P, W)``: anchor, positive and negative.
        latents: means and logarithms of variances ``(P N, T, W)`` of the normal samples' latents; ``None`` without
            uncertainty.
        lengths: mean latents ``(P, W)`` of normal and of abnormal samples, whose lengths are compared; ``None``
            without uncertainty or an abnormal memory.
    """

    frame: Tensor
    memories: MemoryScores | None = None
    chosen: ChosenRows | None = None
    triplet: tuple[Tensor, Tensor, Tensor] | None = None
    latents: tuple[Tensor, Tensor] | None = None
    lengths: tuple[Tensor, Tensor] | None = None


class UrDmu(Method):
    """UR-DMU; see :class:`UrDmuConfig` for its options.

    With one memory, an abnormal sample is represented by its rows that are lowest in the normal memory, a row's latent
    is what it reads from that memory, and there are no lengths to compare; with none, the classifier sees rows alone,
    and its term is the only one (our decisions).
    """

    Config = UrDmuConfig

    def __init__(self, config: UrDmuConfig, task: Task) -> None:
        super().__init__(config, task)
        width, remembers = config.width, config.memory != "none"
        self.embedding = Embedding(task.dim, width)
        self.classifier = Classifier(width, remembers)
        self.abnormal_memory = Memory(config.abnormal_slots, width) if config.memory == "dual" else None
        self.normal_memory = Memory(config.normal_slots, width) if remembers else None
        self.transformer = Transformer(config)
        self.mean = nn.Linear(width, width) if remembers else None
        self.log_variance = nn.Linear(width, width) if remembers and config.uncertainty else None
        self._part_counts: dict[int, int] = {}

    def view(self, video: VideoInput, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """Return a sample: ``segments`` ``(segments, dim)``, or ``(crops, segments, dim)`` of a bag, float32; it is
        deterministic."""
        rounded = self.config.edges == "rounded"
        return {"segments": binned_sample(video.rows, self.config.segments, rounded=rounded)}

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the terms that have a weight. Each normal sample is paired with the abnormal one of the same rank."""
        order = abnormal_first(batch.labels[:, self.task.classes.normal] > 0)
        abnormal, normal = batch.views["segments"][order].chunk(2)
        pairs = torch.stack([normal, abnormal])
        pairs = pairs if pairs.ndim == 5 else pairs.unsqueeze(2)
        draws, weights = self.draws(pairs.shape[:4], pairs.device), self._weights()

        def terms_of(part: tuple[Tensor, Draws], _: Tensor | None) -> tuple[Tensor, ...]:
            outputs = self(*part)
            # CUDA's autocast refuses a cross-entropy of probabilities, also where they are float32.
            with torch.autocast(pairs.device.type, enabled=False):
                found = self._terms(outputs, pairs.shape[2])
            share = part[0].shape[1] / pairs.shape[1]
            return tuple(share * weight * found[name] for name, weight in weights.items())

        sums = sum_of_parts(terms_of, self._in_parts(pairs, draws), list(self.parameters()), None)
        return dict(zip(weights, sums, strict=True))

    def draws(self, shape: Sequence[int], device: torch.device) -> Draws:
        """Return the random draws of a training step for pairs ``(2, P, N, T)``."""
        config = self.config
        kept = partial(dropout.kept, share=1 - config.dropout, device=device)
        layers = config.layers if config.dropout else 0
        units = (config.width, config.feed_forward, config.width)
        masks = tuple(Kept(*(kept((*shape, n)) for n in units)) for _ in range(layers))
        noisy = self.log_variance is not None
        return Draws(masks, torch.randn(*shape[1:], config.width, device=device) if noisy else None)

    def forward(self, pairs: Tensor, draws: Draws) -> PairedOutputs:
        """Return the results of a training pass for pairs ``(2, P, N, T, D)``, normal samples first; always float32."""
        kept = [Kept(*(mask.flatten(0, 2) for mask in layer)) for layer in draws.kept]
        x = self.transformer(self.embedding(pairs.flatten(0, 2)), kept)
        crops = pairs.shape[2]
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            if self.normal_memory is None:
                return PairedOutputs(_mean_of_crops(self.classifier(x).sigmoid(), crops).unflatten(0, (2, -1)))
            in_normal = self.normal_memory(x, self.mean)
            in_abnormal = None if self.abnormal_memory is None else self.abnormal_memory(x, self.mean)
            latent, of_abnormal = in_normal.means.chunk(2)
            latents = None
            if self.log_variance is not None and draws.noise is not None:
                log_variance = self.normal_memory.read(in_normal.weights.chunk(2)[0], self.log_variance)
                latents = latent, log_variance
                latent = latent + draws.noise.flatten(0, 1) * (log_variance / 2).exp()
            both = torch.cat([latent, of_abnormal])
            if in_abnormal is not None:
                both = both + in_abnormal.means
            frame = _mean_of_crops(self.classifier(x, both).sigmoid(), crops).unflatten(0, (2, -1))
            scores = _memory_scores(in_normal, in_abnormal)
            chosen = _chosen(scores)
            normal, abnormal = x.chunk(2)
            rows = (normal, chosen.normal), (abnormal, chosen.positive), (abnormal, chosen.abnormal)
            anchor, positive, negative = (_mean_of_crops(_mean_of(*pair), crops) for pair in rows)
            lengths = None
            if in_abnormal is not None and latents is not None:
                anchors = chosen.normal if self.config.anchor == "now" else chosen.abnormal
                of_normal = _mean_of_crops(_mean_of(latent, anchors), crops)
                lengths = of_normal, _mean_of_crops(_mean_of(in_abnormal.means.chunk(2)[1], chosen.abnormal), crops)
            return PairedOutputs(frame, scores, chosen, (anchor, positive, negative), latents, lengths)

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        """Return the scores of each row; of a bag, the mean of its crops."""
        bags = [video.rows if video.rows.ndim == 3 else video.rows[None] for video in videos]
        return [Scores(torch.cat([self._frame(part) for part in crops_in_parts(bag)]).mean(0)) for bag in bags]

    @property
    def reach(self) -> Reach:
        """Return the reach: the whole video, by global attention."""
        return Reach(self.config.segments, whole=True)

    def import_reference(self, state: Mapping[str, Tensor]) -> None:
        """Load the authors' weights.

        Raises:
            CheckpointError: keys or shapes differ.
        """
        self.load_state_dict(to_ours(state, self.state_dict(), self.config))

    def _frame(self, rows: Tensor) -> Tensor:
        """Return the scores ``(crops, rows)`` of rows ``(crops, rows, D)``; nothing is drawn."""
        parts = parts_of(rows.shape[1], rows_at_once(rows.device))
        if len(parts) == 1:
            x = self.transformer(self.embedding(rows))
        else:
            x = self.embedding.in_parts(rows, parts)
            self.transformer.write_over(x, parts)
        with torch.autocast(x.device.type, enabled=False):
            return torch.cat([self._classified(x[:, start:end].float()) for start, end, _ in parts], 1)

    def _classified(self, x: Tensor) -> Tensor:
        """Return the scores of rows behind the transformer, each by itself."""
        memories = [memory for memory in (self.normal_memory, self.abnormal_memory) if memory is not None]
        means = [memory(x, self.mean).means for memory in memories]
        scores: Tensor = self.classifier(x, sum(means) if means else None).sigmoid()
        return scores

    def _in_parts(self, pairs: Tensor, draws: Draws) -> list[tuple[Tensor, Draws]]:
        """Return pairs and their draws in parts of nearly equal size, whole where they fit on a GPU."""
        rows = pairs.shape[:4].numel()
        if rows not in self._part_counts:
            size = NUMBERS_IN_ENTRY * self.config.width * pairs.element_size()
            self._part_counts[rows] = part_count(rows, ROWS_IN_PART, size, pairs.device)
        count = min(pairs.shape[1], self._part_counts[rows])
        split = [
            [Kept(*m) for m in zip(*(mask.tensor_split(count, 1) for mask in layer), strict=True)]
            for layer in draws.kept
        ]
        kept = list(zip(*split, strict=True)) if split else [()] * count
        noise = [None] * count if draws.noise is None else draws.noise.tensor_split(count)
        return [(p, Draws(k, n)) for p, k, n in zip(pairs.tensor_split(count, 1), kept, noise, strict=True)]

    def _weights(self) -> dict[str, float]:
        """Return the weight of each term of the loss that has one."""
        config = self.config
        weights = {"classification": 1.0}
        if config.memory != "none":
            weights |= dict.fromkeys(("abnormal_not_in_normal", "normal_in_normal"), config.memory_weight)
            weights["triplet"] = config.triplet_weight
        if config.memory == "dual":
            weights |= dict.fromkeys(("abnormal_in_abnormal", "normal_not_in_abnormal"), config.memory_weight)
        if self.log_variance is not None:
            weights["divergence"] = config.kl_weight
            if config.memory == "dual":
                weights["distance"] = config.distance_weight
        return {name: weight for name, weight in weights.items() if weight}

    def _terms(self, found: PairedOutputs, crops: int) -> dict[str, Tensor]:
        """Return the terms of the loss without their weights."""
        terms = {"classification": classification(*found.frame)}
        if found.memories is not None and found.triplet is not None:
            means = (None if scores is None else _mean_of_crops(scores, crops) for scores in found.memories)
            terms |= memory_terms(MemoryScores(*means)) | {"triplet": triplet(*found.triplet)}
        if found.latents is not None:
            terms["divergence"] = divergence(*found.latents, self.config.kl_axis)
        if found.lengths is not None:
            terms["distance"] = distance(*found.lengths)
        return terms


class Classifier(nn.Module):
    """Scores of rows and what they read from the memories (spec 1.7): two layers.

    Args:
        width: of a row.
        remembers: whether there is anything to read.
    """

    def __init__(self, width: int, remembers: bool) -> None:
        super().__init__()
        self.hidden = Linear((1 + remembers) * width, HIDDEN)
        self.output = nn.Linear(HIDDEN, 1)

    def forward(self, rows: Tensor, read: Tensor | None = None) -> Tensor:
        """Return logits ``(..., T)`` of rows ``(..., T, W)`` and what they read, of the same shape."""
        width = rows.shape[-1]
        hidden = linear(rows, self.hidden.weight[:, :width], self.hidden.bias)
        if read is not None:
            hidden = hidden + linear(read, self.hidden.weight[:, width:])
        logits: Tensor = self.output(hidden.relu())
        return logits.squeeze(-1)


def _memory_scores(in_normal: Seen, in_abnormal: Seen | None) -> MemoryScores:
    """Return the scores of the two halves of a batch, normal samples first."""
    missing = (None, None) if in_abnormal is None else in_abnormal.scores.chunk(2)
    return MemoryScores(*in_normal.scores.chunk(2), *missing)


def _chosen(scores: MemoryScores) -> ChosenRows:
    """Return the highest rows of each sample; without an abnormal memory, the lowest in the normal one are abnormal."""
    least = -scores.abnormal_in_normal
    abnormal = least if scores.abnormal_in_abnormal is None else scores.abnormal_in_abnormal
    count = highest(least.shape[-1])
    by = (scores.normal_in_normal, abnormal, scores.abnormal_in_normal)
    return ChosenRows(*(values.topk(count, dim=-1).indices for values in by))


def _mean_of(rows: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean ``(samples, W)`` of the chosen rows of each sample ``(samples, T, W)``."""
    return rows.gather(1, chosen[..., None].expand(-1, -1, rows.shape[-1])).mean(1)


def _mean_of_crops(values: Tensor, crops: int) -> Tensor:
    """Return the mean over the crops of each sample, ``(samples crops, ...)`` to ``(samples, ...)``."""
    return values.unflatten(0, (-1, crops)).mean(1)
