"""From videos to a feature store: decoding in threads of its own, encoding in this one.

A video is encoded in batches of its own, so its rows do not depend on which videos came before it, on shards or on
where an earlier extraction was killed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

import numpy as np
from torch import Tensor

from vadbench.base.errors import DataError, FeatureError
from vadbench.base.files import storage_errors
from vadbench.base.types import Arithmetic, Progress, silent
from vadbench.clip import CROPS, Clip
from vadbench.data.media import declared_frames, is_source, source_id
from vadbench.dataset import Video
from vadbench.features.decoding import WORKERS, Decoder
from vadbench.features.fingerprint import Fingerprint, Pooling, Precision
from vadbench.features.pooling import pool_rows
from vadbench.features.regions import FRAMES_AT_ONCE, LONGEST, SLOTS, RegionEncoder, RegionSource
from vadbench.features.shard import FeatureRows, write_all
from vadbench.features.store import FeatureStore, StoreWriter

_COPIED_ROWS = 1024


@dataclass(frozen=True)
class Mismatch:
    """A video whose decoded frames are not as many as somebody said.

    ``declared_by`` is ``"container"``, the video file itself, or ``"data set"``, its annotation.
    """

    name: str
    decoded: int
    declared: int
    declared_by: Literal["container", "data set"]

    def __str__(self) -> str:
        return f"{self.name}: {self.decoded} frames decoded, {self.declared} declared by its {self.declared_by}"


@dataclass
class ExtractionReport:
    """What an extraction did.

    Args:
        extracted: names of the videos that were extracted now.
        present: names of those that were in the store already.
        failed: name and reason of those that were left out.
        mismatches: extracted videos whose frame counts disagree.
        frames: frames decoded.
        seconds: how long it took.
    """

    extracted: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    mismatches: list[Mismatch] = field(default_factory=list)
    frames: int = 0
    seconds: float = 0.0


def clip_fingerprint(
    clip: Clip,
    *,
    stride: int,
    pooling: Pooling,
    dtype: Precision = "float32",
    crops: Sequence[str] = CROPS[:1],
    arithmetic: Arithmetic = "fp32",
    regions: str | None = None,
) -> Fingerprint:
    """The fingerprint of features that :func:`extract_features` makes with this CLIP; ``regions`` is the label of a
    :class:`vadbench.features.regions.RegionSource`."""
    mean, std = (" ".join(f"{value:.8g}" for value in values) for values in (clip.mean, clip.std))
    cut = "square crops"
    if regions:
        crops, cut = SLOTS, f"centre crop of a region, its middle where over {LONGEST} to 1"
    elif tuple(crops) == CROPS[:1]:
        cut = "centre crop"
    return Fingerprint(
        encoder=clip.name,
        weights=clip.weights_sha256,
        activation=clip.activation,
        preprocessing=f"short side {clip.image_size}, bicubic, antialias, uint8, {cut}; mean {mean}, std {std}",
        stride=stride,
        pooling=pooling,
        dim=clip.dim,
        crops=tuple(crops),
        dtype=dtype,
        arithmetic=arithmetic,
        regions=regions,
    )


def extract_features(
    videos: Sequence[Video],
    clip: Clip,
    store_folder: Path,
    *,
    stride: int,
    pooling: Pooling,
    dtype: Precision = "float32",
    crops: Sequence[str] = CROPS[:1],
    arithmetic: Arithmetic = "fp32",
    regions: RegionSource | None = None,
    batch_size: int = 256,
    workers: int = WORKERS,
    shard: tuple[int, int] = (0, 1),
    keep_going: bool = False,
    progress: Progress = silent,
) -> ExtractionReport:
    """Encode videos into a feature store; what is there already is skipped, what is unfinished is done again.

    Memory stays bounded however long a video is. Another batch size can change the last bits of a row, another number
    of crops or workers changes nothing in those of the center crop.

    Args:
        videos: all of the data set's; each needs a path.
        clip: encodes the frames, on the device it was loaded to.
        store_folder: the store, created where there is none.
        stride: frames from one row to the next.
        pooling: which of a row's frames stand for it. ``mean`` encodes every frame, the others one in ``stride``.
        dtype: how values are stored.
        crops: names of those wanted, of :data:`vadbench.clip.CROPS`.
        arithmetic: of the encoder.
        regions: where the regions are that are encoded instead of whole frames. They have no mean from frame to frame,
            and no crops but themselves.
        batch_size: frames, or regions, encoded at once.
        workers: threads that prepare frames for the encoder, beside the one that decodes.
        shard: ``(i, n)``: take every ``n``-th video from the ``i``-th on. Shards may run at the same time.
        keep_going: leave out damaged videos and report them, instead of stopping at the first.

    Raises:
        MediaError: a video is damaged, and ``keep_going`` is off.
        FeatureError: the store is of another fingerprint or in use, or regions are of no video or frame.
        StorageError: the disk is full; what is done is kept and the next call goes on from it.
    """
    began = time.monotonic()
    report = ExtractionReport()
    if regions is not None and pooling == "mean" and stride > 1:
        raise FeatureError(
            "regions differ from frame to frame and have no mean: expected the pooling first or middle, found mean;"
            " choose one with --pooling"
        )
    fingerprint = clip_fingerprint(
        clip,
        stride=stride,
        pooling=pooling,
        dtype=dtype,
        crops=crops,
        arithmetic=arithmetic,
        regions=regions.label if regions else None,
    )
    if repeated := [name for name, count in Counter(v.name for v in videos).items() if count > 1]:
        raise DataError(f"each video must have a name of its own, found {repeated[0]} more than once")
    mine = videos[shard[0] :: shard[1]]
    # A single crop is cut out by the decoder, so that nothing else is carried along.
    preprocess: Callable[[Tensor], Tensor] = clip.preprocess if tuple(crops) == CROPS[:1] else clip.resize
    at_once, pin, encoder = batch_size, clip.device.type == "cuda", None
    if regions is not None:
        preprocess, at_once, pin = _whole, FRAMES_AT_ONCE, False
        encoder = RegionEncoder(clip, regions, stride, pooling, arithmetic, batch_size, workers)
    with StoreWriter(store_folder, fingerprint, shard) as writer:
        jobs = []
        for number, video in enumerate(mine):
            progress("looking for changed videos", number, len(mine))
            if (job := _plan(video, writer, report, keep_going)) is not None:
                jobs.append(job)
        done, paths = len(mine) - len(jobs), [job.path for job in jobs]
        if regions is not None:
            regions.begin(store_folder, shard, [job.video.name for job in jobs])
        with Decoder(paths, preprocess, stride, pooling, at_once, workers, pin) as decoder:
            started = time.monotonic()

            def batches(number: int) -> Iterator[Tensor]:
                for batch in decoder.batches(number):
                    rate = decoder.decoded / (time.monotonic() - started)
                    progress("extracting features", done + number, len(mine), f"{rate:,.0f} frames/s")
                    yield batch

            for number, job in enumerate(jobs):
                name = job.video.name
                try:
                    slots = None
                    if encoder is None:
                        _write(writer, name, encoded_rows(batches(number), clip, fingerprint))
                    else:
                        slots = encoder.write(writer, name, batches(number), decoder)
                    writer.finish(name, decoder.frames, job.source, declared_frames(job.path), slots)
                except DataError as error:
                    writer.discard()
                    _leave_out(name, error, report, keep_going)
                    continue
                report.extracted.append(name)
                report.frames += decoder.frames
        progress("extracting features", len(mine), len(mine))
    done_now = set(report.extracted)
    report.mismatches = frame_mismatches(FeatureStore(store_folder), [v for v in mine if v.name in done_now])
    report.seconds = time.monotonic() - began
    return report


def frame_mismatches(store: FeatureStore, videos: Sequence[Video]) -> list[Mismatch]:
    """Videos whose decoded frames are not as many as their container or their data set says."""
    return [
        Mismatch(v.name, store.frames(v.name), declared, by)
        for v in videos
        for declared, by in _declarations(store, v)
        if declared not in (None, store.frames(v.name))
    ]


def _whole(frame: Tensor) -> Tensor:
    return frame


@dataclass(frozen=True)
class _Job:
    video: Video
    path: Path
    source: str


def _plan(video: Video, writer: StoreWriter, report: ExtractionReport, keep_going: bool) -> _Job | None:
    try:
        if video.path is None:
            raise DataError(f"video '{video.name}' has no file to extract features from; give its features instead")
        made_of = writer.source(video.name)
        if made_of is not None and is_source(video.path, made_of):
            report.present.append(video.name)
            return None
        return _Job(video, video.path, source_id(video.path))
    except DataError as error:
        _leave_out(video.name, error, report, keep_going)
        return None


def _leave_out(name: str, error: DataError, report: ExtractionReport, keep_going: bool) -> None:
    if not keep_going:
        raise error
    report.failed.append((name, str(error)))


def _declarations(store: FeatureStore, video: Video) -> list[tuple[int | None, Literal["container", "data set"]]]:
    return [(store.declared(video.name), "container"), (video.frames, "data set")]


def encoded_rows(batches: Iterable[Tensor], clip: Clip, fingerprint: Fingerprint) -> Iterator[list[FeatureRows]]:
    """Rows ``(n, dim)`` in float32 of each crop as they become complete, those that :func:`pool_rows` makes of frames.

    Args:
        batches: encoder input of one video's frames, in order: those that its rows need.
        clip: encodes them.
        fingerprint: of the features to make, with nothing unknown in it.
    """
    crops, stride, arithmetic = fingerprint.crops, fingerprint.stride, fingerprint.arithmetic
    assert arithmetic != "unknown"
    rests: list[FeatureRows] = [np.empty((0, clip.dim), np.float32) for _ in crops]
    for batch in batches:
        frames = batch.to(clip.device, non_blocking=True)
        rows = [clip.encode_images(clip.crop(frames, crop), arithmetic).cpu().numpy() for crop in crops]
        if fingerprint.pooling == "mean":
            rows = [np.concatenate(both) for both in zip(rests, rows, strict=True)]
            full = len(rows[0]) // stride * stride
            rests = [crop[full:].copy() for crop in rows]
            rows = [_means(crop[:full], stride) for crop in rows]
        if len(rows[0]):
            yield rows
    if len(rests[0]):
        yield [_means(crop, stride) for crop in rests]


def _means(frames: FeatureRows, stride: int) -> FeatureRows:
    return pool_rows(frames, len(frames), 1, stride, "mean") if len(frames) else frames


def _write(writer: StoreWriter, name: str, encoded: Iterator[list[FeatureRows]]) -> None:
    """Write a video's rows crop after crop, though they come batch after batch.

    Rows of all crops but the first wait in files without a name, which are gone however the process ends.
    """
    with ExitStack() as stack:
        with storage_errors(writer.folder):
            later = [
                stack.enter_context(TemporaryFile(dir=writer.folder, buffering=0)) for _ in writer.fingerprint.crops[1:]
            ]
        for first, *others in encoded:
            writer.write_rows(name, first)
            with storage_errors(writer.folder):
                for file, rows in zip(later, others, strict=True):
                    write_all(file.fileno(), rows.tobytes())
        for file in later:
            kept: FeatureRows = np.memmap(file, np.float32, mode="r").reshape(-1, writer.fingerprint.dim)
            for start in range(0, len(kept), _COPIED_ROWS):
                writer.write_rows(name, kept[start : start + _COPIED_ROWS])
