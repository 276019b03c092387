"""Features that were extracted before: whether they are all there, and whose lengths are in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vadbench.base.errors import FeatureError
from vadbench.data.media import is_source
from vadbench.dataset import Video
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.store import FeatureStore


def not_extracted(folder: Path, fingerprint: Fingerprint, videos: Sequence[Video]) -> list[str]:
    """Return the names of the videos that a store lacks, or has of another file, so that an extraction has work to do.

    Args:
        folder: of the store, which may not be there yet.
        fingerprint: that of the features wanted.
        videos: each with its file.
    """
    try:
        store = FeatureStore(folder)
    except FeatureError:
        return [v.name for v in videos]
    there = set(store.names) if store.fingerprint == fingerprint else set()
    return [
        v.name for v in videos if v.name not in there or v.path is None or not is_source(v.path, store.source(v.name))
    ]


@dataclass(frozen=True)
class Mismatch:
    """A video with another number of decoded frames than was declared.

    ``declared_by`` is ``"container"``, the video file itself, or ``"data set"``, its annotation.
    """

    name: str
    decoded: int
    declared: int
    declared_by: Literal["container", "data set"]

    def __str__(self) -> str:
        return f"{self.name}: {self.decoded} frames decoded, {self.declared} declared by its {self.declared_by}"


def frame_mismatches(store: FeatureStore, videos: Sequence[Video]) -> list[Mismatch]:
    """Return the videos with another number of decoded frames than their container or their data set declares."""
    return [
        Mismatch(v.name, store.frames(v.name), declared, by)
        for v in videos
        for declared, by in _declarations(store, v)
        if declared not in (None, store.frames(v.name))
    ]


def _declarations(store: FeatureStore, video: Video) -> list[tuple[int | None, Literal["container", "data set"]]]:
    return [(store.declared(video.name), "container"), (video.frames, "data set")]
