"""How many videos carry what a metric counts, and whether they are too few to say anything.

Resampling draws videos, so an interval rests on the videos that carry what is counted, not on the number of frames.
With a few of them one video decides: the resamples agree as soon as those few do, and an interval around them holds the
truth far less often than it says (docs/metrics.md shows how often).
"""

from __future__ import annotations

from dataclasses import dataclass

from vadbench.base.metric_keys import MetricKey
from vadbench.metrics.definitions import definition
from vadbench.metrics.glossary import Carrier
from vadbench.scoring.rows import ScoredRows

FEWEST = 5
"""Videos of every kind that a metric counts which an interval and a verdict need (our decision, by simulation)."""
TOO_FEW = "too few videos to tell"
"""The verdict where there are fewer."""


@dataclass(frozen=True)
class Carriers:
    """The number of videos of the kind that a metric counts and that the test split has fewest of.

    Args:
        count: how many there are.
        kind: their kind.
        of_class: the name of the class, where the kind is ``class``.
    """

    count: int
    kind: Carrier = "abnormal"
    of_class: str = ""

    @property
    def too_few(self) -> bool:
        """Return whether no interval, no p-value and no verdict may rest on them."""
        return self.count < FEWEST

    @property
    def verdict(self) -> str:
        """Return what a comparison says where they are too few."""
        return f"{TOO_FEW}: {self.reason}"

    @property
    def reason(self) -> str:
        """Return why they are too few, in words: ``2 abnormal videos, fewer than 5``."""
        videos = "video" if self.count == 1 else "videos"
        words = {
            "abnormal": f"abnormal {videos}",
            "normal": f"normal {videos}",
            "mixed": f"{videos} with frames of both kinds",
            "class": f"{videos} of class {self.of_class}",
        }
        return f"{self.count} {words[self.kind]}, fewer than {FEWEST}"


def carriers(rows: ScoredRows, metric: str) -> Carriers:
    """Return the fewest videos of a kind that a metric counts.

    Args:
        rows: of the test split.
        metric: its key.

    Raises:
        UnknownNameError: no metric has that key.
    """
    of_class = MetricKey.parse(metric).of_class or ""
    counts = [Carriers(_count(rows, kind, of_class), kind, of_class) for kind in definition(metric).carriers]
    return min(counts, key=lambda c: (c.count, c.kind))


def _count(rows: ScoredRows, kind: Carrier, of_class: str) -> int:
    match kind:
        case "abnormal":
            videos = rows.abnormal
        case "normal":
            videos = rows.normal_videos
        case "mixed":
            videos = rows.abnormal & (rows.video_frames > rows.video_positives)
        case "class":
            if rows.class_positives is None or of_class not in rows.class_names:
                return 0
            videos = rows.per_video(rows.class_positives[:, rows.class_names.index(of_class)]) > 0
    return int(videos.sum())
