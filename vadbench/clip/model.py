"""A loaded CLIP: its image side, and the text side that prompts learn through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from vadbench.base.types import Arithmetic
from vadbench.nn.linear import linear

SMALL = "small"
"""Name of the small CLIP that ships with vadbench."""

_PLACES = ("center", "top-left", "top-right", "bottom-left", "bottom-right")
_MIRRORED = "-mirrored"

CROPS = (*_PLACES, *(place + _MIRRORED for place in _PLACES))
"""Names of the ten crops: the first is CLIP's own, the first five are torchvision's ``five_crop``, all of them its
``ten_crop``, with the center before the corners. Those of the second half are cut from the mirrored frame."""


@dataclass(frozen=True)
class ClipSource:
    """The name of a CLIP and of its weights.

    Args:
        model: an open_clip model name, :data:`SMALL`, or ``""`` to infer the architecture from a weights file with
            OpenAI's key names.
        weights: an open_clip pretrained tag, the path of a local file (``.safetensors``, ``.pt``, ``.pth``, ``.bin``),
            ``random:SEED`` for untrained weights, or ``""`` for the weights of the small CLIP.
    """

    model: str = SMALL
    weights: str = ""


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

        Attention is causal, so nothing after the last end matters, and it is not computed.

        Args:
            embeddings: ``(n, length, width)`` without positions; gradients flow through.
            ends: ``(n,)`` position of each end-of-text token.

        Returns:
            ``(n, width)`` after the final layer norm, before the projection.
        """
        length = int(ends.max()) + 1
        x = embeddings[:, :length] + self.positional_embedding[:length]
        for block in self.transformer.resblocks:
            x = _text_block(block, x)
        rows: Tensor = self.ln_final(x[torch.arange(len(x), device=x.device), ends])
        return rows

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Return text features ``(n, dim)``, not normalised."""
        tokens = self.tokenize(texts)
        # The end-of-text token has the highest id of all.
        return self.encode(self.embed(tokens), tokens.argmax(dim=-1)) @ self.text_projection


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


@dataclass
class Clip:
    """A loaded CLIP.

    Args:
        source: the names it was loaded by.
        name: the architecture: open_clip's name for it, or :data:`SMALL`. Says nothing about the weights.
        weights_sha256: identifies the weights by their values: the same in float16 and float32 files.
        activation: ``"gelu"`` or ``"quickgelu"``.
        image_size: height and width of the image tower's input in pixels.
        dim: width of image and text features.
        mean: per-channel mean that pixel values between 0 and 1 are normalised with.
        std: per-channel standard deviation, likewise.
        visual: the image tower, frozen and in evaluation mode.
        text: the text tower.
    """

    source: ClipSource
    name: str
    weights_sha256: str
    activation: str
    image_size: int
    dim: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    visual: nn.Module
    text: TextTower

    @property
    def device(self) -> torch.device:
        """The device of the image tower."""
        return next(self.visual.parameters()).device

    def preprocess(self, frames: Tensor) -> Tensor:
        """Resize the short side and cut out the centre, as CLIP does.

        Args:
            frames: uint8 ``(n, 3, height, width)``.

        Returns:
            uint8 ``(n, 3, image_size, image_size)``.
        """
        return self.crop(self.resize(frames), CROPS[0])

    def resize(self, frames: Tensor) -> Tensor:
        """Resize the short side to ``image_size`` (bicubic, antialiased, on uint8).

        Stays on the CPU whatever the device, because the resize of a GPU rounds differently.

        Args:
            frames: uint8 ``(n, 3, height, width)``.
        """
        resized: Tensor = transforms.resize(
            frames, [self.image_size], interpolation=InterpolationMode.BICUBIC, antialias=True
        )
        return resized

    def crop(self, resized: Tensor, name: str) -> Tensor:
        """Cut a square out of frames whose short side is ``image_size``; crops differ along the long side only.

        Args:
            resized: ``(n, 3, height, width)`` as :meth:`resize` makes them; frames cropped already stay as they are.
            name: one of :data:`CROPS`.

        Returns:
            ``(n, 3, image_size, image_size)``, a view unless it is mirrored.
        """
        place, size = name.removesuffix(_MIRRORED), self.image_size
        spare_height, spare_width = resized.shape[-2] - size, resized.shape[-1] - size
        # Rounds as torchvision does.
        top = round(spare_height / 2) if place == "center" else 0 if place.startswith("top") else spare_height
        left = round(spare_width / 2) if place == "center" else 0 if place.endswith("left") else spare_width
        if place == name:
            return resized[..., top : top + size, left : left + size]
        left = spare_width - left
        return resized[..., top : top + size, left : left + size].flip(-1)

    @torch.no_grad()
    def encode_images(self, frames: Tensor, arithmetic: Arithmetic = "fp32") -> Tensor:
        """Return image features.

        Args:
            frames: uint8 ``(n, 3, image_size, image_size)`` as :meth:`preprocess` makes them, on any device.
            arithmetic: of the matrix products and convolutions; all but fp32 change the features a little.

        Returns:
            float32 ``(n, dim)`` on the image tower's device, not normalised.
        """
        device = self.device
        mean = torch.tensor(self.mean, device=device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=device).view(1, 3, 1, 1)
        images = ((frames.to(device).float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
        # TF32, cuDNN's default and perhaps the caller's for matrix products, makes features of a GPU and a CPU differ.
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        reduced = torch.float16 if arithmetic == "fp16" else torch.bfloat16
        try:
            with (
                torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
                torch.autocast(device.type, dtype=reduced, enabled=arithmetic != "fp32"),
            ):
                features: Tensor = self.visual(images)
        finally:
            torch.set_float32_matmul_precision(before)
        return features.float()
