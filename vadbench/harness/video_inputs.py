"""Videos as a method is given them, for training and for scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from vadbench.base.needs import CLIP_STREAM
from vadbench.dataset import ClassTable, Video
from vadbench.features.shard import FeatureRows
from vadbench.harness.provision import Provision
from vadbench.inputs import StreamInput, TrainingData, TrainingVideo, VideoInput
from vadbench.scoring.opened import open_videos
from vadbench.training.batches import weak_labels


def training_data(
    provision: Provision, videos: Sequence[Video], classes: ClassTable, which: str, seed: int
) -> TrainingData:
    """Return training videos as a method is given them.

    Args:
        provision: has their features.
        videos: of the data set.
        classes: its class table.
        which: the crops that are samples, as for :func:`vadbench.features.crops.training_crops`.
        seed: of the run.
    """
    samples = []
    for video in videos:
        labels, first = weak_labels(video.labels, classes)
        crops = provision.training_crops(video.name, which)
        fields = _fields(provision, video.name, seed) | {"labels": labels, "first_class": first}
        if provision.bag:
            samples.append(TrainingVideo(**fields, **_bag(provision, video.name, crops)))
            continue
        for crop in crops:
            streams = _line(provision, video.name, crop) | _beside(provision, video.name, crop)
            samples.append(TrainingVideo(**fields, streams=streams, crop=crop))
    return TrainingData(samples, classes)


def scored_inputs(provision: Provision, crops: Mapping[str, Sequence[str]], seed: int) -> Iterator[list[VideoInput]]:
    """Yield the crops of each video that are scored, with every stream.

    See :func:`vadbench.scoring.opened.open_videos`; files of the other streams are opened when they are read. An oracle
    is handed the truth of each.
    """
    if provision.features is None:
        for name in crops:
            yield [VideoInput(**_fields(provision, name, seed), truth=provision.truth.get(name))]
        return
    if provision.bag:
        for name, wanted in crops.items():
            bag = _bag(provision, name, wanted)
            yield [VideoInput(**_fields(provision, name, seed), **bag, truth=provision.truth.get(name))]
        return
    for videos in open_videos(provision.features, crops, provision.frames, seed):
        yield [
            replace(
                v,
                streams={provision.line: v.streams[CLIP_STREAM], **_beside(provision, v.name, v.crop)},
                truth=provision.truth.get(v.name),
                **_decoding(provision, v.name),
            )
            for v in videos
        ]


def _fields(provision: Provision, name: str, seed: int) -> dict[str, Any]:
    """Return what is known of a video apart from its streams."""
    return {
        "name": name,
        "row_count": provision.rows[name],
        "stride": provision.stride,
        "frame_count": provision.frames[name],
        "seed": seed,
        **_decoding(provision, name),
    }


def _decoding(provision: Provision, name: str) -> dict[str, Any]:
    """Return the decoder of a video, where the method reads frames; each has passes of its own."""
    decoder = provision.decoders.get(name)
    return {} if decoder is None else {"decode": copy(decoder), "frame_rate": decoder.rate}


def _line(provision: Provision, name: str, crop: str) -> dict[str, StreamInput]:
    """Return the time line of a crop of a video, mapped anew at each reading."""
    if provision.features is None:
        return {}
    read = partial(provision.features.crop_rows, name, crop)
    return {provision.line: StreamInput(read, provision.rows[name], provision.stride)}


def _bag(provision: Provision, name: str, crops: Sequence[str]) -> dict[str, Any]:
    """Return the streams of several crops of a video as ``(crops, rows, dim)`` each, mapped anew at each reading."""
    assert provision.features is not None
    read = partial(provision.features.bag, name, crops)
    streams = {provision.line: StreamInput(read, provision.rows[name], provision.stride)}
    for stream, beside in provision.streams.items():
        parts = [beside.input(name, crop) for crop in crops]
        streams[stream] = replace(parts[0], read=partial(_stacked, [part.read for part in parts]))
    return {"streams": streams, "crop_count": len(crops)}


def _stacked(reads: Sequence[Callable[[], FeatureRows]]) -> FeatureRows:
    rows: FeatureRows = np.stack([read() for read in reads])
    return rows


def _beside(provision: Provision, name: str, crop: str) -> dict[str, StreamInput]:
    """Return the streams beside the time line that go with a crop of a video."""
    return {stream: beside.input(name, crop) for stream, beside in provision.streams.items()}
