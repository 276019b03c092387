"""Features of a data set as a method wants them: found in the cache, extracted from its videos, given, or pooled."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vadbench.base.files import locked
from vadbench.base.hashing import digest
from vadbench.base.method_config import Rows
from vadbench.base.needs import CLIP_STREAM
from vadbench.base.types import Progress, silent
from vadbench.clip import Clip
from vadbench.data.media import source_id
from vadbench.dataset import SPLITS, Dataset, Split, Video
from vadbench.features.crops import CropRule, Joining, joining, training_crops
from vadbench.features.encoders import FrameEncoder, clip_fingerprint
from vadbench.features.extraction import extract_features, frame_mismatches
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.pooling import can_serve, pooled_count, pooled_features
from vadbench.features.source import FeatureSource, VerifiedFeatures
from vadbench.features.store import FeatureStore
from vadbench.harness.frame_counts import video_lengths
from vadbench.harness.given_features import (
    CHECKED,
    ClipDemand,
    GivenFeatures,
    choose_features,
    open_given,
    open_of_videos,
)
from vadbench.harness.participants import FoundFeatures, every_video, participants, require_present
from vadbench.harness.side_streams import SideStream, require_crops, stream_facts
from vadbench.harness.streams import GivenStream, current_streams, lay_out, open_streams
from vadbench.records.record import SplitRecord
from vadbench.scoring.protocol import Protocol


@dataclass(frozen=True)
class Provision:
    """A data set ready for a method.

    Args:
        videos: the videos of each split that take part.
        features: their features at the stride and pooling that the method asked for.
        fingerprint: that of the features; if their encoder is unknown, it has the digest of their values instead.
        frames: how long each video is.
        rows: number of rows of each video.
        crop: which crop is scored, by the protocol's or the user's wish.
        scored: the crops of each test video that are scored.
        identity: the source of each video's features: the id of its file, or of the values of given features.
        notes: remarks on the data for readers of the results.
        line: name of the stream that the features are.
        streams: the streams beside it, by name.
        foreign: the features are of another encoder than the CLIP that was offered, which has no part in the run.
    """

    videos: Mapping[Split, Sequence[Video]]
    features: FeatureSource
    fingerprint: Fingerprint
    frames: Mapping[str, int]
    rows: Mapping[str, int]
    crop: CropRule
    scored: Mapping[str, Sequence[str]]
    identity: Mapping[str, str]
    notes: Sequence[str]
    line: str = CLIP_STREAM
    streams: Mapping[str, SideStream] = field(default_factory=dict)
    foreign: bool = False

    @property
    def joined(self) -> Joining:
        """How the scores of a video's crops are joined."""
        return joining(self.features.fingerprint)

    def scored_like_test(self, names: Sequence[str]) -> dict[str, Sequence[str]]:
        """Return the crops of training videos that are scored as those of the test videos are."""
        return {name: self.crop.like_test(self.features, name) for name in names}

    def record(self, dataset: Dataset, split: Split) -> SplitRecord:
        """Return the entry of a split in a run's record; its manifest is part of the run's key."""
        videos = self.videos[split]
        return SplitRecord(
            videos=len(videos),
            expected=dataset.expected[split],
            abnormal=sum(not dataset.is_normal(v) for v in videos),
            manifest=digest([_entry(v, self.frames[v.name], *self._facts(v, spacings=True)) for v in videos]),
            inputs=digest([_entry(v, *self._facts(v, spacings=False)) for v in videos]),
        )

    def _facts(self, video: Video, spacings: bool) -> list[Any]:
        """Return what is in a video's entry for its features."""
        return [self.identity[video.name], *stream_facts(self.streams, video.name, spacings)]


def _entry(video: Video, *facts: Any) -> list[Any]:
    """Return the entry of a video in a manifest: its annotation, and what else is known."""
    return [
        *(video.name, list(video.labels), *facts),
        *([s.label, s.start, s.end] for s in video.segments),
        *([] if video.binary is None else [["binary", *video.binary]]),
    ]


def current_inputs(
    dataset: Dataset,
    rules: Protocol,
    given: GivenFeatures | None,
    cache: Path,
    streams: Mapping[str, GivenStream] | None = None,
) -> dict[Split, str]:
    """Return the present :attr:`vadbench.records.record.SplitRecord.inputs` of each split, without extracting anything.

    Args:
        dataset, rules, given, cache, streams: as for :func:`provide`.

    Returns:
        no entry for a split with a video that is not here.

    Raises:
        DataError: files contradict each other, or features that are given are damaged.
    """
    videos = participants(dataset, rules).videos
    every = every_video(videos)
    given = choose_features(dataset, every, given)
    if given is None:
        identity = {v.name: source_id(v.path) for v in every if v.path is not None and v.path.exists()}
    else:
        source = open_of_videos(given, every)
        verified = VerifiedFeatures(cache / "features" / dataset.name / CHECKED)
        identity = {name: verified.look(source, name).digest for name in source.names}
    beside = current_streams(streams or {}, every, cache / "features" / dataset.name)
    return {
        split: digest([_entry(v, identity[v.name], *beside[v.name]) for v in own])
        for split, own in videos.items()
        if all(v.name in identity and v.name in beside for v in own)
    }


def provide(
    dataset: Dataset,
    rows: Rows,
    clip: Clip,
    cache: Path,
    rules: Protocol,
    given: GivenFeatures | None = None,
    *,
    splits: Collection[Split] = SPLITS,
    line: str = CLIP_STREAM,
    streams: Mapping[str, GivenStream] | None = None,
    asked: ClipDemand,
    crop_asked: bool = False,
    allow_incomplete: bool = False,
    progress: Progress = silent,
) -> Provision:
    """Make a data set ready: its files, its features, and those features at the rows a method wants.

    Args:
        dataset: the data set in its place on disk.
        rows: stride and pooling wanted.
        clip: the CLIP that extracts what is not in the cache.
        cache: folder of the feature stores, one per data set and fingerprint. A second process that
            needs the same data set waits until the first has made it ready.
        rules: how annotated intervals are read, which videos and crops take part, how far a count may be off.
        given: features to use instead of extracting. Without, they are extracted from the videos; where there are none
            and the root holds features, these are used.
        splits: those that take part, where the data set has them.
        line: name of the stream that these are.
        streams: features of the streams beside it, by name.
        asked: what is asked of the CLIP.
        crop_asked: whether the protocol's crop is the user's own wish; otherwise features of a single crop do as well.
        allow_incomplete: go on without the videos that have neither features nor a file, or damaged ones.

    Raises:
        DataError: files are missing or contradict each other.
        FeatureError: the features given do not fit the data set, the CLIP or the rows wanted.
    """
    folder = cache / "features" / dataset.name
    with locked(folder, f"cache of {dataset.name}", wait=True, progress=progress):
        dataset.prepare(progress)
        listed = participants(dataset, rules, splits)
        given = choose_features(dataset, every_video(listed.videos), given)
        if given is None:
            made = _extracted(dataset, listed.videos, rows, clip, folder, allow_incomplete, progress)
        else:
            made = open_given(given, dataset, listed.videos, clip, asked, folder, allow_incomplete, progress)
        videos, beside, of_streams = open_streams(
            streams or {}, dataset, made.videos, folder, allow_incomplete, progress
        )
    source = made.source
    frames, of_lengths = video_lengths(source, made.rows, videos, rules, progress)
    features = pooled_features(source, rows.stride, rows.pooling, frames)
    crop = CropRule(rules.crop, crop_asked)
    scored, of_crops = crop.of_test(features, [v.name for v in videos["test"]])
    laid, of_spacing = lay_out(beside, every_video(videos), frames)
    trained = {v.name: training_crops(features, v.name, rows.crops) for v in videos.get("train", ())}
    selected = {v.name: crop.like_test(features, v.name) for v in videos.get("validation", ())}
    require_crops(laid, {**trained, **selected, **scored}, features.fingerprint.regions is not None)
    mismatches = frame_mismatches(source, every_video(videos)) if isinstance(source, FeatureStore) else ()
    return Provision(
        videos,
        features,
        replace(features.fingerprint, weights=made.weights),
        frames,
        {n: pooled_count(made.rows[n], source.fingerprint.stride, rows.stride, length) for n, length in frames.items()},
        crop,
        scored,
        made.identity,
        [
            *listed.notes,
            *made.notes,
            *of_streams,
            *of_lengths,
            *of_spacing,
            *of_crops,
            *map(str, mismatches),
            *listed.problems,
        ],
        line,
        laid,
        made.foreign,
    )


def _extracted(
    dataset: Dataset,
    videos: Mapping[Split, Sequence[Video]],
    rows: Rows,
    clip: Clip,
    folder: Path,
    leave_out: bool,
    progress: Progress,
) -> FoundFeatures:
    """Return features extracted from the data set's videos, or found in the cache; damaged videos may be left out."""
    here = {v.name for v in every_video(videos) if v.path is not None and v.path.exists()}
    kept, absent = require_present(dataset, videos, here, f"a file under {dataset.root}", leave_out)
    wanted = clip_fingerprint(clip, stride=dataset.extraction_stride, pooling=rows.pooling)
    if not can_serve(wanted, rows.stride, rows.pooling):
        wanted = clip_fingerprint(clip, stride=rows.stride, pooling=rows.pooling)
    place = folder / wanted.digest
    report = extract_features(
        every_video(kept), FrameEncoder(clip, wanted), place, keep_going=leave_out, progress=progress
    )
    store, damaged = FeatureStore(place), dict(report.failed)
    # The store may still hold rows of an earlier, undamaged file.
    there = set(store.names) - damaged.keys()
    sound, unsound = require_present(dataset, kept, there, "a file without damage", bool(damaged))
    return FoundFeatures(
        sound,
        store,
        store.fingerprint.weights,
        {v.name: source_id(v.path) for v in every_video(sound) if v.path is not None},
        {v.name: store.rows(v.name).shape[1] for v in every_video(sound)},
        [*absent, *damaged.values(), *unsound],
    )
