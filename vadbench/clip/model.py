"""A CLIP: what is known of it, its image side, and the text side that prompts learn through.

Importing it takes no torch: that of a CLIP which was loaded before is only needed once a tower is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vadbench.base.arithmetic import arithmetic as stated_arithmetic
from vadbench.base.types import Arithmetic
from vadbench.clip.origin import CROPS, MIRRORED, ClipSource

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from vadbench.clip.text_tower import TextTower


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
        towers: returns the image tower and the text tower, frozen and in evaluation mode; asked once, when one of them
            is used, so that a CLIP whose facts are known needs not be loaded.
        squashed: whether the image tower takes whole frames squashed to a square, as PE-Core's does, instead of a
            square cut out of them.
    """

    source: ClipSource
    name: str
    weights_sha256: str
    activation: str
    image_size: int
    dim: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    towers: Callable[[], tuple[nn.Module, TextTower]]
    squashed: bool = False

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
    def device(self) -> torch.device:
        """The device of the image tower."""
        return next(self.visual.parameters()).device

    def preprocess(self, frames: Tensor) -> Tensor:
        """Resize the short side and cut out the centre, as CLIP does, or squash the whole frame to a square.

        Args:
            frames: uint8 ``(n, 3, height, width)``.

        Returns:
            uint8 ``(n, 3, image_size, image_size)``.
        """
        return self.crop(self.resize(frames), CROPS[0])

    def resize(self, frames: Tensor) -> Tensor:
        """Resize the short side to ``image_size`` (bicubic), or squash both sides to it (bilinear), on uint8 with
        antialiasing.

        Stays on the CPU whatever the device, because the resize of a GPU rounds differently.

        Args:
            frames: uint8 ``(n, 3, height, width)``.
        """
        from torchvision.transforms.v2 import InterpolationMode
        from torchvision.transforms.v2 import functional as transforms

        size = [self.image_size] * (2 if self.squashed else 1)
        how = InterpolationMode.BILINEAR if self.squashed else InterpolationMode.BICUBIC
        resized: Tensor = transforms.resize(frames, size, interpolation=how, antialias=True)
        return resized

    def crop(self, resized: Tensor, name: str) -> Tensor:
        """Cut a square out of frames whose short side is ``image_size``; crops differ along the long side only, and not
        at all where frames were squashed.

        Args:
            resized: ``(n, 3, height, width)`` as :meth:`resize` makes them; frames cropped already stay as they are.
            name: one of :data:`CROPS`.

        Returns:
            ``(n, 3, image_size, image_size)``, a view unless it is mirrored.
        """
        place, size = name.removesuffix(MIRRORED), self.image_size
        spare_height, spare_width = resized.shape[-2] - size, resized.shape[-1] - size
        # Rounds as torchvision does.
        top = round(spare_height / 2) if place == "center" else 0 if place.startswith("top") else spare_height
        left = round(spare_width / 2) if place == "center" else 0 if place.endswith("left") else spare_width
        if place == name:
            return resized[..., top : top + size, left : left + size]
        left = spare_width - left
        return resized[..., top : top + size, left : left + size].flip(-1)

    def encode_images(self, frames: Tensor, arithmetic: Arithmetic = "fp32") -> Tensor:
        """Return image features.

        Args:
            frames: uint8 ``(n, 3, image_size, image_size)`` as :meth:`preprocess` makes them, on any device.
            arithmetic: of the matrix products and convolutions; all but fp32 change the features a little.

        Returns:
            float32 ``(n, dim)`` on the image tower's device, not normalised.
        """
        import torch

        device = self.device
        mean = torch.tensor(self.mean, device=device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=device).view(1, 3, 1, 1)
        images = ((frames.to(device).float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
        reduced = torch.float16 if arithmetic == "fp16" else torch.bfloat16
        # TF32, cuDNN's default and perhaps the caller's for matrix products, makes features of a GPU and a CPU differ.
        with (
            torch.no_grad(),
            stated_arithmetic(arithmetic, device),
            torch.autocast(device.type, dtype=reduced, enabled=arithmetic != "fp32"),
        ):
            features: Tensor = self.visual(images)
        return features.float()
