"""The file of remarks in words beside the scores of a run, a line of JSON for each remark."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vadbench.base.errors import DataError, PluginError, RunError, one_line, shortened
from vadbench.base.files import regular, replacing
from vadbench.base.remarks import LONGEST_REMARK, Remarks
from vadbench.scoring.video_scores import VideoScores

MOST_BYTES = 2**30
"""Size of a file of remarks that is written or read at most."""
_LONGEST_LINE = 6 * LONGEST_REMARK + 2**14
"""Bytes of a line that is read: JSON writes a control character in six."""


def write_remarks(path: Path, scores: Sequence[VideoScores], stride: int) -> None:
    """Write the remarks on videos atomically, or remove the file of an earlier run where there are none.

    A line has the video's name, the remark's first row and one past its last, the same in frames, and the text.

    Raises:
        PluginError: they are too many.
        StorageError: the disk is full or may not be written.
    """
    lines = _lines(scores, stride)
    if (first := next(lines, None)) is None:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as temporary, temporary.open("wb") as file:
        size = file.write(first)
        for line in lines:
            size += file.write(line)
            if size > MOST_BYTES:
                raise PluginError(f"the remarks must be at most {MOST_BYTES:,} bytes together; make them shorter")


def _lines(scores: Sequence[VideoScores], stride: int) -> Iterator[bytes]:
    for video in scores:
        if video.remarks is None:
            continue
        columns = (video.remarks.first, video.remarks.end, video.remarks.which)
        for first, end, which in zip(*(column.tolist() for column in columns), strict=True):
            # The last row may stand for fewer frames, or for more where the features end early.
            last = video.frames if end == len(video.anomaly) else end * stride
            content = {
                "video": video.name,
                "first_row": first,
                "end_row": end,
                "first_frame": first * stride,
                "end_frame": last,
                "text": video.remarks.texts[which],
            }
            yield json.dumps(content, ensure_ascii=False).encode() + b"\n"


def read_remarks(path: Path, rows: Mapping[str, int]) -> dict[str, Remarks]:
    """Return the remarks of a file by video; none where there is no file.

    Args:
        path: may come from anywhere.
        rows: number of rows of each video.

    Raises:
        RunError: it is too large, or a line is damaged or about rows that are not there.
    """
    if not path.exists():
        return {}
    found: dict[str, tuple[list[tuple[int, int, int]], dict[str, int]]] = {}
    place = 0
    try:
        if (size := regular(path).stat().st_size) > MOST_BYTES:
            raise DataError(f"expected at most {MOST_BYTES:,} bytes, found {size:,}")
        with path.open("rb") as file:
            while line := file.readline(_LONGEST_LINE):
                place += 1
                video, first, end, text = _remark(line, rows)
                spans, texts = found.setdefault(video, ([], {}))
                spans.append((first, end, texts.setdefault(text, len(texts))))
    # Endlessly nested JSON makes the parser give up.
    except (OSError, ValueError, RecursionError, DataError) as error:
        raise RunError(f"cannot read line {place} of {path}: {one_line(error)}; run the method again") from error
    columns = {video: np.array(spans, np.int64).T for video, (spans, _) in found.items()}
    return {video: Remarks(*columns[video], list(texts)) for video, (_, texts) in found.items()}  # type: ignore[call-arg]


def _remark(line: bytes, rows: Mapping[str, int]) -> tuple[str, int, int, str]:
    if len(line) >= _LONGEST_LINE:
        raise DataError(f"expected at most {_LONGEST_LINE:,} bytes")
    content: Any = json.loads(line)
    if not isinstance(content, dict):
        raise DataError(f"expected an object, found {shortened(content)}")
    video, first, end, text = (content.get(name) for name in ("video", "first_row", "end_row", "text"))
    if not isinstance(video, str) or video not in rows:
        raise DataError(f"'video' must be a video of the scores, found {shortened(video)}")
    if not (type(first) is type(end) is int and 0 <= first < end <= rows[video]):
        raise DataError(f"the rows must be from 0 to {rows[video]}, found {shortened(first)} to {shortened(end)}")
    if not isinstance(text, str) or len(text) > LONGEST_REMARK:
        raise DataError(f"'text' must be a text of at most {LONGEST_REMARK:,} characters, found {shortened(text)}")
    return video, first, end, text
