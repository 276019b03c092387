"""Features of a data set as a method wants them: found in the cache, extracted from its videos, given, or pooled."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vadbench.base.files import locked
from vadbench.base.hashing import digest
from vadbench.base.method_config import Rows
from vadbench.base.needs import CLIP_STREAM, Needs
from vadbench.base.text import spaced
from vadbench.base.types import Progress, silent
from vadbench.clip import Clip
from vadbench.data.timed_frames import FrameDecoder
from vadbench.dataset import SPLITS, Dataset, Split, Video
from vadbench.features.crops import CropRule, Joining, joining, require_bags, require_single, training_crops
from vadbench.features.extracted import frame_mismatches
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.pooling import pooled_count, pooled_features, rows_to_take
from vadbench.features.source import FeatureSource
from vadbench.features.store import FeatureStore
from vadbench.harness.fitness import FitCheck
from vadbench.harness.frame_counts import decoded_beside, video_lengths, with_files
from vadbench.harness.given_features import ClipDemand, GivenFeatures, GivenStream, choose_features, open_given
from vadbench.harness.own_features import extracted_features
from vadbench.harness.participants import every_video, participants
from vadbench.harness.side_streams import SideStream, require_crops, stream_facts
from vadbench.harness.streams import lay_out, open_streams
from vadbench.records.record import SplitRecord
from vadbench.scoring.protocol import Protocol


@dataclass(frozen=True)
class Provision:
    """A data set ready for a method.

    Args:
        videos: the videos of each split that take part.
        features: their features at the stride and pooling that the method asked for; ``None`` for one that reads none.
        fingerprint: that of the features; if their encoder is unknown, it has the digest of their values instead.
        frames: how long each video is.
        rows: number of rows of each video.
        stride: frames from one row to the next.
        crop: which crop is scored, by the protocol's or the user's wish.
        scored: the crops of each test video that are scored.
        identity: the source of each video's features: the id of its file, or of the values of given features; of a
            method without features, the id of the file that it decodes.
        notes: remarks on the data for readers of the results.
        line: name of the stream that the features are.
        streams: the streams beside it, by name.
        decoders: of the videos whose frames the method may ask for.
        truth: the test videos with their annotation, for an oracle.
        bag: the crops of a video are given to the method at once.
        foreign: the features are of another encoder than the CLIP that was offered, which has no part in the run.
        taken: the rows that a method which does not mind takes, where they are not those that it asked for.
    """

    videos: Mapping[Split, Sequence[Video]]
    features: FeatureSource | None
    fingerprint: Fingerprint | None
    frames: Mapping[str, int]
    rows: Mapping[str, int]
    stride: int
    crop: CropRule
    scored: Mapping[str, Sequence[str]]
    identity: Mapping[str, str]
    notes: Sequence[str]
    line: str = CLIP_STREAM
    streams: Mapping[str, SideStream] = field(default_factory=dict)
    decoders: Mapping[str, FrameDecoder] = field(default_factory=dict)
    truth: Mapping[str, Video] = field(default_factory=dict)
    foreign: bool = False
    bag: bool = False
    taken: Rows | None = None

    @property
    def joined(self) -> Joining:
        """How the scores of a video's crops are joined."""
        return "mean" if self.fingerprint is None else joining(self.fingerprint)

    @property
    def regions(self) -> bool:
        """True if the features are of regions of the frames."""
        return self.fingerprint is not None and self.fingerprint.regions is not None

    @property
    def dims(self) -> dict[str, int]:
        """Widths of the streams, the time line first."""
        own = {self.line: self.fingerprint.dim} if self.fingerprint else {}
        return own | {name: stream.record.dim for name, stream in self.streams.items()}

    @property
    def spacings(self) -> dict[str, float]:
        """Frames from one row to the next of the streams, the time line first."""
        own: dict[str, float] = {} if self.fingerprint is None else {self.line: self.stride}
        return own | {name: stream.spacing for name, stream in self.streams.items()}

    @property
    def folders(self) -> list[Path]:
        """The folders of the features."""
        own = [] if self.features is None else [self.features.folder]
        return own + [stream.source.folder for stream in self.streams.values()]

    def training_crops(self, name: str, which: str) -> Sequence[str]:
        """Return the crops of a training video that are samples, or its bag; without features one without a name."""
        if self.features is None:
            return ("",)
        return self.crop.like_test(self.features, name) if self.bag else training_crops(self.features, name, which)

    def scored_like_test(self, names: Sequence[str]) -> dict[str, Sequence[str]]:
        """Return the crops of training videos that are scored as those of the test videos are."""
        if self.features is None:
            return {name: ("",) for name in names}
        return {name: self.crop.like_test(self.features, name) for name in names}

    def record(self, dataset: Dataset, split: Split) -> SplitRecord:
        """Return the entry of a split in a run's record; its manifest is part of the run's key."""
        videos = self.videos[split]
        return SplitRecord(
            videos=len(videos),
            expected=dataset.sizes[split],
            abnormal=sum(not dataset.is_normal(v) for v in videos),
            manifest=digest([manifest_entry(v, self.frames[v.name], *self._facts(v, spacings=True)) for v in videos]),
            inputs=digest([manifest_entry(v, *self._facts(v, spacings=False)) for v in videos]),
        )

    def _facts(self, video: Video, spacings: bool) -> list[Any]:
        """Return what is in a video's entry for its features."""
        return [self.identity[video.name], *stream_facts(self.streams, video.name, spacings)]


def manifest_entry(video: Video, *facts: Any) -> list[Any]:
    """Return the entry of a video in a manifest: its annotation, and what else is known."""
    return [
        *(video.name, list(video.labels), *facts),
        *([s.label, s.start, s.end] for s in video.segments),
        *([] if video.binary is None else [["binary", *video.binary]]),
    ]


def provide(
    dataset: Dataset,
    rows: Rows,
    clip: Clip,
    cache: Path,
    rules: Protocol,
    given: GivenFeatures | None = None,
    *,
    splits: Collection[Split] = SPLITS,
    fits: FitCheck | None = None,
    line: str = CLIP_STREAM,
    streams: Mapping[str, GivenStream] | None = None,
    asked: ClipDemand,
    crop_asked: bool = False,
    needs: Needs | None = None,
    extract: bool = True,
    allow_incomplete: bool = False,
    any_rows: bool = False,
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
        fits: raises if the method cannot run on these videos.
        line: name of the stream that these are.
        streams: features of the streams beside it, by name.
        asked: what is asked of the CLIP.
        crop_asked: whether the protocol's crop is the user's own wish; otherwise features of a single crop do as well.
        needs: of the method, where it is more than features: frames, the ground truth.
        extract: make the features that are not in the cache.
        allow_incomplete: go on without the videos that have neither features nor a file, or damaged ones.
        any_rows: take the rows of features as they are where those wanted cannot be made of them.

    Raises:
        DataError: files are missing or contradict each other.
        NotExtractedError: features are not in the cache and must not be made.
        FeatureError: the features given do not fit the data set, the CLIP or the rows wanted.
    """
    folder, needs = cache / "features" / dataset.name, needs or Needs()
    crop = CropRule(rules.crop, crop_asked)

    def suit(source: FeatureSource, of: Mapping[Split, Sequence[Video]]) -> None:
        wanted = rows_to_take(source.fingerprint, rows) if any_rows else rows
        _crops(pooled_features(source, wanted.stride, wanted.pooling, {}), crop, wanted, needs, of)

    with locked(folder, f"cache of {dataset.name}", wait=True, progress=progress):
        dataset.prepare(progress)
        listed = participants(dataset, rules, splits)
        if fits is not None:
            fits(listed.videos)
        given = choose_features(dataset, every_video(listed.videos), given)
        if given is None:
            made = extracted_features(
                dataset, listed.videos, rows, clip, folder, allow_incomplete, progress, only_there=not extract
            )
        else:
            made = open_given(given, dataset, listed.videos, clip, asked, folder, allow_incomplete, progress, suit)
        videos, beside, of_streams = open_streams(
            streams or {}, dataset, made.videos, folder, allow_incomplete, progress
        )
        videos, decoders, of_files = decoded_beside(dataset, videos, needs, cache, allow_incomplete, progress)
    source = made.source
    asked_for, rows = rows, rows_to_take(source.fingerprint, rows) if any_rows else rows
    of_rows = rules.truth in dataset.truths and dataset.truths[rules.truth].tail == "rows"
    frames, of_lengths = video_lengths(source, made.rows, videos, rules, progress, of_rows=of_rows)
    features = pooled_features(source, rows.stride, rows.pooling, frames)
    scored, used, of_crops = _crops(features, crop, rows, needs, videos)
    laid, of_spacing = lay_out(beside, every_video(videos), frames)
    require_crops(laid, used, features.fingerprint.regions is not None)
    mismatches = frame_mismatches(source, every_video(videos)) if isinstance(source, FeatureStore) else ()
    return Provision(
        videos,
        features,
        replace(features.fingerprint, weights=made.weights),
        frames,
        {n: pooled_count(made.rows[n], source.fingerprint.stride, rows.stride, length) for n, length in frames.items()},
        features.fingerprint.stride,
        crop,
        scored,
        with_files(made.identity, decoders, videos) if given else made.identity,
        [
            *listed.notes,
            *made.notes,
            *of_streams,
            *of_files,
            *of_lengths,
            *of_spacing,
            *of_crops,
            *map(str, mismatches),
            *([] if rows == asked_for else [f"rows as they are given: one {spaced(rows.stride)} ({rows.pooling})"]),
            *listed.problems,
        ],
        line,
        laid,
        decoders=decoders,
        truth={v.name: v for v in videos["test"]} if needs.supervision == "oracle" else {},
        foreign=made.foreign,
        bag=rows.crops == "bag",
        taken=None if rows == asked_for else rows,
    )


def _crops(
    features: FeatureSource, crop: CropRule, rows: Rows, needs: Needs, videos: Mapping[Split, Sequence[Video]]
) -> tuple[dict[str, tuple[str, ...]], dict[str, Sequence[str]], list[str]]:
    """Return the crops of each test video that are scored, those of every video that have a part in the run, and notes.

    Raises:
        FeatureError: the crops that the protocol or the method wants are not there.
    """
    scored, notes = crop.of_test(features, [v.name for v in videos["test"]])
    learnt: dict[str, Sequence[str]] = {
        v.name: [*training_crops(features, v.name, rows.crops), *crop.like_test(features, v.name)]
        for v in every_video(videos)
        if v.name not in scored
    }
    if rows.crops == "bag":
        learnt = {name: crop.like_test(features, name) for name in learnt}
        require_bags(features, {**learnt, **scored})
    elif needs.company == "split":
        require_single(features, scored)
    return scored, {**learnt, **scored}, notes
