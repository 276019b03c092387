"""Lengths of videos, and the check that features fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vadbench.base.errors import DataError, FeatureError, MediaError
from vadbench.base.needs import Needs
from vadbench.base.types import Progress
from vadbench.data.lengths import require_frames, require_rows
from vadbench.data.media import declared_frames, source_id
from vadbench.data.timed_frames import FrameCounts, FrameDecoder
from vadbench.dataset import Dataset, Split, Video
from vadbench.features.source import FeatureSource
from vadbench.harness.participants import every_video, require_present
from vadbench.scoring.protocol import Protocol


def video_lengths(
    source: FeatureSource,
    rows: Mapping[str, int],
    videos: Mapping[Split, Sequence[Video]],
    rules: Protocol,
    progress: Progress,
    *,
    of_rows: bool = False,
) -> tuple[dict[str, int], list[str]]:
    """Return the frames of each video and notes on them, after making sure that annotation and features belong
    together.

    Unknown ones are estimated as rows times stride, or up to the last annotated frame where that is in
    the row that layouts without tails leave out. Only a video of another split than ``train`` stops the run. Where
    rows times stride counts, a stated length may differ by a row more.

    Args:
        source: the features.
        rows: how many of them each video has.
        videos: of each split.
        rules: whether rows times stride counts, and how far a count may be off.
        progress: told how far the looking is.
        of_rows: the ground truth was cut at the rows of its authors' features, which may end anywhere: no length stops
            the run.

    Raises:
        DataError: a test or validation video has another length than its annotation was made for, or is annotated
            beyond its features.
    """
    stride = source.fingerprint.stride
    off = rules.tolerance + (stride if rules.counts_rows else 0)
    lengths: dict[str, int] = {}
    guessed, odd = [], []
    everything = [(split, v) for split, own in videos.items() for v in own]
    for done, (split, video) in enumerate(everything):
        progress("reading lengths", done, len(everything))
        count = rows[video.name]
        known = true_frames(source, video, count)
        last = max((end for _, end in [*video.runs, *((s.start, s.end) for s in video.segments)]), default=0)
        if known is None:
            guessed.append(video.name)
            known = max(count * stride, min(last, (count + 1) * stride - 1))
        lengths[video.name] = known
        try:
            require_frames(video.name, video.frames, known, off)
            require_rows(video.name, count, stride, known, rules.tolerance)
            if last > (count + 1) * stride + rules.tolerance:  # however long the video is
                raise DataError(
                    f"{video.name}: annotated up to frame {last}, but has {count} feature rows of {stride} frames each;"
                    " the features and the annotation do not belong together (vadbench data check shows all such"
                    " videos)"
                )
        except DataError as error:
            if split != "train" and not of_rows:
                raise
            odd.append(str(error))
    progress("reading lengths", len(everything), len(everything))
    notes = []
    if guessed:
        notes.append(
            f"frame count of {len(guessed)} videos unknown, the first is {guessed[0]!r}: estimated as rows x {stride},"
            " or up to the last annotated frame"
        )
    if odd:
        notes.append(f"{len(odd)} videos of doubtful length, the first: {odd[0]}")
    return lengths, notes


def true_frames(source: FeatureSource, video: Video, rows: int) -> int | None:
    """Return the frame count of a video: as decoded for our own features, else by the annotation, by features of every
    frame, or by the container, in this order; ``None`` if unknown."""
    made = rows if source.fingerprint.stride == 1 else source.frames(video.name)
    if made is not None and (source.fingerprint.known or video.frames is None):
        return made
    if video.frames is not None or video.path is None:
        return video.frames
    try:
        return declared_frames(video.path)
    except MediaError:  # its features are what is used
        return None


def is_there(video: Video) -> bool:
    """Return True if a video's file or folder of images is here."""
    return video.path is not None and video.path.exists()


def count_frames(
    videos: Sequence[Video], cache: Path, leave_out: bool, progress: Progress
) -> tuple[dict[str, FrameDecoder], list[str]]:
    """Return decoders of the videos that have a file, all of whose frames were counted now or before, and what is wrong
    with those that are left out.

    Raises:
        MediaError: a file is damaged, and is not left out.
    """
    counts, decoders, damaged = FrameCounts(cache / "frame_counts.jsonl"), {}, []
    present = [(v.name, v.path) for v in videos if v.path is not None and is_there(v)]
    for done, (name, path) in enumerate(present):
        progress("counting frames", done, len(present))
        try:
            decoders[name] = FrameDecoder(path, counts.extent(path))
        except DataError as error:
            if not leave_out:
                raise
            damaged.append(str(error))
    progress("counting frames", len(present), len(present))
    return decoders, damaged


def decoded_beside(
    dataset: Dataset,
    videos: Mapping[Split, Sequence[Video]],
    needs: Needs,
    cache: Path,
    leave_out: bool,
    progress: Progress,
) -> tuple[Mapping[Split, Sequence[Video]], dict[str, FrameDecoder], list[str]]:
    """Return the videos that can be used, the decoders of a method that reads frames beside features, and notes."""
    if not needs.frames:
        return videos, {}, []
    kept, absent = require_present(
        dataset, videos, {v.name for v in every_video(videos) if is_there(v)}, f"a file under {dataset.root}", leave_out
    )
    decoders, damaged = count_frames(every_video(kept), cache, leave_out, progress)
    sound, unsound = require_present(dataset, kept, decoders, "a file without damage", bool(damaged))
    return sound, decoders, [*absent, *damaged, *unsound]


def with_files(
    identity: Mapping[str, str], decoders: Mapping[str, FrameDecoder], videos: Mapping[Split, Sequence[Video]]
) -> dict[str, str]:
    """Return the identities of given features, with those of the files that are decoded beside them."""
    paths = {v.name: v.path for v in every_video(videos) if v.name in decoders}
    return dict(identity) | {n: f"{identity[n]} {source_id(path)}" for n, path in paths.items() if path is not None}


def count_rows(folder: Path, name: str, counts: Mapping[str, int]) -> int:
    """Return the number of rows of a video, the same in each crop.

    Args:
        folder: where its features are, for messages.
        name: of the video.
        counts: rows of each of its crops.

    Raises:
        FeatureError: they differ.
    """
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count} in crop {crop}" for crop, count in counts.items())
        raise FeatureError(
            f"{folder}: {name!r} must have as many rows in each crop, found {found}; fetch or extract it again"
        )
    return next(iter(counts.values()))
