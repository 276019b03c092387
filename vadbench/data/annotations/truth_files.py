"""Ground truths in files: the form that vadbench writes, and those that others publish.

The own form is JSON, ``{"videos": {name: {"frames": n, "segments": [[class or null, first, end], ...]}}}``, with
0-based, half-open segments; ``frames`` may be null where it is not known, and a video without segments is normal.
Others are JSON in fractions of lengths (:mod:`vadbench.data.annotations.fraction_files`), a folder with an array of 0
and 1 for each video, and one array of all videos with a list of their names and lengths beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vadbench.base.errors import DataError, shortened
from vadbench.base.ground_truth import Truth, VideoTruth
from vadbench.base.hashing import digest
from vadbench.data.annotations.count_files import read_counts
from vadbench.data.annotations.fraction_files import fraction_truths
from vadbench.data.annotations.frame_arrays import array_runs, read_frame_array
from vadbench.data.annotations.lists import MOST_FRAMES, read_json, whole
from vadbench.dataset import Video

_FORM = '{"videos": {name: {"frames": n, "segments": [[class or null, first, end], ...]}}}'
_LONGEST_NAME = 255
_ARRAY_MARK = "_gt"
"""What array files may carry behind the name of their video."""


def read_truth(path: Path) -> Truth:
    """Read a ground truth; its name is that of the file or folder with a digest of the content.

    Raises:
        DataError: the file cannot be read, has another form, or an entry of it is wrong; names it.
    """
    if path.is_dir():
        found = _array_folder(path)
    elif path.suffix.lower() == ".npy":
        found = _one_array(path)
    else:
        content = read_json(path, fractions=True)
        videos = content.get("videos") if isinstance(content, dict) else None
        if isinstance(content, list) and content:
            found = fraction_truths(content, path)
        elif isinstance(videos, dict) and videos:
            found = {name: _own_form(entry, f"{path}, {shortened(name)}") for name, entry in videos.items()}
        else:
            raise DataError(f"{path}: expected {_FORM} with at least one video, found {shortened(content)}")
    for name, video in found.items():
        _require_name(name, str(path))
        for label in {label for label, _, _ in video.segments} | {share.label for share in video.shares}:
            _require_label(label, video.where)
    return Truth(f"{path.name}@{truth_digest(found)}", found)


def truth_digest(videos: Mapping[str, VideoTruth]) -> str:
    """Return a digest of what a ground truth says, whatever the form and the order of its file."""
    said = {
        name: [v.frames, list(v.segments), [[s.label, s.first, s.last] for s in v.shares]]
        for name, v in sorted(videos.items())
    }
    return digest(said)


def truth_text(videos: Iterable[Video], frames: Mapping[str, int], facts: Mapping[str, Any]) -> str:
    """Return the ground truth of videos in vadbench's own form, one video a line.

    Frames that are annotated apart from the classes are written without a class, as the form has one truth alone.

    Args:
        videos: with their segments.
        frames: of the videos that the data set states no number for.
        facts: further entries that say where it comes from.
    """
    lines = [f" {_json(key)}: {_json(value)}," for key, value in facts.items()]
    entries = []
    for v in videos:
        segments: list[list[Any]] = [[s.label, s.start, s.end] for s in v.segments]
        if v.binary is not None:
            segments = [[None, start, end] for start, end in v.binary]
        known = v.frames if v.frames is not None else frames.get(v.name)
        entries.append(f"  {_json(v.name)}: {_json({'frames': known, 'segments': segments})}")
    return "\n".join(["{", *lines, ' "videos": {', ",\n".join(entries), " }", "}", ""])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _require_name(name: str, where: str) -> None:
    """Raise if a name cannot be one of a video: files are looked for by it, and must not lead out of their folder."""
    parts = re.split(r"[\\/]", name)
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or not {"", "..", "."}.isdisjoint(parts):
        raise DataError(f"{where}: expected the name of a video, relative and without '..', found {shortened(name)}")


def _require_label(label: str | None, where: str) -> None:
    """Raise if a text cannot be the name of a class: it is printed in tables, and may have come from anywhere."""
    if label is not None and not (label.strip() and len(label) <= _LONGEST_NAME and label.isprintable()):
        raise DataError(f"{where}: expected the name of a class or null, found {shortened(label)}")


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


def _array_folder(folder: Path) -> dict[str, VideoTruth]:
    """Return the ground truth in a folder of arrays, one a video under its name."""
    found: dict[str, VideoTruth] = {}
    for path in sorted(p for p in folder.glob("*.npy") if not p.name.startswith(".")):
        name = path.stem.removesuffix(_ARRAY_MARK)
        if name in found:
            raise DataError(f"{path}: {name!r} has an array already, {found[name].where}; keep one of the two")
        array = read_frame_array(path)
        segments = tuple((None, start, end) for start, end in array_runs(array))
        found[name] = VideoTruth(segments, len(array), str(path))
    if not found:
        raise DataError(f"{folder}: expected a .npy array of 0 and 1 for each video, found none")
    return found


def _one_array(path: Path) -> dict[str, VideoTruth]:
    """Return the ground truth in one array of all videos, divided by the list beside it."""
    lists = [path.with_suffix(suffix) for suffix in (".json", ".txt")]
    beside = next((p for p in lists if p.is_file()), None)
    if beside is None:
        raise DataError(
            f"{path}: one array of all videos does not say where a video begins; put their names and numbers of frames"
            f" beside it in its order, as {lists[0].name} ({{name: frames}}) or {lists[1].name} (lines 'name frames')"
        )
    counts, array = read_counts(beside), read_frame_array(path)
    if (total := sum(counts.values())) != len(array):
        raise DataError(
            f"{beside}: its {len(counts)} videos have {total} frames, {path.name} has {len(array)}; the two do not"
            " belong together"
        )
    found, start = {}, 0
    for name, frames in counts.items():
        segments = tuple((None, first, end) for first, end in array_runs(array[start : start + frames]))
        found[name] = VideoTruth(segments, frames, f"{path}, {shortened(name)}")
        start += frames
    return found
