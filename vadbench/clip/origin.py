"""The names of a CLIP, of its weights and of the crops that it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SMALL = "small"
"""Name of the small CLIP that ships with vadbench."""

_PLACES = ("center", "top-left", "top-right", "bottom-left", "bottom-right")
MIRRORED = "-mirrored"

CROPS = (*_PLACES, *(place + MIRRORED for place in _PLACES))
"""Names of the ten crops: the first is CLIP's own, the first five are torchvision's ``five_crop``, all of them its
``ten_crop``, with the center before the corners. Those of the second half are cut from the mirrored frame."""
ASSETS = Path(__file__).parents[1] / "assets"
"""The folder of ``small_clip.json`` and ``small_clip.safetensors``."""
FILE_SUFFIXES = frozenset({".safetensors", ".pt", ".pth", ".bin"})


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


def is_file(weights: str) -> bool:
    """Return True if ``weights`` names a file, not an open_clip tag: the suffix decides, not what exists."""
    return Path(weights).suffix.lower() in FILE_SUFFIXES
