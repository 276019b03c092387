"""Framing of images for CLIP: the resize to its input and the square crops that are cut out of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vadbench.clip.origin import CROPS, MIRRORED

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class Framing:
    """How frames become input of an image tower.

    Args:
        image_size: height and width of the image tower's input in pixels.
        squashed: whether the image tower takes whole frames squashed to a square, as PE-Core's does, instead of a
            square cut out of them.
    """

    image_size: int
    squashed: bool = False

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
