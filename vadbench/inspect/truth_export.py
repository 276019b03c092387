"""The ground truth of a data set as a file that ``--truth FILE`` reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from vadbench.base.errors import ConfigError, DataError, listed
from vadbench.base.types import Progress, silent
from vadbench.data.annotations.truth_files import truth_text
from vadbench.dataset import Dataset, Video
from vadbench.harness.frame_counts import count_frames


class ExportedTruth(NamedTuple):
    """A ground truth as text, and what the text does not say, each in one line."""

    text: str
    notes: Sequence[str]


def export_truth(
    dataset: Dataset, split: Literal["test", "validation"], cache: Path, progress: Progress = silent
) -> ExportedTruth:
    """Return the ground truth of a split, that which was adopted where there is one.

    Numbers of frames are those that the data set states, else those of the videos that are there, decoded now or
    before.

    Args:
        dataset: the data set at its root.
        split: whose videos are annotated.
        cache: folder of what was counted before.
        progress: told how far the counting is.

    Raises:
        ConfigError: the data set has no such split.
        DataError: a list or annotation is missing or damaged, or no video of the split is annotated.
    """
    if split not in dataset.splits:
        raise ConfigError(f"{dataset.name} has no {split} split; name one of: {', '.join(dataset.splits)}")
    dataset.prepare(progress)
    videos = dataset.read_split(split)
    if not any(v.runs for v in videos):
        raise DataError(
            f"{dataset.name}: no {split} video has an annotated frame, and without segments all would be read as normal"
        )
    decoders, damaged = count_frames([v for v in videos if v.frames is None], cache, True, progress)
    frames = {name: decoder.count for name, decoder in decoders.items()}
    facts = {
        "dataset": dataset.name,
        "split": split,
        **({"partition": dataset.partition} if dataset.partition else {}),
        **({"truth": dataset.other_truth.name} if dataset.other_truth else {}),
        "licence": dataset.licence,
        "segments": "[class or null, first frame, one past the last frame], 0-based",
    }
    notes = [*dataset.problems, *damaged, *_unsaid(dataset, videos, {v.name for v in videos if v.frames} | set(frames))]
    return ExportedTruth(truth_text(videos, frames, facts), notes)


def _unsaid(dataset: Dataset, videos: Sequence[Video], known: set[str]) -> Iterator[str]:
    """Yield what a reader of the text cannot know."""
    cases = {
        "have a number of frames that is not known": [v.name for v in videos if v.name not in known],
        "are abnormal and have no anomalous frame: they are read as normal": [
            v.name for v in videos if not v.runs and not dataset.is_normal(v)
        ],
        "have anomalous frames annotated apart from their classes, which are left out": [
            v.name for v in videos if v.binary
        ],
    }
    for case, names in cases.items():
        if names:
            yield f"{len(names)} of {len(videos)} videos {case}: {listed(names, 1)}"
