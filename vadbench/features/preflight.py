"""A cheap check that features come from a CLIP, before hours of training on the wrong ones.

Every pair of an image and a text that one CLIP encodes is at about the same angle, related or not. Rows of OpenAI's
ViT-B/16 have a cosine of 0.18 to 0.29 with its class names whatever the video (measured on UCF-Crime); rows of another
encoder of the same width have 0.00 to 0.07.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from vadbench.base.errors import FeatureError
from vadbench.clip import SMALL, Clip
from vadbench.dataset import ClassTable
from vadbench.features.source import SampledRows, spread

if TYPE_CHECKING:
    from torch import Tensor

OTHER_BELOW = 0.1
"""A mean cosine below this is another encoder's (our decision: between the two ranges measured)."""
OTHER_ABOVE = 0.5
"""A mean cosine above this is no image's: rows of texts, or of what was trained to be like them (our
decision: far above the range measured)."""

_VIDEOS = 64


@dataclass(frozen=True)
class Preflight:
    """The agreement of features with a CLIP's text tower.

    Args:
        clip: the CLIP's architecture.
        cosine: mean image-text cosine, -1 to 1.
        verdict: ``untold`` for a CLIP whose cosine tells nothing: the small one and untrained ones.
    """

    clip: str
    cosine: float
    verdict: Literal["right encoder", "other encoder", "untold"]


def sampled_videos(names: Sequence[str]) -> list[str]:
    """Return the videos whose samples are compared: at most 64, evenly spread."""
    return [names[i] for i in spread(len(names), _VIDEOS)]


def image_text_cosine(folder: Path, samples: Sequence[SampledRows], text_features: Tensor) -> float:
    """Return the mean cosine between rows of features and texts.

    Args:
        folder: where the features are, for messages.
        samples: rows of some videos, ``(rows, dim)`` of each.
        text_features: ``(texts, dim)`` of the CLIP in question, of any length.

    Raises:
        FeatureError: there is no row, or the texts are of another width.
    """
    texts = _unit(text_features.detach().cpu().numpy().astype(np.float64))
    if not sum(map(len, samples)):
        raise FeatureError(f"{folder}: expected rows to compare with a CLIP's texts, found none")
    width = samples[0].shape[1]
    if width != texts.shape[1]:
        raise FeatureError(
            f"features in {folder} are {width} wide, the CLIP's text features {texts.shape[1]}; name the CLIP"
            " they come from, such as --clip ViT-B-16-quickgelu --clip-weights openai"
        )
    return float((_unit(np.concatenate(samples)) @ texts.T).mean())


def is_other_encoder(cosine: float) -> bool:
    """Return True if a mean image-text cosine says that the rows come from another encoder than the texts."""
    return not OTHER_BELOW <= cosine <= OTHER_ABOVE


def preflight(folder: Path, samples: Sequence[SampledRows], clip: Clip, classes: ClassTable) -> Preflight:
    """Compare rows of features with the class names under the CLIP they are said to come from.

    Raises:
        FeatureError: as :func:`image_text_cosine`.
    """
    return judged(image_text_cosine(folder, samples, clip.text(classes.words)), clip)


def judged(cosine: float, clip: Clip) -> Preflight:
    """Return the verdict on features whose rows have a mean image-text cosine under a CLIP."""
    if clip.name == SMALL or clip.source.weights.startswith("random:"):
        return Preflight(clip.name, cosine, "untold")
    return Preflight(clip.name, cosine, "other encoder" if is_other_encoder(cosine) else "right encoder")


def _unit(rows: SampledRows) -> SampledRows:
    """Return rows at unit length; one of zeros stays as it is."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)
