"""VadCLIP: Wu et al., "VadCLIP: Adapting Vision-Language Models for Weakly Supervised Video Anomaly Detection",
AAAI 2024.

Rows of a temporal model go to two branches: a classifier gives the anomaly score of a row, and a map of rows against
class prompts gives its class. The prompts are learned, and each video adds a visual prompt to them, weighted by the
classifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from vadbench.method import Batch, Method, Reach, Scores, Task, VideoInput
from vadbench.nn.attention import Mlp
from vadbench.nn.chunks import in_chunks
from vadbench.nn.devices import part_count
from vadbench.nn.parts import sum_of_parts
from vadbench.nn.sampling import averaged_sample, row_mask
from vadbench_vadclip.checkpoint import to_ours
from vadbench_vadclip.config import VadClipConfig
from vadbench_vadclip.losses import align_loss, coarse_loss, divergence, most_suspicious
from vadbench_vadclip.prompts import Prompts
from vadbench_vadclip.temporal import TemporalAdapter

ROWS_IN_PART = 3840
"""Rows whose activations are in memory at once in training on a CPU. A whole batch would take 3 GB and a sixth more
time, as it fits no cache, and tensors of 32 MB or more, such as an MLP's of 4,096 rows, get new pages at every step."""
NUMBERS_IN_ENTRY = 72
"""Numbers that a training step with the default settings keeps for each entry of the rows (counted): they say in how
many parts a batch fits on a GPU whose free memory is small."""
TEMPERATURE = 0.07
"""Divides the cosine similarities of the alignment map (paper and code)."""
_MEMORY = 0.98
"""Share of what earlier batches said in the comparison of the branches."""


class VadClip(Method):
    """VadCLIP; see :class:`VadClipConfig` for its options.

    The CLIP text tower belongs to the task and is not part of the state. ``separation`` ``(2,)``, if the score branch
    is "best", measures how well the coarse and the align branch separate abnormal from normal training videos: a
    running mean of the AUC within a batch.
    """

    Config = VadClipConfig
    separation: Tensor

    def __init__(self, config: VadClipConfig, task: Task) -> None:
        super().__init__(config, task)
        self.adapter = TemporalAdapter(config, task.dim)
        self.coarse = CoarseBranch(task.dim) if config.branches != "align" else None
        self.align = AlignBranch(config, task) if config.branches != "coarse" else None
        if config.score_branch == "best":
            self.register_buffer("separation", torch.zeros(2))
        self._part_counts: dict[int, int] = {}

    def view(self, video: VideoInput, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """Return a sample: ``features`` ``(length, dim)``, float32, and the number of the video's rows, ``length``; it
        is deterministic."""
        features, length = video.rows, self.config.length
        return {"features": averaged_sample(features, length), "length": np.array(min(len(features), length))}

    def forward(self, features: Tensor, lengths: Tensor, text: Tensor | None) -> dict[str, Tensor]:
        """Return the logits of the branches: ``coarse`` ``(B, L)`` and ``align`` ``(B, L, C)``, always float32.

        Args:
            features: ``(B, L, D)``.
            lengths: ``(B,)`` number of rows of each video.
            text: ``(C, D)`` from :meth:`text_features`.
        """
        rows = self.adapter(features, lengths)
        logits: dict[str, Tensor] = {}
        # A bfloat16 logit has 8 bits: a few hundred scores for thousands of rows, too few to rank them.
        with torch.autocast(rows.device.type, enabled=False):
            rows = rows.float()
            if self.coarse is not None:
                logits["coarse"] = self.coarse(rows)
            if self.align is not None and text is not None:
                logits["align"] = self.align(rows, lengths, text.float(), logits.get("coarse"))
        return logits

    def text_features(self) -> Tensor | None:
        """Return text features of the classes ``(C, D)``, ``None`` without the align branch."""
        return None if self.align is None else self.align.prompts.text_features()

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return those of the terms ``coarse``, ``align`` and ``divergence`` that the settings use."""
        lengths, labels = batch.views["length"], batch.labels > 0
        text = self.text_features()
        looks: list[dict[str, Tensor]] = []

        def terms_of(part: Sequence[Tensor], text: Tensor | None) -> tuple[Tensor, ...]:
            features, lengths, labels = part
            logits = self.forward(features, lengths, text)
            looks.append({name: values.detach() for name, values in logits.items()})
            losses = []
            with torch.autocast(labels.device.type, enabled=False):
                if "coarse" in logits:
                    losses.append(coarse_loss(logits["coarse"], lengths, ~labels[:, self.task.classes.normal]))
                if "align" in logits:
                    losses.append(align_loss(logits["align"], lengths, labels))
            return tuple(loss * (len(labels) / len(batch.labels)) for loss in losses)

        parts = self._in_parts(batch.views["features"], lengths, labels)
        names = [name for name in ("coarse", "align") if getattr(self, name) is not None]
        terms = dict(zip(names, sum_of_parts(terms_of, parts, list(self.parameters()), text), strict=True))
        if self.training and self.config.score_branch == "best":
            seen = {name: torch.cat([look[name] for look in looks]) for name in names}
            self._compare_branches(seen, lengths, ~labels[:, self.task.classes.normal])
        if text is not None and text.requires_grad and self.config.divergence_weight:
            with torch.autocast(labels.device.type, enabled=False):
                terms["divergence"] = self.config.divergence_weight * divergence(text.float(), self.task.classes.normal)
        return terms

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        """Return scores of both branches of each row, and the align branch's class probabilities."""
        text = self.text_features()
        found = in_chunks(
            lambda rows, lengths: self.forward(rows, lengths, text), [v.rows for v in videos], self.config.length
        )
        return [self._scores(logits) for logits in found]

    @property
    def reach(self) -> Reach:
        """Return the reach, a chunk (spec 3.5)."""
        return Reach(self.config.length)

    def import_reference(self, state: Mapping[str, Tensor]) -> None:
        """Load the authors' weights.

        Raises:
            CheckpointError: keys or shapes differ, or the checkpoint is of another CLIP.
        """
        own = self.state_dict()
        self.load_state_dict(own | to_ours(state, own, self.config, self.task))

    def _scores(self, logits: Mapping[str, Tensor]) -> Scores:
        branches: dict[str, Tensor] = {}
        classes = None
        if "coarse" in logits:
            branches["coarse"] = logits["coarse"].sigmoid()
        if "align" in logits:
            classes = logits["align"].softmax(-1)
            branches["align"] = 1 - classes[:, self.task.classes.normal]
        return Scores(branches[self._score_branch()], classes, branches if len(branches) == 2 else {})

    def _score_branch(self) -> str:
        if self.config.score_branch != "best":
            return str(self.config.score_branch)
        return "align" if self.separation[1] > self.separation[0] else "coarse"

    @torch.no_grad()
    def _compare_branches(self, logits: Mapping[str, Tensor], lengths: Tensor, abnormal: Tensor) -> None:
        normal = self.task.classes.normal
        rows = (logits["coarse"].sigmoid(), 1 - logits["align"].softmax(-1)[..., normal])
        videos = torch.stack([most_suspicious(scores, lengths) for scores in rows])
        # All pairs, and those that count picked by a factor: to know their number first would take a wait for a GPU.
        pairs = (abnormal[:, None] & ~abnormal).to(videos.dtype)
        higher = (videos[:, :, None] - videos[:, None]).sign() + 1
        auc = (higher * pairs).sum((1, 2)) / pairs.sum() / 2
        seen = torch.where(self.separation.any(), 1 - _MEMORY, 1.0).to(videos.dtype)
        self.separation.copy_(torch.where(pairs.any(), self.separation.lerp(auc, seen), self.separation))

    def _in_parts(self, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
        """Return a batch's tensors in parts of nearly equal size, whole where they fit on a GPU."""
        features = tensors[0]
        rows = features.shape[:2].numel()
        if rows not in self._part_counts:
            size = NUMBERS_IN_ENTRY * features.shape[2] * features.element_size()
            self._part_counts[rows] = part_count(rows, ROWS_IN_PART, size, features.device)
        count = min(len(features), self._part_counts[rows])
        return list(zip(*(t.tensor_split(count) for t in tensors), strict=True))


class CoarseBranch(nn.Module):
    """Branch for the anomaly score of each row (spec 1.3): an MLP added to the row, and a linear classifier."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = Mlp(width)
        self.classifier = nn.Linear(width, 1)

    def forward(self, rows: Tensor) -> Tensor:
        """Return logits ``(B, L)`` of rows ``(B, L, D)``."""
        logits: Tensor = self.classifier(rows) + self.mlp(rows, readout=self.classifier.weight)
        return logits.squeeze(-1)


class AlignBranch(nn.Module):
    """Branch for the class of each row (spec 1.5): cosine similarity with the class's text feature, to which a visual
    prompt of the video is added."""

    def __init__(self, config: VadClipConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.prompts = Prompts(config, task)
        self.mlp = Mlp(task.dim) if config.visual_prompt != "none" else None

    def forward(self, rows: Tensor, lengths: Tensor, text: Tensor, coarse: Tensor | None) -> Tensor:
        """Return logits ``(B, L, C)`` of rows ``(B, L, D)``, given text ``(C, D)`` and coarse logits ``(B, L)``."""
        targets = text.expand(len(rows), -1, -1)
        if self.mlp is not None:
            targets = targets + self._visual_prompt(rows, lengths, coarse)[:, None]
            targets = targets + self.mlp(targets)
        # The norms are divided out of the products, which are far fewer than the rows' entries.
        norms = torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp_min(1e-12)
        return rows @ F.normalize(targets, dim=-1).mT / (norms * TEMPERATURE)

    def _visual_prompt(self, rows: Tensor, lengths: Tensor, coarse: Tensor | None) -> Tensor:
        weights = rows.new_ones(rows.shape[:2])
        if coarse is not None and self.config.visual_prompt == "focus":
            weights = coarse.sigmoid() if self.config.focus_weights == "confidence" else coarse
        if self.config.mask_padding:
            weights = weights * row_mask(lengths, rows.shape[1])
        return F.normalize((weights[:, None] @ rows).squeeze(1), dim=-1)
