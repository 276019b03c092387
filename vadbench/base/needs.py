"""What a method needs, and the facts of a data set by which it says whether it fits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from vadbench.base.classes import ClassTable

Supervision = Literal["weak", "one-class", "training-free", "oracle"]
"""What a method learns from: labels of videos, normal videos alone, nothing, or (an oracle) the ground truth itself."""
Reading = Literal["features", "frames", "none", "recorded"]
"""What scores are made from: features, perhaps with frames beside them, frames alone, or neither."""
Kind = Literal["normal", "abnormal"]
CLIP_STREAM = "clip"
"""The name of the first stream where nothing else is said: rows of CLIP's image features."""


@dataclass(frozen=True)
class Needs:
    """What a method is given and how its scores are to be read; depends on its settings.

    Args:
        streams: names of the streams of features that it reads, the time line first; ``()`` for a method that reads
            none.
        text: it uses CLIP's text tower, so the stream ``clip`` must be of that CLIP. Otherwise any encoder's rows will
            do.
        frames: it decodes the videos.
        supervision: what it learns from. An oracle is handed the ground truth of the videos that it scores; it is shown
            apart and never ranked.
        lookahead: rows after a row that its score depends on, for a causal method, before post-processing; ``None``
            where it may depend on the whole video.
        company: ``split`` where a score depends on the other videos of the split; it is then given all of them in
            one call.
        unit_scores: scores are between 0 and 1. Otherwise metrics with a fixed threshold are undefined.
        network: it reaches for a network.
        writes: it writes below ``task.cache``.
    """

    streams: tuple[str, ...] = (CLIP_STREAM,)
    text: bool = False
    frames: bool = False
    supervision: Supervision = "weak"
    lookahead: int | None = None
    company: Literal["none", "split"] = "none"
    unit_scores: bool = True
    network: bool = False
    writes: bool = False

    @property
    def learns(self) -> bool:
        """True if it is given training videos."""
        return self.supervision in ("weak", "one-class")

    @property
    def reads(self) -> Reading:
        """What its scores are made from."""
        return "features" if self.streams else "frames" if self.frames else "none"


@dataclass(frozen=True)
class StreamFacts:
    """Facts of one stream: the width of its rows and the frames from one row to the next, ``None`` before they are
    read."""

    dim: int | None = None
    spacing: float | None = None


@dataclass(frozen=True)
class Facts:
    """Facts by which the ``unfit`` of a method's settings says whether it fits a data set.

    What is not known yet is ``None``: a method is asked before anything is read, and again when all is known.

    Args:
        dataset: name of the data set; empty for a user's own videos.
        classes: its class table.
        splits: the splits that it has.
        videos: number of videos by split and kind, such as ``videos["train", "normal"]``.
        streams: the streams that are there.
        files: whether there are video files.
        text: whether there is a CLIP text tower.
        truth: whether the videos are annotated.
    """

    dataset: str
    classes: ClassTable
    splits: Collection[str] | None = None
    videos: Mapping[tuple[str, Kind], int] | None = None
    streams: Mapping[str, StreamFacts] | None = None
    files: bool | None = None
    text: bool | None = None
    truth: bool | None = None
