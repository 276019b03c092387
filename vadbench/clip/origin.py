"""The names of a CLIP, of its weights and of the crops that it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from vadbench.base.errors import ClipError, UnknownNameError

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


def model_names() -> list[str]:
    """Return the names of all models, as open_clip's ``list_models`` does, whose import takes seconds."""
    found = find_spec("open_clip")
    places = found.submodule_search_locations if found is not None else None
    configs = (file.stem for place in places or () for file in Path(place, "model_configs").glob("*.json"))
    return [SMALL, *sorted(configs)]


def require_named(source: ClipSource) -> None:
    """Raise if a CLIP names a model or a file that is not there; nothing is imported to tell.

    Raises:
        UnknownNameError: open_clip knows no model of that name.
        ClipError: the file of its weights is missing.
    """
    if source.model and source.model not in (names := model_names()):
        raise UnknownNameError("CLIP model", source.model, names, "vadbench list clips")
    if is_file(source.weights):
        require_file(source.weights)


def require_file(weights: str) -> Path:
    """Return the path of a file of weights.

    Raises:
        ClipError: it is missing.
    """
    path = Path(weights)
    if not path.is_file():
        raise ClipError(f"expected a CLIP weights file ({', '.join(sorted(FILE_SUFFIXES))}), found no file '{path}'")
    return path
