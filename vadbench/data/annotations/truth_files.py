"""Ground truths in files: the form that vadbench writes, and those that others publish.

The own form is JSON, ``{"videos": {name: {"frames": n, "segments": [[class or null, first, end], ...]}}}``, with
0-based, half-open segments; ``frames`` may be null where it is not known, and a video without segments is normal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vadbench.base.errors import DataError, shortened
from vadbench.base.files import replacing
from vadbench.base.ground_truth import Truth, VideoTruth
from vadbench.base.hashing import digest
from vadbench.data.annotations.lists import MOST_FRAMES, read_json, whole
from vadbench.dataset import Video

_FORM = '{"videos": {name: {"frames": n, "segments": [[class or null, first, end], ...]}}}'


def read_truth(path: Path) -> Truth:
    """Read a ground truth; its name is that of the file with a digest of the content.

    Raises:
        DataError: the file cannot be read, has another form, or an entry of it is wrong; names it.
    """
    content = read_json(path)
    videos = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(videos, dict) or not videos:
        raise DataError(f"{path}: expected {_FORM} with at least one video, found {shortened(content)}")
    found = {name: _own_form(entry, f"{path}, {shortened(name)}") for name, entry in videos.items()}
    return Truth(f"{path.name}@{truth_digest(found)}", found)


def truth_digest(videos: Mapping[str, VideoTruth]) -> str:
    """Return a digest of what a ground truth says, whatever the form and the order of its file."""
    said = {
        name: [v.frames, list(v.segments), [[s.label, s.first, s.last] for s in v.shares]]
        for name, v in sorted(videos.items())
    }
    return digest(said)


def write_truth(path: Path, videos: Iterable[Video], frames: Mapping[str, int], facts: Mapping[str, Any]) -> None:
    """Write the ground truth of videos in vadbench's own form.

    Args:
        path: the file; an existing one is replaced.
        videos: with their segments.
        frames: of the videos that the data set states no number for.
        facts: further entries that say where it comes from.
    """
    entries = {
        v.name: {
            "frames": v.frames if v.frames is not None else frames.get(v.name),
            "segments": [[s.label, s.start, s.end] for s in v.segments]
            if v.binary is None
            else [[None, start, end] for start, end in v.binary],
        }
        for v in videos
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({**facts, "videos": entries}, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _own_form(entry: Any, where: str) -> VideoTruth:
    if not isinstance(entry, dict) or not isinstance(entry.get("segments"), list):
        raise DataError(f"{where}: expected an entry as in {_FORM}, found {shortened(entry)}")
    frames = entry.get("frames")
    if frames is not None and not 1 <= whole(frames, where) <= MOST_FRAMES:
        raise DataError(f"{where}: expected a number of frames from 1 to {MOST_FRAMES}, found {frames}")
    segments = []
    for segment in entry["segments"]:
        match segment:
            case [None | str() as label, first, end]:
                pass
            case _:
                raise DataError(f"{where}: expected a segment [class or null, first, end], found {shortened(segment)}")
        start, last = whole(first, where), whole(end, where)
        if not 0 <= start < last:
            raise DataError(f"{where}: segment must have 0 <= first < end, found [{start}, {last})")
        segments.append((label, start, last))
    return VideoTruth(tuple(segments), frames, where)
