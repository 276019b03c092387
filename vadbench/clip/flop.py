"""The floating-point operations of an image tower, counted once and then remembered."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

from vadbench.base.errors import StorageError, UnknownNameError
from vadbench.base.files import Remembered
from vadbench.base.locations import cache_root
from vadbench.clip.model import Clip

if TYPE_CHECKING:
    from torch import nn

_FILE = "flop.jsonl"


def image_flop(clip: Clip) -> int:
    """Return the floating-point operations that the image tower takes for one image of its input size.

    Those of its matrix products and convolutions count, two for each multiplication with its addition. They depend on
    the architecture alone, so no weights are loaded where open_clip knows it; under one version of open_clip and of
    torch they are counted once.
    """
    memory = Remembered(cache_root() / _FILE)
    key, stamp = (clip.name, str(clip.image_size)), f"{version('open_clip_torch')} {version('torch')}"
    if (known := memory.find(key, stamp)) is not None:
        return int(known)
    flop = counted_flop(_tower(clip), clip.image_size)
    with suppress(StorageError):  # counting it again takes a moment longer
        memory.add(key, stamp, str(flop))
    return flop


def counted_flop(tower: nn.Module, size: int) -> int:
    """Return what torch counts while a tower encodes one square image of a number of pixels a side."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    device = next(tower.parameters()).device
    image = torch.zeros(1, 3, size, size, device=device)
    # Attention as plain matrix products, all of which are counted; a layer fused into one kernel counts as nothing.
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            tower(image)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return int(counter.get_total_flops())


def _tower(clip: Clip) -> nn.Module:
    from vadbench.clip.loading import unweighted_image_tower

    try:
        return unweighted_image_tower(clip.name)
    except UnknownNameError:  # inferred from the weights
        return clip.visual
