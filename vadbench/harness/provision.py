"""Features of a data set as a method wants them: found in the cache, extracted from its videos, given, or pooled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vadbench.base.errors import DataError, FeatureError
from vadbench.base.files import locked
from vadbench.base.hashing import digest
from vadbench.base.method_config import Rows
from vadbench.base.types import Progress, silent
from vadbench.clip import Clip
from vadbench.data.media import source_id
from vadbench.dataset import SPLITS, Dataset, Split, Video
from vadbench.features.crops import crops_like_test, scored_crops
from vadbench.features.encoders import FrameEncoder, clip_fingerprint
from vadbench.features.extraction import extract_features, frame_mismatches
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.layouts import open_features
from vadbench.features.pooling import can_serve, pool_rows
from vadbench.features.source import FeatureSource, VerifiedFeatures
from vadbench.features.store import FeatureStore, StoreWriter
from vadbench.harness.frame_counts import video_lengths
from vadbench.harness.given_features import GivenFeatures, choose_features, open_given
from vadbench.records.record import INCOMPLETE, SplitRecord
from vadbench.scoring.protocol import Protocol


@dataclass(frozen=True)
class Provision:
    """A data set ready for a method.

    Args:
        videos: the videos of each split that take part.
        features: their features at the stride and pooling that the method asked for.
        fingerprint: what made the features; where nobody knows, the digest of their values stands in for it.
        frames: how long each video is.
        scored: which crops of a test video are scored (:mod:`vadbench.features.crops`).
        crop: the crop that the protocol or the user wants.
        crop_asked: whether it is the user's own wish.
        identity: what each video's features were made of: the id of its file, or of the values of given features.
        notes: what a reader of the results must know about the data.
    """

    videos: Mapping[Split, Sequence[Video]]
    features: FeatureSource
    fingerprint: Fingerprint
    frames: Mapping[str, int]
    scored: Mapping[str, Sequence[str]]
    crop: str
    crop_asked: bool
    identity: Mapping[str, str]
    notes: Sequence[str]

    def scored_like_test(self, names: Sequence[str]) -> dict[str, Sequence[str]]:
        """The crops of training videos that are scored as those of the test videos are."""
        return {name: crops_like_test(self.features, name, self.crop, self.crop_asked) for name in names}

    def record(self, dataset: Dataset, split: Split) -> SplitRecord:
        """What a run's record keeps of a split; its manifest is part of the run's key."""
        videos = self.videos[split]
        return SplitRecord(
            videos=len(videos),
            expected=dataset.expected[split],
            abnormal=sum(not dataset.is_normal(v) for v in videos),
            manifest=digest([_entry(v, self.frames[v.name], self.identity[v.name]) for v in videos]),
            inputs=digest([_entry(v, self.identity[v.name]) for v in videos]),
        )


def _entry(video: Video, *facts: Any) -> list[Any]:
    """A video of a manifest: what is annotated of it, and what else is known."""
    return [
        *(video.name, list(video.labels), *facts),
        *([s.label, s.start, s.end] for s in video.segments),
        *([] if video.binary is None else [["binary", *video.binary]]),
    ]


def current_inputs(dataset: Dataset, rules: Protocol, given: GivenFeatures | None, cache: Path) -> dict[Split, str]:
    """What :attr:`vadbench.records.record.SplitRecord.inputs` of each split would be now; nothing is extracted for it.

    Args:
        dataset, rules, given, cache: as for :func:`provide`.

    Returns:
        nothing for a split of which a video is not here.

    Raises:
        DataError: files contradict each other, or features that are given are damaged.
    """
    videos = _participants(dataset, rules, [])
    given = choose_features(dataset, _both(videos), given)
    if given is None:
        identity = {v.name: source_id(v.path) for v in _both(videos) if v.path is not None and v.path.exists()}
    else:
        names = {v.name for v in _both(videos)}
        stated = {v.name: v.frames for v in _both(videos) if v.frames is not None}
        source = open_features(given.folder, names, stated, given.layout, given.without)
        verified = VerifiedFeatures(cache / "features" / dataset.name / "verified.jsonl")
        identity = {name: verified.digest(source, name) for name in names & set(source.names)}
    return {
        split: digest([_entry(v, identity[v.name]) for v in videos[split]])
        for split in SPLITS
        if all(v.name in identity for v in videos[split])
    }


def provide(
    dataset: Dataset,
    rows: Rows,
    clip: Clip,
    cache: Path,
    rules: Protocol,
    given: GivenFeatures | None = None,
    *,
    crop_asked: bool = False,
    allow_incomplete: bool = False,
    progress: Progress = silent,
) -> Provision:
    """Make a data set ready: its files, its features, and those features at the rows a method wants.

    Args:
        dataset: the data set in its place on disk.
        rows: stride and pooling wanted.
        clip: the CLIP that extracts what is not in the cache.
        cache: folder under which feature stores are kept, one per data set and fingerprint. A second process that
            needs the same data set waits until the first has made it ready.
        rules: how annotated intervals are read, which videos and crops take part, how far a count may be off.
        given: features to use instead of extracting. Without, they are extracted from the videos; where there are none
            and the root holds features, these are used.
        crop_asked: whether the protocol's crop is the user's own wish; otherwise features of a single crop do as well.
        allow_incomplete: go on without the videos that have neither features nor a file, or damaged ones.

    Raises:
        DataError: files are missing or contradict each other.
        FeatureError: the features given do not fit the data set, the CLIP or the rows wanted.
    """
    folder = cache / "features" / dataset.name
    notes: list[str] = []
    with locked(folder, f"cache of {dataset.name}", wait=True, progress=progress):
        dataset.prepare(progress)
        videos = _participants(dataset, rules, notes)
        given = choose_features(dataset, _both(videos), given)
        if given is not None:
            opened = open_given(given, dataset, videos, clip, folder, allow_incomplete, progress)
            source, fingerprint, identity = opened.source, opened.fingerprint, opened.identity
            notes += [opened.origin, *opened.damaged]
            videos = _present(dataset, videos, set(identity), f"features in {source.folder}", allow_incomplete, notes)
        else:
            files = {v.name for v in _both(videos) if v.path is not None and v.path.exists()}
            videos = _present(dataset, videos, files, f"a file under {dataset.root}", allow_incomplete, notes)
            store, damaged = _extracted(dataset, _both(videos), rows, clip, folder, allow_incomplete, progress)
            if damaged:
                notes += damaged.values()
                # The store may still hold rows of an earlier, undamaged file.
                sound = set(store.names) - damaged.keys()
                videos = _present(dataset, videos, sound, "a file without damage", True, notes)
            identity = {v.name: source_id(v.path) for v in _both(videos) if v.path is not None}
            source, fingerprint = store, store.fingerprint
        frames = video_lengths(source, videos, rules, notes, progress)
        pooled = folder if given is None else folder / f"given-{digest([str(given.folder.resolve()), given.layout])}"
        features = _pooled(source, identity, frames, rows, pooled, progress)
    scored = scored_crops(features, [v.name for v in videos["test"]], rules.crop, crop_asked, notes)
    if isinstance(source, FeatureStore):
        notes += map(str, frame_mismatches(source, _both(videos)))
    fingerprint = replace(features.fingerprint, weights=fingerprint.weights)
    notes += dataset.problems
    return Provision(videos, features, fingerprint, frames, scored, rules.crop, crop_asked, identity, notes)


def _participants(dataset: Dataset, rules: Protocol, notes: list[str]) -> dict[Split, list[Video]]:
    videos: dict[Split, list[Video]] = {}
    for split in SPLITS:
        listed = dataset.videos(split, rules.boundaries)
        if not listed:
            raise DataError(f"{dataset.name} has no {split} videos under {dataset.root}; expected: {dataset.files}")
        if len(listed) != dataset.expected[split]:
            notes.append(f"{INCOMPLETE}: {len(listed)} of {dataset.expected[split]} {split} videos")
        videos[split] = [v for v in listed if rules.subset == "all" or dataset.is_single(v)]
        if len(videos[split]) != len(listed):
            notes.append(f"subset {rules.subset}: {len(videos[split])} of {len(listed)} {split} videos")
    repeated = [name for name, count in Counter(v.name for v in _both(videos)).items() if count > 1]
    if repeated:
        raise DataError(f"{dataset.name}: each video must appear once in one split, found {repeated[0]} more than once")
    return videos


def _both(videos: Mapping[Split, Sequence[Video]]) -> list[Video]:
    return [v for split in SPLITS for v in videos[split]]


def _present(
    dataset: Dataset,
    videos: Mapping[Split, Sequence[Video]],
    present: set[str],
    what: str,
    allowed: bool,
    notes: list[str],
) -> dict[Split, list[Video]]:
    """The videos that can be used; the others stop the run unless the user allowed them to be missing."""
    kept = {split: [v for v in videos[split] if v.name in present] for split in SPLITS}
    missing = [v.name for v in _both(videos) if v.name not in present]
    empty = [split for split in SPLITS if not kept[split]]
    if missing and (not allowed or empty):
        go_on = ", or go on without them with --allow-incomplete"
        if empty:
            go_on = f"; no {empty[0]} video would be left without them"
        raise DataError(
            f"{dataset.name}: {len(missing)} of {len(_both(videos))} videos lack {what}, the first is {missing[0]!r};"
            f" add them{go_on} (vadbench data check, with the same options, lists them all)"
        )
    for split in SPLITS:
        if len(kept[split]) < len(videos[split]):
            notes.append(
                f"{INCOMPLETE}: {len(kept[split])} of {dataset.expected[split]} {split} videos, the others lack {what}"
            )
    return kept


def _extracted(
    dataset: Dataset,
    videos: Sequence[Video],
    rows: Rows,
    clip: Clip,
    folder: Path,
    leave_out: bool,
    progress: Progress,
) -> tuple[FeatureStore, dict[str, str]]:
    """The features of a data set's videos, and by name why some videos have none of their own."""
    wanted = clip_fingerprint(clip, stride=dataset.extraction_stride, pooling=rows.pooling)
    if not can_serve(wanted, rows.stride, rows.pooling):
        wanted = clip_fingerprint(clip, stride=rows.stride, pooling=rows.pooling)
    store = folder / wanted.digest
    report = extract_features(videos, FrameEncoder(clip, wanted), store, keep_going=leave_out, progress=progress)
    return FeatureStore(store), dict(report.failed)


def _pooled(
    source: FeatureSource,
    identity: Mapping[str, str],
    frames: Mapping[str, int],
    rows: Rows,
    folder: Path,
    progress: Progress,
) -> FeatureSource:
    have = source.fingerprint
    if not can_serve(have, rows.stride, rows.pooling):
        if have.regions and rows.pooling == "mean":
            raise FeatureError(
                f"the method wants the mean of {rows.stride} frames, but features in {source.folder} are of regions,"
                " which differ from frame to frame; set rows.pooling=first or middle, and extract the same"
            )
        raise FeatureError(
            f"the method wants a row every {rows.stride} frames ({rows.pooling}), the features in {source.folder} have"
            f" one every {have.stride} ({have.pooling}); extract finer ones"
        )
    if have.stride == rows.stride:
        return source
    target = replace(have, stride=rows.stride, pooling=rows.pooling)
    with StoreWriter(folder / target.digest, target) as writer:
        for done, (name, made_of) in enumerate(identity.items()):
            if writer.has(name, made_of):
                continue
            progress("pooling features", done, len(identity))
            crops = [source.crop_rows(name, crop) for crop in source.crops(name)]
            # What the rows given can stand for: they may be one more or less than the video's true length makes.
            most = len(crops[0]) * have.stride
            length = min(max(frames[name], most - have.stride + 1), most)
            pooled = [pool_rows(c, length, have.stride, rows.stride, rows.pooling) for c in crops]
            writer.append(name, pooled, length, made_of)
        progress("pooling features", len(identity), len(identity))
    return FeatureStore(folder / target.digest)
