"""Class directions: from the normal centroid towards each abnormal class in CLIP's latent space (spec 2.2 to 2.5).

Shapes: C classes, C' abnormal ones, W text width, D feature width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vadbench.base.errors import ConfigError
from vadbench.method import Task
from vadbench.nn.prompts import CachedText
from vadbench_anomalyclip.config import AnomalyClipConfig

ENGINEERED = "a video from a CCTV camera of a {}"
"""Prompt of the paper's zero-shot row and of table 7."""


class FreeDirections(nn.Module):
    """Directions optimised without text (table 7, "direct optimisation"), starting as small random vectors.

    They are directions already, so the centroid is not subtracted (our decision).
    """

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(0.02 * torch.randn(classes, dim))

    def forward(self, centroid: Tensor) -> Tensor:
        """Unit vectors ``(C', D)``."""
        return F.normalize(self.vectors, dim=-1)


class TextDirections(CachedText):
    """Directions from the normal centroid to the text feature of each abnormal class.

    The normal class has context vectors, as in the authors' code, but its text feature is never used, so it is not
    computed; its vectors get a zero gradient and only shrink by weight decay.

    Raises:
        FeatureError: rows and text features differ in width.
        ConfigError: a prompt does not fit CLIP's context.
    """

    tokens: Tensor
    embeddings: Tensor
    ends: Tensor
    abnormal: Tensor
    hidden: Tensor

    def __init__(self, config: AnomalyClipConfig, task: Task) -> None:
        super().__init__()
        self.task = task
        text = task.comparable_text("directions=free and text_encoder=none")
        self.n_ctx = config.n_ctx if config.directions == "coop" else 0
        words = task.classes.prompt_words(config.prompt_words)
        prompts = [f"{'X ' * self.n_ctx}{w}." if self.n_ctx else ENGINEERED.format(w) for w in words]
        tokens = text.tokenize(prompts)
        abnormal = torch.tensor(task.classes.abnormal, device=tokens.device)
        ends = tokens.argmax(-1)[abnormal]
        longest = int(ends.max()) + 1
        if longest == text.context_length:
            raise ConfigError(
                f"a prompt fills CLIP's {text.context_length} tokens and may have lost its end; use fewer n_ctx or"
                " shorter class words"
            )
        with torch.no_grad():
            embeddings = text.embed(tokens[abnormal, :longest])
            self.register_buffer("tokens", tokens, persistent=False)
            self.register_buffer("abnormal", abnormal, persistent=False)
            self.register_buffer("ends", ends, persistent=False)
            self.register_buffer("embeddings", embeddings, persistent=False)
            if not self.n_ctx:
                self.register_buffer("hidden", text.encode(embeddings, ends), persistent=False)
        if self.n_ctx:
            own = (self.n_ctx,) if config.shared_context else (len(task.classes), self.n_ctx)
            self.ctx = nn.Parameter(0.02 * torch.randn(*own, text.width))
        if config.text_encoder == "finetune_projection":
            self.text_projection = nn.Parameter(text.text_projection.detach().clone())

    def compute(self) -> Tensor:
        """Text feature of each abnormal class, not normalised, ``(C', D)``."""
        hidden = self._encoded() if self.n_ctx else self.hidden
        projection = self.text_projection if hasattr(self, "text_projection") else self.task.text.text_projection
        return hidden @ projection

    def forward(self, centroid: Tensor) -> Tensor:
        """Unit vectors ``(C', D)``."""
        return F.normalize(self.text_features() - centroid, dim=-1)

    def _encoded(self) -> Tensor:
        context = self.ctx.expand(len(self.ends), -1, -1) if self.ctx.ndim == 2 else self.ctx[self.abnormal]
        prompts = torch.cat([self.embeddings[:, :1], context, self.embeddings[:, 1 + self.n_ctx :]], 1)
        return self.task.text.encode(prompts, self.ends)
