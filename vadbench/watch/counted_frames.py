"""Score a video with a method that reads no features: it decodes the frames itself, or needs none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Self

import numpy as np

from vadbench.inputs import TimedFrame, VideoInput
from vadbench.scoring.post import processed
from vadbench.scoring.scoring import score_videos
from vadbench.watch.pipeline import Stopwatch, StreamedRows
from vadbench.watch.reader import Reader
from vadbench.watch.scorer import Scorer
from vadbench.watch.timeline import Timeline


class CountedFrames(Timeline):
    """Frames of a video on disk, read once to count them, and again whenever the method asks for them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def count(self) -> int:
        """Read the video to its end, or up to damage, and return the number of frames."""
        for _ in self.watched():
            self.decoded += 1
        return self.decoded

    def decode(self, first: int, every: int) -> Iterator[TimedFrame]:
        """Yield frame ``first`` and every so many after it, of those that were counted."""
        with closing(iter(Reader(self._reader.source, fps=self._reader.fps))) as pictures:
            for number, picture in enumerate(islice(pictures, self.decoded)):
                if number >= first and (number - first) % every == 0:
                    yield TimedFrame(number, picture.time, picture.read())


def counted_input(frames: CountedFrames, scorer: Scorer, watch: Stopwatch) -> VideoInput | None:
    """Return a video as the method is given it, after its frames were counted; ``None`` if it has none."""
    with watch.of("counting frames"):
        count = frames.count()
    if not count:
        return None
    needs = scorer.method.config.needs()
    return VideoInput(
        name=frames.name,
        row_count=math.ceil(count / scorer.stride),
        stride=scorer.stride,
        frame_count=count,
        frame_rate=count / frames.until if frames.until else None,
        decode=frames.decode if needs.frames else None,
        seed=scorer.seed,
    )


def score_frames(frames: CountedFrames, scorer: Scorer, watch: Stopwatch) -> Iterator[StreamedRows]:
    """Yield the scores of all rows of a video at once; of a damaged one, of those before the damage."""
    video = counted_input(frames, scorer, watch)
    if video is None:
        return
    with watch.of("method"):
        (found,) = score_videos(scorer.method, [[video]], precision=scorer.precision)
    starts = np.array([frames.starts.popleft() for _ in range(video.row_count)])
    yield StreamedRows.of(0, starts, processed(found, scorer.post, scorer.stride))
