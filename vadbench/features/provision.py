"""Features of a data set as a method wants them: found in the cache, extracted from its videos, or pooled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vadbench.clip import Clip
from vadbench.config import Rows
from vadbench.dataset import SPLITS, Dataset, Progress, Split, Video, silent
from vadbench.errors import DataError, FeatureError
from vadbench.features.extract import clip_fingerprint, extract_features, frame_mismatches
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.store import FeatureStore, StoreWriter, can_serve, pool_rows
from vadbench.files import locked
from vadbench.media import source_id
from vadbench.protocols import Protocol, require_frames
from vadbench.runs import SplitRecord, digest


@dataclass(frozen=True)
class Provision:
    """A data set ready for a method.

    Args:
        videos: the videos of each split that take part.
        store: their features at the stride and pooling that the method asked for.
        identity: what each video's features were made of: the id of its file, or of the values of given features.
        notes: what a reader of the results must know about the data.
    """

    videos: Mapping[Split, Sequence[Video]]
    store: FeatureStore
    identity: Mapping[str, str]
    notes: Sequence[str]

    def record(self, dataset: Dataset, split: Split) -> SplitRecord:
        """What a run's record keeps of a split; its manifest is part of the run's key."""
        videos = self.videos[split]
        entries = [
            [v.name, list(v.labels), self.store.frames(v.name), self.identity[v.name]]
            + [[s.label, s.start, s.end] for s in v.segments]
            + ([] if v.binary is None else [["binary", *v.binary]])
            for v in videos
        ]
        return SplitRecord(
            videos=len(videos),
            expected=dataset.expected[split],
            abnormal=sum(not dataset.is_normal(v) for v in videos),
            manifest=digest(entries),
        )


def provide(
    dataset: Dataset,
    rows: Rows,
    clip: Clip,
    cache: Path,
    rules: Protocol,
    given: Path | None = None,
    progress: Progress = silent,
) -> Provision:
    """Make a data set ready: its files, its features, and those features at the rows a method wants.

    Args:
        dataset: the data set in its place on disk.
        rows: stride and pooling wanted.
        clip: the CLIP that extracts what is not in the cache.
        cache: folder under which feature stores are kept, one per data set and fingerprint. A second process that
            needs the same data set waits until the first has made it ready.
        rules: how annotated intervals are read, and how far a test video's stated frame count may be off.
        given: a feature store to use instead of extracting.

    Raises:
        DataError: files are missing or contradict each other.
        FeatureError: the features given do not fit the data set, the CLIP or the rows wanted.
    """
    folder = cache / "features" / dataset.name
    with locked(folder, f"cache of {dataset.name}", wait=True):
        dataset.prepare(progress)
        videos = {split: dataset.videos(split, rules.boundaries) for split in SPLITS}
        everything = _all(dataset, videos)
        if given is not None:
            source = FeatureStore(given)
            identity = _checked(source, everything, clip, progress)
            pooled = folder / f"given-{digest(identity)}"
        else:
            source = _extracted(dataset, everything, rows, clip, folder, progress)
            identity = {v.name: source.source(v.name) for v in everything}
            pooled = folder
        store = _pooled(source, identity, rows, pooled, progress)
    for video in videos["test"]:
        require_frames(video.name, video.frames, store.frames(video.name), rules.tolerance)
    notes = [
        f"incomplete: {len(videos[s])} of {dataset.expected[s]} {s} videos"
        for s in SPLITS
        if len(videos[s]) != dataset.expected[s]
    ]
    notes += [*dataset.problems, *map(str, frame_mismatches(source, everything))]
    return Provision(videos, store, identity, notes)


def _all(dataset: Dataset, videos: Mapping[Split, Sequence[Video]]) -> list[Video]:
    for split in SPLITS:
        if not videos[split]:
            raise DataError(f"{dataset.name} has no {split} videos under {dataset.root}; expected: {dataset.files}")
    everything = [v for split in SPLITS for v in videos[split]]
    repeated = [name for name, count in Counter(v.name for v in everything).items() if count > 1]
    if repeated:
        raise DataError(f"{dataset.name}: each video must appear once in one split, found {repeated[0]} more than once")
    return everything


def _extracted(
    dataset: Dataset, videos: Sequence[Video], rows: Rows, clip: Clip, folder: Path, progress: Progress
) -> FeatureStore:
    wanted = clip_fingerprint(clip, stride=dataset.extraction_stride, pooling=rows.pooling)
    if not can_serve(wanted, rows.stride, rows.pooling):
        wanted = clip_fingerprint(clip, stride=rows.stride, pooling=rows.pooling)
    store = folder / wanted.digest
    lost = [v.name for v in videos if v.path is None]
    if lost:
        raise DataError(
            f"{dataset.name}: {len(lost)} of {len(videos)} videos have no file under {dataset.root}, the first is"
            f" {lost[0]}; put them there, or give a feature store with --features; expected there: {dataset.files}"
        )
    extract_features(videos, clip, store, stride=wanted.stride, pooling=wanted.pooling, progress=progress)
    return FeatureStore(store)


def _checked(store: FeatureStore, videos: Sequence[Video], clip: Clip, progress: Progress) -> dict[str, str]:
    """The id of each video's values, after making sure that they are this CLIP's features of these very files."""
    have = store.fingerprint
    expected = clip_fingerprint(clip, stride=have.stride, pooling=have.pooling, dtype=have.dtype)
    if have != expected:
        raise FeatureError(
            f"features in {store.folder} are not those of CLIP {clip.name} ({'; '.join(have.differences(expected))});"
            " name the right one with --clip and --clip-weights, or extract again"
        )
    present = set(store.names)
    missing = [v.name for v in videos if v.name not in present]
    if missing:
        raise FeatureError(
            f"features in {store.folder} lack {len(missing)} videos, the first is {missing[0]}; extract them into the"
            " same folder"
        )
    identity = {}
    for done, video in enumerate(videos):
        progress("checking features", done, len(videos))
        if video.path is not None and video.path.exists() and source_id(video.path) != store.source(video.name):
            raise FeatureError(
                f"features of {video.name} in {store.folder} were not made from {video.path}; extract them again"
            )
        identity[video.name] = store.check(video.name)
    progress("checking features", len(videos), len(videos))
    return identity


def _pooled(
    source: FeatureStore, identity: Mapping[str, str], rows: Rows, folder: Path, progress: Progress
) -> FeatureStore:
    have = source.fingerprint
    if not can_serve(have, rows.stride, rows.pooling):
        raise FeatureError(
            f"the method wants a row every {rows.stride} frames ({rows.pooling}), the features in {source.folder} have"
            f" one every {have.stride} ({have.pooling}); extract finer ones"
        )
    if have.stride == rows.stride:
        return source
    target: Fingerprint = replace(have, stride=rows.stride, pooling=rows.pooling)
    with StoreWriter(folder / target.digest, target) as writer:
        for done, (name, made_of) in enumerate(identity.items()):
            if writer.has(name, made_of):
                continue
            progress("pooling features", done, len(identity))
            frames = source.frames(name)
            crops = [pool_rows(c, frames, have.stride, rows.stride, rows.pooling) for c in source.rows(name)]
            writer.append(name, crops, frames, made_of)
        progress("pooling features", len(identity), len(identity))
    return FeatureStore(folder / target.digest)
