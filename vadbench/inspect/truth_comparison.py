"""Compare two ground truths of a data set's test videos, frame by frame, and what each makes of a run's scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vadbench.base.types import Progress, silent
from vadbench.data.annotations.frame_arrays import Runs
from vadbench.dataset import Dataset
from vadbench.inspect.runs_under_truths import RunUnderTwo, measured_under, open_truth


@dataclass(frozen=True)
class VideoUnderTwo:
    """A video that both ground truths have.

    Args:
        name: of the video.
        frames: its length by A and by B; ``None`` where one does not state it.
        runs: its anomalous frames by A and by B.
    """

    name: str
    frames: tuple[int | None, int | None]
    runs: tuple[Runs, Runs]

    @property
    def positives(self) -> tuple[int, int]:
        """Number of anomalous frames by A and by B."""
        return covered(self.runs[0]), covered(self.runs[1])

    @cached_property
    def both(self) -> int:
        """Number of frames that are anomalous by both."""
        return shared(*self.runs)

    @property
    def differing(self) -> int:
        """Number of frames that are anomalous by one alone."""
        return sum(self.positives) - 2 * self.both


@dataclass(frozen=True)
class TruthComparison:
    """Comparison of two ground truths, A and B, of the test videos of a data set.

    Args:
        dataset: its name.
        names: of A and of B.
        videos: in both, those first of which the most frames differ.
        only: names of test videos in A alone and in B alone.
        others: names in A and in B that no test video has.
        notes: remarks on A and on B.
        runs: what the two make of runs.
    """

    dataset: str
    names: tuple[str, str]
    videos: Sequence[VideoUnderTwo]
    only: tuple[Sequence[str], Sequence[str]]
    others: tuple[Sequence[str], Sequence[str]]
    notes: tuple[Sequence[str], Sequence[str]]
    runs: Sequence[RunUnderTwo]

    @property
    def frames(self) -> tuple[int | None, int | None]:
        """Number of frames of the videos in both, by A and by B; ``None`` where one does not state all lengths."""
        return _total([v.frames[0] for v in self.videos]), _total([v.frames[1] for v in self.videos])

    @property
    def positives(self) -> tuple[int, int]:
        """Number of anomalous frames in these videos, by A and by B."""
        return sum(v.positives[0] for v in self.videos), sum(v.positives[1] for v in self.videos)

    @property
    def both(self) -> int:
        """Number of frames that are anomalous by both."""
        return sum(v.both for v in self.videos)

    @property
    def differing(self) -> int:
        """Number of frames that are anomalous by one alone."""
        return sum(v.differing for v in self.videos)

    @property
    def unlike(self) -> Sequence[VideoUnderTwo]:
        """The videos with such a frame, those with the most first."""
        return [v for v in self.videos if v.differing]

    @property
    def iou(self) -> float | None:
        """Frames anomalous by both, in those anomalous by any; ``None`` where there are none."""
        either = self.both + self.differing
        return self.both / either if either else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        summary = {
            "dataset": self.dataset,
            "names": self.names,
            "videos": len(self.videos),
            "videos_differing": len(self.unlike),
            "frames": self.frames,
            "frames_differing": self.differing,
            "positives": self.positives,
            "positives_in_both": self.both,
            "iou": self.iou,
        }
        found = [
            {"name": v.name, "frames": v.frames, "positives": v.positives, "differing": v.differing, "runs": v.runs}
            for v in self.videos
        ]
        runs = [
            {
                "folder": str(run.folder),
                "label": run.label,
                "truth": run.own,
                "videos": run.videos,
                "left_out": run.left_out,
                "metrics": {key: [value.model_dump() for value in pair] for key, pair in run.metrics.items()},
            }
            for run in self.runs
        ]
        alone = {"only": self.only, "others": self.others, "notes": self.notes}
        return {**summary, **alone, "by_video": found, "runs": runs}


def compare_truths(
    kind: type[Dataset],
    root: Path | None,
    asked: tuple[str, str],
    partition: str = "",
    runs: Sequence[Path] = (),
    progress: Progress = silent,
) -> TruthComparison:
    """Compare two ground truths of a data set; nothing of the runs is changed.

    Args:
        kind: class of the data set.
        root: its folder, if the user names one.
        asked: each ``native``, the name of a variant, or the path of a file.
        partition: name of the division whose test videos are compared; empty for the data set's own.
        runs: folders of runs on the data set, to be measured under both.
        progress: called with the progress of the reading.

    Raises:
        UnknownNameError: there is no such ground truth, or no such partition.
        DataError: a ground truth cannot be read, or contradicts the data set or a run.
        RunError: a run is not finished, is damaged, or is one on another data set.
    """
    opened = [open_truth(kind, root, partition, name, progress) for name in asked]
    a, b = opened
    common = [name for name in a.videos if name in b.videos]
    compared = [
        VideoUnderTwo(n, (a.videos[n].frames, b.videos[n].frames), (a.videos[n].runs, b.videos[n].runs)) for n in common
    ]
    return TruthComparison(
        dataset=kind.name,
        names=(a.name, b.name),
        videos=sorted(compared, key=lambda v: -v.differing),
        only=([n for n in a.videos if n not in b.videos], [n for n in b.videos if n not in a.videos]),
        others=(a.others, b.others),
        notes=(list(a.dataset.problems), list(b.dataset.problems)),
        runs=[measured_under(folder, a, b) for folder in runs],
    )


def covered(runs: Runs) -> int:
    """Return the number of frames in runs.

    >>> covered(((0, 3), (5, 6)))
    4
    """
    return sum(end - start for start, end in runs)


def shared(a: Runs, b: Runs) -> int:
    """Return the number of frames that are in ascending runs of both.

    >>> shared(((0, 3), (5, 9)), ((2, 6), (8, 20)))
    3
    """
    count = i = j = 0  # linear: an array in a file may alternate from frame to frame
    while i < len(a) and j < len(b):
        count += max(0, min(a[i][1], b[j][1]) - max(a[i][0], b[j][0]))
        i, j = (i + 1, j) if a[i][1] <= b[j][1] else (i, j + 1)
    return count


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
