"""Score videos whose scores depend on each other: what is read of all of them first, then one call of the method."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from vadbench.base.types import Progress
from vadbench.features.shard import FeatureRows
from vadbench.inputs import VideoInput
from vadbench.scoring.post import processed
from vadbench.scoring.scoring import score_videos
from vadbench.watch.counted_frames import CountedFrames, counted_input
from vadbench.watch.pipeline import Pictures, Stopwatch, StreamedRows, encoded_rows, row_inputs
from vadbench.watch.reader import Reader
from vadbench.watch.scored_video import ScoredVideo, open_pictures, record_video
from vadbench.watch.scorer import Scorer
from vadbench.watch.video_folder import RowFormat


@dataclass
class CompanyMember:
    """A video that was read to its end, or up to damage, and is not scored yet.

    Args:
        reader: that it was read with.
        pictures: its timeline.
        inputs: it as the method is given it; without any rows none.
        watch: what was spent on it so far.
    """

    reader: Reader
    pictures: Pictures | CountedFrames
    inputs: list[VideoInput] = field(default_factory=list)
    watch: Stopwatch = field(default_factory=Stopwatch)


def score_company(
    readers: Sequence[Reader], scorer: Scorer, folders: Sequence[Path], form: RowFormat, progress: Progress
) -> list[ScoredVideo]:
    """Score videos in one call, as a run scores a split, and write their folders.

    Rows of features are kept in a temporary folder: those of one video at a time are in memory, unless the method
    keeps more.

    Args:
        readers: of the videos.
        scorer: the method.
        folders: of each video.
        form: format of a second table of rows.
        progress: told how many videos are done.
    """
    with TemporaryDirectory(prefix="vadbench-rows-") as place:
        members = []
        for number, reader in enumerate(readers):
            progress("reading", number, len(readers))
            with open_pictures(reader, scorer) as pictures:
                members.append(_read(CompanyMember(reader, pictures), scorer, Path(place) / f"{number}.npy"))
        progress("reading", len(readers), len(readers))
        videos, began = [m.inputs for m in members if m.inputs], time.perf_counter()
        scores = iter(
            score_videos(scorer.method, videos, precision=scorer.precision, progress=progress, total=len(videos))
        )
        share = (time.perf_counter() - began) / max(1, len(videos))
        found = []
        for member, folder in zip(members, folders, strict=True):
            rows: list[StreamedRows] = []
            if member.inputs:
                starts = np.array([member.pictures.starts.popleft() for _ in range(member.inputs[0].row_count)])
                rows = [StreamedRows.of(0, starts, processed(next(scores), scorer.post, scorer.stride))]
                member.watch.seconds["method"] = share
            found.append(record_video(member.reader, member.pictures, scorer, folder, rows, form, member.watch))
        return found


def _read(member: CompanyMember, scorer: Scorer, place: Path) -> CompanyMember:
    """Return a member with its inputs, after its rows were written to a file where it has any."""
    pictures = member.pictures
    if isinstance(pictures, CountedFrames):
        made = counted_input(pictures, scorer, member.watch)
        member.inputs = [] if made is None else [made]
    elif parts := list(encoded_rows(pictures, pictures.encoder, member.watch)):
        np.save(place, np.concatenate(parts, axis=1))

        def read(crop: int | slice) -> FeatureRows:
            rows: Any = np.load(place, mmap_mode="r")
            kept: FeatureRows = rows[crop]
            return kept

        member.inputs = list(row_inputs(scorer, pictures.name, read, sum(part.shape[1] for part in parts)))
    return member
