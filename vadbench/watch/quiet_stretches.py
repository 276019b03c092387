"""Take the threshold of events from videos in which nothing happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vadbench.base.errors import DataError
from vadbench.base.types import Progress, silent
from vadbench.watch.pipeline import Stopwatch
from vadbench.watch.reader import Reader
from vadbench.watch.scored_video import open_pictures, scored_rows
from vadbench.watch.scorer import Scorer
from vadbench.watch.thresholds import ScoreSample, calibrated_threshold


def calibrated(scorer: Scorer, readers: Sequence[Reader], progress: Progress = silent) -> Scorer:
    """Return a scorer whose threshold is that of quiet videos, which are scored as any other.

    Args:
        scorer: the method.
        readers: of the quiet videos, at least one; every row of them counts alike.
        progress: called with the number of scored frames.

    Raises:
        DataError: a video cannot be read to its end, so that it cannot be known what is in the rest.
    """
    sample = ScoreSample()
    for reader in readers:
        name = reader.source.name
        with open_pictures(reader, scorer) as pictures:
            done = 0
            for rows in scored_rows(pictures, scorer, reader, Stopwatch()):
                sample.add(rows.anomaly)
                done += len(rows.anomaly) * scorer.stride
                progress(f"calibrating on {name}", min(done, reader.declared or done), reader.declared or done)
            if pictures.failure is not None:
                raise DataError(f"--calibrate: {pictures.failure}")
    source = readers[0].source.shown if len(readers) == 1 else f"{len(readers)} quiet videos"
    return replace(scorer, threshold=calibrated_threshold(sample.values, scorer.unit, source))
