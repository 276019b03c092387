"""Streams beside the time line of a method, laid over the videos in time, and the crops that go together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from vadbench.base.errors import FeatureError
from vadbench.features.crops import CENTER
from vadbench.features.source import FeatureSource
from vadbench.inputs import StreamInput
from vadbench.records.record import StreamRecord


@dataclass(frozen=True)
class SideStream:
    """A stream beside the time line, laid over the videos in time.

    Args:
        source: its features.
        record: what is recorded of it.
        digests: of the values of each video.
        counts: rows of each video.
        spacings: frames from one row to the next of each video.
        spacing: the same for the data set: where rows are a number of seconds apart, of its usual frame rate.
        stated: the spacing that its folder states, empty where it states none.
    """

    source: FeatureSource
    record: StreamRecord
    digests: Mapping[str, str]
    counts: Mapping[str, int]
    spacings: Mapping[str, float]
    spacing: float
    stated: str

    def input(self, video: str, crop: str) -> StreamInput:
        """Return the stream of a crop of a video, mapped anew at each reading; of all its crops where none is named."""
        crops = self.source.crops(video)
        if not crop and len(crops) > 1:
            read = partial(self.source.bag, video, crops)
        else:
            read = partial(self.source.crop_rows, video, matching_crop(crops, crop))
        return StreamInput(read, self.counts[video], self.spacings[video])


def matching_crop(crops: Sequence[str], wanted: str) -> str:
    """Return the crop of a stream that goes with a crop of the time line: that of the same name, or the only one.

    Without either it is the center crop, or an empty string where there is none.
    """
    if len(crops) == 1:
        return crops[0]
    return wanted if wanted in crops else CENTER if CENTER in crops else ""


def require_crops(streams: Mapping[str, SideStream], used: Mapping[str, Collection[str]], regions: bool) -> None:
    """Raise if a stream lacks a crop that goes with one of the time line.

    Args:
        streams: by name.
        used: the crops of the time line that are trained on or scored, by video.
        regions: whether they are regions, which no crop of another stream goes with.

    Raises:
        FeatureError: it lacks one; names the video.
    """
    for name, stream in streams.items():
        for video, wanted in used.items():
            there = stream.source.crops(video)
            lacking = [c for c in wanted if (regions and len(there) > 1) or not matching_crop(there, c)]
            if lacking:
                raise FeatureError(
                    f"{video!r} has crops {', '.join(there)} of stream '{name}' in {stream.source.folder}, none of"
                    f" which goes with {'region' if regions else 'crop'} '{lacking[0]}' of the first stream; give"
                    " features of one crop, or of the same ones"
                )


def stream_facts(streams: Mapping[str, SideStream], video: str, spacings: bool) -> list[Any]:
    """Return the part of a video's entry in a manifest: nothing without streams.

    Args:
        streams: by name.
        video: its name.
        spacings: with the spacing of its rows; without, with the one that the folder states.
    """
    facts = {
        name: [s.digests[video], round(s.spacings[video], 9) if spacings else s.stated] for name, s in streams.items()
    }
    return [["streams", facts]] if facts else []
