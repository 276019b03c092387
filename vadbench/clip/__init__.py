"""CLIP: loading weights without running foreign code, encoding images, and a text tower that prompts learn through.

Architectures and the tokenizer are open_clip's. Weights come from an open_clip tag, a local file, a seed, or the small
CLIP that ships with vadbench. Whatever precision they are stored in, they are used in float32. Importing the package
takes no torch; what needs it is imported when it is asked for.
"""

from typing import TYPE_CHECKING, Any

from vadbench.clip.model import Clip
from vadbench.clip.origin import CROPS, SMALL, ClipSource

if TYPE_CHECKING:
    from vadbench.clip.loading import load_clip
    from vadbench.clip.text_tower import TextTower

__all__ = ["CROPS", "SMALL", "Clip", "ClipSource", "TextTower", "load_clip"]


def __getattr__(name: str) -> Any:
    if name == "load_clip":
        from vadbench.clip.loading import load_clip

        return load_clip
    if name == "TextTower":
        from vadbench.clip.text_tower import TextTower

        return TextTower
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
