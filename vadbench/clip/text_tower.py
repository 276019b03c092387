"""The text side of a CLIP, which prompts learn through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vadbench.nn.linear import linear


class TextTower(nn.Module):
    """CLIP's text side, frozen and in evaluation mode.

    Prompt learners call :meth:`embed`, replace some of the embeddings and call :meth:`encode`; all others call the
    module with texts.

    Args:
        model: an open_clip model, or its ``text`` part, whose text transformer is causal.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        text: Any = model
        self.token_embedding: nn.Embedding = text.token_embedding
        self.positional_embedding: nn.Parameter = text.positional_embedding
        self.transformer: Any = text.transformer
        self.ln_final: nn.Module = text.ln_final
        self.text_projection: Tensor
        self.register_buffer("text_projection", text.text_projection.detach())
        self.context_length: int = text.context_length
        self.width, self.dim = self.text_projection.shape
        self.requires_grad_(False).eval()

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Return token ids ``(n, context_length)``, int64, padded with 0; a text that is too long loses its end."""
        import open_clip

        tokens: Tensor = open_clip.tokenize(list(texts), context_length=self.context_length)
        return tokens.to(self.text_projection.device)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return token embeddings ``(n, length, width)`` without positions."""
        embeddings: Tensor = self.token_embedding(tokens)
        return embeddings

    def encode(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Run the transformer and take each text's row at its end-of-text token.

        Attention is causal, so nothing after the last end matters. It is not computed on a CPU; on a GPU, which the
        processor would have to wait for to know where the last end is, all positions are that are given.

        Args:
            embeddings: ``(n, length, width)`` without positions, best no longer than the last end; gradients flow
                through.
            ends: ``(n,)`` position of each end-of-text token.

        Returns:
            ``(n, width)`` after the final layer norm, before the projection.
        """
        length = int(ends.max()) + 1 if ends.device.type == "cpu" else embeddings.shape[1]
        x = embeddings[:, :length] + self.positional_embedding[:length]
        for block in self.transformer.resblocks:
            x = _text_block(block, x)
        rows: Tensor = self.ln_final(x[torch.arange(len(x), device=x.device), ends])
        return rows

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Return text features ``(n, dim)``, not normalised."""
        tokens = self.tokenize(texts)
        # The end-of-text token has the highest id of all.
        ends = tokens.argmax(dim=-1)
        return self.encode(self.embed(tokens[:, : int(ends.max()) + 1]), ends) @ self.text_projection


def _text_block(block: Any, x: Tensor) -> Tensor:
    """Run a block of open_clip's text transformer with its products through :func:`vadbench.nn.linear.linear`.

    Open_clip's own takes twice as long on some processors, a twentieth of a training step of VadCLIP.
    """
    attention, (widen, activation, narrow) = block.attn, block.mlp
    parts = linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = parts.view(*x.shape[:2], 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    attended = F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).reshape(x.shape)
    x = x + block.ls_1(linear(attended, attention.out_proj.weight, attention.out_proj.bias))
    hidden = activation(linear(block.ln_2(x), widen.weight, widen.bias))
    out: Tensor = x + block.ls_2(linear(hidden, narrow.weight, narrow.bias))
    return out
