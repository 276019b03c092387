"""Videos to score, opened in turn from their features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vadbench.base.needs import CLIP_STREAM
from vadbench.features.source import FeatureSource
from vadbench.inputs import StreamInput, VideoInput


def open_videos(
    features: FeatureSource, crops: Mapping[str, Sequence[str]], frames: Mapping[str, int], seed: int = 0
) -> Iterator[list[VideoInput]]:
    """Yield the crops of each video as a method is given them, all files of a video opened once when it is asked for.

    Args:
        features: rows of the stream ``clip``.
        crops: which crops of each video are scored.
        frames: how long each video is.
        seed: of the run.
    """
    stride = features.fingerprint.stride
    for name, wanted in crops.items():
        opened = features.video_rows(name, wanted)
        yield [
            VideoInput(
                name=name,
                row_count=len(rows),
                stride=stride,
                frame_count=frames[name],
                streams={CLIP_STREAM: StreamInput.of_rows(rows, stride)},
                crop=crop,
                seed=seed,
            )
            for crop, rows in opened.items()
        ]
