"""CLIP: loading weights without running foreign code, encoding images, and a text tower that prompts learn through.

Architectures and the tokenizer are open_clip's, which is imported only where a CLIP is loaded. Weights come from an
open_clip tag, a local file, a seed, or the small CLIP that ships with vadbench. Whatever precision they are stored in,
they are used in float32.
"""

from vadbench.clip.loading import load_clip
from vadbench.clip.model import CROPS, SMALL, Clip, ClipSource, TextTower

__all__ = ["CROPS", "SMALL", "Clip", "ClipSource", "TextTower", "load_clip"]
