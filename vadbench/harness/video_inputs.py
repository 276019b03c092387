"""Videos as a method is given them, for training and for scoring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from vadbench.base.needs import CLIP_STREAM
from vadbench.dataset import ClassTable, Video
from vadbench.features.crops import training_crops
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
    features, stride, samples = provision.features, provision.fingerprint.stride, []
    for video in videos:
        labels, first = weak_labels(video.labels, classes)
        name, count = video.name, provision.rows[video.name]
        for crop in training_crops(features, name, which):
            rows = StreamInput(partial(features.crop_rows, name, crop), count, stride)
            sample = TrainingVideo(
                name=name,
                row_count=count,
                stride=stride,
                frame_count=provision.frames[name],
                streams={provision.line: rows, **_beside(provision, name, crop)},
                crop=crop,
                seed=seed,
                labels=labels,
                first_class=first,
            )
            samples.append(sample)
    return TrainingData(samples, classes)


def scored_inputs(provision: Provision, crops: Mapping[str, Sequence[str]], seed: int) -> Iterator[list[VideoInput]]:
    """Yield the crops of each video that are scored, with every stream.

    See :func:`vadbench.scoring.opened.open_videos`; files of the other streams are opened when they are read.
    """
    for videos in open_videos(provision.features, crops, provision.frames, seed):
        yield [
            replace(v, streams={provision.line: v.streams[CLIP_STREAM], **_beside(provision, v.name, v.crop)})
            for v in videos
        ]


def _beside(provision: Provision, name: str, crop: str) -> dict[str, StreamInput]:
    """Return the streams beside the time line that go with a crop of a video."""
    return {stream: beside.input(name, crop) for stream, beside in provision.streams.items()}
