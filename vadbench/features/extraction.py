"""Extraction: videos are decoded in threads of their own and encoded in this one, into a feature store.

Several are under way at once, and come into the store in their order. The rows of a video depend neither on the others
nor on the moment at which an earlier extraction was killed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from torch import Tensor

from vadbench.base.errors import DataError
from vadbench.base.types import Progress, silent
from vadbench.data.media import is_source, source_id
from vadbench.data.soundness import length_notes
from vadbench.dataset import Video
from vadbench.features.encoders import Encoder
from vadbench.features.extracted import Mismatch, frame_mismatches
from vadbench.features.ordered_videos import ExtractionJob, OrderedVideos
from vadbench.features.store import FeatureStore, StoreWriter

_STAGE = "extracting features"


@dataclass
class ExtractionReport:
    """Videos and frames of an extraction.

    Args:
        extracted: names of the videos that were extracted now.
        present: names of those that were in the store already.
        failed: name and reason of those that were left out.
        mismatches: extracted videos whose frame counts disagree.
        notes: on extracted videos that state no length.
        frames: frames decoded.
        seconds: how long it took.
        cosine: least cosine between the features of the first few images of the first video that was extracted now and
            those in fp32; ``None`` where these were extracted in fp32, or none were.
    """

    extracted: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    mismatches: list[Mismatch] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    frames: int = 0
    seconds: float = 0.0
    cosine: float | None = None


def extract_features(
    videos: Sequence[Video],
    encoder: Encoder,
    store_folder: Path,
    *,
    shard: tuple[int, int] = (0, 1),
    keep_going: bool = False,
    progress: Progress = silent,
) -> ExtractionReport:
    """Encode videos into a feature store; what is there already is skipped, what is unfinished is done again.

    Memory stays bounded however long a video is.

    Args:
        videos: all of the data set's; each needs a path.
        encoder: makes their rows.
        store_folder: the store; it is created if it does not exist.
        shard: ``(i, n)``: take every ``n``-th video from the ``i``-th on. Shards may run at the same time.
        keep_going: leave out damaged videos and report them, instead of stopping at the first.
        progress: told how many videos are done.

    Raises:
        MediaError: a video is damaged, and ``keep_going`` is off.
        FeatureError: the store is of another fingerprint or in use, or regions are of no video or frame.
        StorageError: the disk is full; finished videos stay in the store and the next call continues.
    """
    began = time.monotonic()
    report = ExtractionReport()
    if repeated := [name for name, count in Counter(v.name for v in videos).items() if count > 1]:
        raise DataError(f"each video must have a name of its own, found {repeated[0]} more than once")
    mine = videos[shard[0] :: shard[1]]
    with StoreWriter(store_folder, encoder.fingerprint, shard) as writer:
        jobs = []
        for number, video in enumerate(mine):
            progress("looking for changed videos", number, len(mine))
            if (job := _plan(video, writer, report, keep_going)) is not None:
                jobs.append(job)
        done = len(mine) - len(jobs)
        encoder.begin(store_folder, shard, [job.video.name for job in jobs])
        ordered = OrderedVideos(jobs, encoder, writer, partial(_leave_out, report=report, keep_going=keep_going))
        with encoder.decoder([job.path for job in jobs]) as decoder, ordered:
            began_decoding = time.monotonic()
            for number, item in decoder.items():
                if isinstance(item, Tensor):
                    rate = f"{decoder.decoded / (time.monotonic() - began_decoding):,.0f} frames/s"
                    progress(_STAGE, done + ordered.finished, len(mine), rate)
                for _ in range(ordered.take(number, item)):
                    decoder.taken()
        report.extracted, report.frames, report.cosine = ordered.extracted, ordered.frames, encoder.cosine
        progress(_STAGE, len(mine), len(mine))
    done_now = set(report.extracted)
    made = [v for v in mine if v.name in done_now]
    report.mismatches = frame_mismatches(FeatureStore(store_folder), made)
    report.notes = length_notes(made)
    report.seconds = time.monotonic() - began
    return report


def _plan(video: Video, writer: StoreWriter, report: ExtractionReport, keep_going: bool) -> ExtractionJob | None:
    try:
        if video.path is None:
            raise DataError(f"video '{video.name}' has no file to extract features from; give its features instead")
        made_of = writer.source(video.name)
        if made_of is not None and is_source(video.path, made_of):
            report.present.append(video.name)
            return None
        return ExtractionJob(video, video.path, source_id(video.path))
    except DataError as error:
        _leave_out(video.name, error, report=report, keep_going=keep_going)
        return None


def _leave_out(name: str, error: DataError, *, report: ExtractionReport, keep_going: bool) -> None:
    if not keep_going:
        raise error
    report.failed.append((name, str(error)))
