"""Features of a data set as a method wants them: found in the cache, extracted from its videos, or pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vadbench.clip import Clip
from vadbench.config import Rows
from vadbench.dataset import SPLITS, Dataset, Progress, Split, Video, silent
from vadbench.errors import DataError, FeatureError
from vadbench.features.extract import clip_fingerprint, extract_features
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.store import FeatureStore, StoreWriter, can_serve, pool_rows
from vadbench.runs import SplitRecord, digest


@dataclass(frozen=True)
class Provision:
    """A data set ready for a method.

    Args:
        videos: the videos of each split that take part.
        store: their features at the stride and pooling that the method asked for.
        notes: what a reader of the results must know about the data.
    """

    videos: dict[Split, Sequence[Video]]
    store: FeatureStore
    notes: list[str]

    def record(self, dataset: Dataset, split: Split) -> SplitRecord:
        """What a run's record keeps of a split; its manifest is part of the run's key."""
        videos = self.videos[split]
        entries = [
            [v.name, list(v.labels), self.store.frames(v.name), self.store.source(v.name)]
            + [[s.label, s.start, s.end] for s in v.segments]
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
    given: Path | None = None,
    progress: Progress = silent,
) -> Provision:
    """Make a data set ready: its files, its features, and those features at the rows a method wants.

    Args:
        dataset: the data set in its place on disk.
        rows: stride and pooling wanted.
        clip: the CLIP that extracts what is not in the cache.
        cache: folder under which feature stores are kept, one per data set and fingerprint.
        given: a feature store to use instead of extracting.

    Raises:
        DataError: files are missing or contradict each other.
        FeatureError: the features given do not fit the data set, the CLIP or the rows wanted.
    """
    dataset.prepare(progress)
    videos: dict[Split, Sequence[Video]] = {split: dataset.videos(split) for split in SPLITS}
    everything = [v for split in SPLITS for v in videos[split]]
    names = [v.name for v in everything]
    if repeated := sorted({n for n in names if names.count(n) > 1} if len(set(names)) < len(names) else ()):
        raise DataError(f"{dataset.name}: each video must appear once in one split, found {repeated[0]} more than once")
    notes = [
        f"incomplete: {len(videos[s])} of {dataset.expected[s]} {s} videos"
        for s in SPLITS
        if len(videos[s]) != dataset.expected[s]
    ]
    folder = cache / "features" / dataset.name
    if given is not None:
        source = _given(given, everything, clip, progress)
    else:
        wanted = clip_fingerprint(clip, stride=dataset.extraction_stride, pooling=rows.pooling)
        if not can_serve(wanted, rows.stride, rows.pooling):
            wanted = clip_fingerprint(clip, stride=rows.stride, pooling=rows.pooling)
        report = extract_features(
            everything,
            clip,
            folder / wanted.digest,
            stride=wanted.stride,
            pooling=wanted.pooling,
            progress=progress,
        )
        notes += [f"{m}" for m in report.mismatches]
        source = FeatureStore(folder / wanted.digest)
    return Provision(videos, _pooled(source, everything, rows, folder, progress), notes)


def _given(path: Path, videos: Sequence[Video], clip: Clip, progress: Progress) -> FeatureStore:
    store = FeatureStore(path)
    if store.fingerprint.weights != clip.weights_sha256:
        raise FeatureError(
            f"features in {path} were made by {store.fingerprint.encoder}, the CLIP in use is {clip.name};"
            " name the right one with --clip and --clip-weights, or extract again"
        )
    present = set(store.names)
    missing = [v.name for v in videos if v.name not in present]
    if missing:
        raise FeatureError(f"features in {path} lack {len(missing)} videos, the first is {missing[0]}; extract them")
    for done, video in enumerate(videos):
        progress("checking features", done, len(videos))
        store.check(video.name)
    progress("checking features", len(videos), len(videos))
    return store


def _pooled(
    source: FeatureStore, videos: Sequence[Video], rows: Rows, folder: Path, progress: Progress
) -> FeatureStore:
    have = source.fingerprint
    if not can_serve(have, rows.stride, rows.pooling):
        raise FeatureError(
            f"the method wants a row every {rows.stride} frames ({rows.pooling}), the features in {source.folder} have"
            f" one every {have.stride} ({have.pooling}); extract finer ones"
        )
    if have.stride == rows.stride:
        return source
    target = Fingerprint(**{**have.to_dict(), "stride": rows.stride, "pooling": rows.pooling})
    with StoreWriter(folder / target.digest, target) as writer:
        for done, video in enumerate(videos):
            name = video.name
            if writer.has(name, source.source(name)):
                continue
            progress("pooling features", done, len(videos))
            crops = [
                pool_rows(c, source.frames(name), have.stride, rows.stride, rows.pooling) for c in source.rows(name)
            ]
            writer.append(name, crops, source.frames(name), source.source(name))
    return FeatureStore(folder / target.digest)
