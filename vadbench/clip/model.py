"""A CLIP: what is known of it, its image side, and the text side that prompts learn through.

Importing it takes no torch: that of a CLIP which was loaded before is only needed once a tower is used.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vadbench.base.arithmetic import arithmetic as stated_arithmetic
from vadbench.base.types import Arithmetic
from vadbench.clip.framing import Framing
from vadbench.clip.origin import ClipSource

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from vadbench.clip.text_tower import TextTower


@dataclass(kw_only=True)
class Clip(Framing):
    """A loaded CLIP, and how its images are framed.

    Args:
        source: the names it was loaded by.
        name: the architecture: open_clip's name for it, or :data:`SMALL`. Says nothing about the weights.
        weights_sha256: identifies the weights by their values: the same in float16 and float32 files.
        activation: ``"gelu"`` or ``"quickgelu"``.
        dim: width of image and text features.
        mean: per-channel mean that pixel values between 0 and 1 are normalised with.
        std: per-channel standard deviation, likewise.
        towers: returns the image tower and the text tower, frozen and in evaluation mode; asked once, when one of them
            is used, so that a CLIP whose facts are known needs not be loaded.
        image_size, squashed: as for :class:`Framing`.
    """

    source: ClipSource
    name: str
    weights_sha256: str
    activation: str
    dim: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    towers: Callable[[], tuple[nn.Module, TextTower]]

    @cached_property
    def _loaded(self) -> tuple[nn.Module, TextTower]:
        return self.towers()

    @property
    def visual(self) -> nn.Module:
        """The image tower."""
        return self._loaded[0]

    @property
    def text(self) -> TextTower:
        """The text tower."""
        return self._loaded[1]

    @property
    def framing(self) -> Framing:
        """How its images are framed, without the towers: another process can be told it."""
        return Framing(image_size=self.image_size, squashed=self.squashed)

    @property
    def device(self) -> torch.device:
        """The device of the image tower."""
        return next(self.visual.parameters()).device

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation ``(1, 3, 1, 1)`` on the device; to bring them there for each batch would wait for it."""
        import torch

        mean, std = (torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return mean, std

    @cached_property
    def _bfloat16(self) -> nn.Module:
        """A copy of the image tower in bfloat16."""
        import torch

        return copy.deepcopy(self.visual).to(torch.bfloat16)

    def encode_images(self, frames: Tensor, arithmetic: Arithmetic = "fp32") -> Tensor:
        """Return image features.

        Args:
            frames: uint8 ``(n, 3, image_size, image_size)`` as :meth:`preprocess` makes them, on any device.
            arithmetic: of the matrix products and convolutions; all but fp32 change the features a little. On a GPU,
                bf16 is that of everything else in the image tower too, which spares casts of weights and activations in
                every batch; on a CPU, tf32 is fp32.

        Returns:
            float32 ``(n, dim)`` on the image tower's device, not normalised.
        """
        import torch

        device, (mean, std) = self.device, self._moments
        images = ((frames.to(device).float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
        reduced = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(arithmetic)
        tower = self.visual
        if reduced == torch.bfloat16 and device.type == "cuda":
            tower, images, reduced = self._bfloat16, images.to(reduced), None
        # TF32, cuDNN's default and perhaps the caller's for matrix products, makes features of a GPU and a CPU differ.
        with (
            torch.no_grad(),
            stated_arithmetic(arithmetic, device),
            torch.autocast(device.type, dtype=reduced, enabled=reduced is not None),
        ):
            features: Tensor = tower(images)
        return features.float()
