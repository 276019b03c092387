"""A data set ready for a method that reads no features: its videos, their lengths, and how to decode them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vadbench.base.errors import DataError
from vadbench.base.files import locked
from vadbench.base.method_config import Rows
from vadbench.base.needs import Needs
from vadbench.base.types import Progress, silent
from vadbench.data.lengths import require_frames
from vadbench.data.media import declared_frames, source_id
from vadbench.data.soundness import length_notes
from vadbench.data.timed_frames import FrameDecoder
from vadbench.dataset import SPLITS, Dataset, Split, Video
from vadbench.features.crops import CropRule
from vadbench.features.extracted import Mismatch
from vadbench.harness.fitness import FitCheck
from vadbench.harness.frame_counts import count_frames, is_there
from vadbench.harness.participants import every_video, participants, require_present
from vadbench.harness.provision import Provision
from vadbench.scoring.protocol import Protocol


def provide_without_features(
    dataset: Dataset,
    rows: Rows,
    needs: Needs,
    cache: Path,
    rules: Protocol,
    splits: Sequence[Split] = SPLITS,
    *,
    fits: FitCheck | None = None,
    allow_incomplete: bool = False,
    progress: Progress = silent,
) -> Provision:
    """Make a data set ready for a method that reads no features; it has a row for every ``rows.stride`` frames.

    Lengths are those of the decoder, remembered in the cache, or, of a video without a file, those that the data set
    states.

    Args:
        dataset: the data set in its place on disk.
        rows: the stride wanted.
        needs: of the method.
        cache: folder of what was counted before.
        rules: how annotated intervals are read, which videos take part, how far a count may be off.
        splits: those that take part, where the data set has them; a method that learns nothing takes none but the test
            split.
        fits: raises if the method cannot run on these videos.
        allow_incomplete: go on without the videos that have no file, or a damaged one.
        progress: told how far the counting is.

    Raises:
        DataError: files are missing, damaged or contradict their annotation.
    """
    with locked(cache / "features" / dataset.name, f"cache of {dataset.name}", wait=True, progress=progress):
        dataset.prepare(progress)
        listed = participants(dataset, rules, splits if needs.learns else ("test",))
        every = every_video(listed.videos)
        if fits is not None:
            fits(listed.videos)
        usable = {v.name for v in every if is_there(v) or not (needs.frames or v.frames is None)}
        lacking = f"a file under {dataset.root}" + ("" if needs.frames else ", or a stated number of frames")
        kept, absent = require_present(dataset, listed.videos, usable, lacking, allow_incomplete)
        decoders, damaged = count_frames(every_video(kept), cache, allow_incomplete, progress)
    stated = {v.name: v.frames for v in every_video(kept) if v.frames is not None and not is_there(v)}
    frames = stated | {name: decoder.count for name, decoder in decoders.items()}
    videos, unsound = require_present(dataset, kept, frames, "a file without damage", bool(damaged))
    return Provision(
        videos=videos,
        features=None,
        fingerprint=None,
        frames=frames,
        rows={name: -(-count // rows.stride) for name, count in frames.items()},
        stride=rows.stride,
        crop=CropRule(rules.crop),
        scored={v.name: ("",) for v in videos["test"]},
        identity=file_identities(videos, needs),
        notes=[
            *listed.notes,
            *absent,
            *damaged,
            *unsound,
            *_doubtful(videos, frames, rules.tolerance + (rows.stride if rules.counts_rows else 0)),
            *_declared(videos, decoders),
            *length_notes(v for v in every_video(videos) if v.name in decoders),
            *listed.problems,
        ],
        decoders=decoders if needs.frames else {},
        truth={v.name: v for v in videos["test"]} if needs.supervision == "oracle" else {},
    )


def file_identities(videos: Mapping[Split, Sequence[Video]], needs: Needs) -> dict[str, str]:
    """Return the ids of the files of videos; empty where the method does not decode them."""
    return {v.name: source_id(v.path) if needs.frames and v.path is not None else "" for v in every_video(videos)}


def _doubtful(videos: Mapping[Split, Sequence[Video]], frames: Mapping[str, int], tolerance: int) -> Iterator[str]:
    """Yield notes on training videos of another length than their annotation was made for.

    Raises:
        DataError: it is a test video.
    """
    for split, own in videos.items():
        for video in own:
            try:
                require_frames(video.name, video.frames, frames[video.name], tolerance)
            except DataError as error:
                if split == "test":
                    raise
                yield str(error)


def _declared(videos: Mapping[Split, Sequence[Video]], decoders: Mapping[str, FrameDecoder]) -> Iterator[str]:
    """Yield notes on files whose container declares another number of frames."""
    for video in every_video(videos):
        if video.name in decoders and video.path is not None:
            decoded, declared = decoders[video.name].count, declared_frames(video.path)
            if declared not in (None, decoded):
                yield str(Mismatch(video.name, decoded, declared, "container"))
