"""Features that were made before: opening them, and checking that they fit the data set and the CLIP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vadbench.base.errors import ConfigError, FeatureError, did_you_mean
from vadbench.base.files import Remembered
from vadbench.base.hashing import digest
from vadbench.base.spacing import RowSpacing
from vadbench.base.text import spaced
from vadbench.base.types import Progress
from vadbench.clip import Clip
from vadbench.data.media import is_source
from vadbench.dataset import ClassTable, Dataset, Split, Video
from vadbench.features.fingerprint import UNKNOWN, clip_fingerprint
from vadbench.features.layouts import LayoutName, open_features
from vadbench.features.npy_files import find_npy
from vadbench.features.preflight import Preflight, judged, preflight, sampled_videos
from vadbench.features.source import FeatureSource, SampledRows, VerifiedFeatures, VideoLook
from vadbench.features.store import FeatureStore
from vadbench.harness.frame_counts import count_rows
from vadbench.harness.participants import FoundFeatures, every_video, origin_videos, other_names, require_present

CHECKED = "checked.jsonl"
"""File in a data set's cache that says which features were looked at before."""
COMPARED = "compared.jsonl"
"""File in a data set's cache that says how near features were to a CLIP's texts."""


@dataclass(frozen=True)
class GivenFeatures:
    """A folder of features and, where the user names it, their layout; those called as in ``without`` hold none."""

    folder: Path
    layout: LayoutName | None = None
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GivenStream:
    """A folder with the features of a stream, and the spacing of their rows where the user states it."""

    folder: Path
    spacing: RowSpacing | None = None


@dataclass(frozen=True)
class ClipDemand:
    """What is asked of the CLIP of a run.

    Args:
        text: the method compares rows with its texts, so that they must be of that CLIP.
        named: the user says that it is theirs. Otherwise features of another width, where no text is needed, are of
            another encoder, and no CLIP has a part in the run.
    """

    text: bool = True
    named: bool = True


def choose_features(dataset: Dataset, videos: Sequence[Video], given: GivenFeatures | None) -> GivenFeatures | None:
    """Return the features to use: those the user names, else those in the root where it holds no video, else none."""
    without = dataset.truth_folders
    if given is not None:
        return replace(given, without=without)
    if any(v.path for v in videos) or not dataset.root.is_dir() or not find_npy(dataset.root, without).files:
        return None
    return GivenFeatures(dataset.root, without=without)


def choose_streams(
    method: str,
    wanted: Sequence[str],
    features: Path | None,
    streams: Mapping[str, Path],
    spacings: Mapping[str, RowSpacing],
) -> tuple[Path | None, dict[str, GivenStream]]:
    """Return the folder of the first stream, where one is named, and those of the others, none of which is missing.

    Args:
        method: its name.
        wanted: the streams that it reads with its settings.
        features: the folder given without a name, which is the first stream's.
        streams: the folders given by name.
        spacings: the spacings given by name.

    Raises:
        ConfigError: something was given of a stream that the method does not read.
        FeatureError: a folder is not there.
    """
    for name in [*streams, *spacings]:
        if name not in wanted:
            option = "features" if name in streams else "spacing"
            raise ConfigError(
                f"'{method}' reads no stream '{name}' with these settings{did_you_mean(name, wanted)}; leave out"
                f" --{option} {name}=..."
            )
    if features is not None and not wanted:
        raise ConfigError(f"'{method}' reads no features with these settings; leave out --features {features}")
    first, *others = wanted or ("",)
    if first in spacings:
        raise ConfigError(f"--spacing {first}=... is of the first stream, whose layout says it; leave it out")
    if features is not None and first in streams:
        raise ConfigError(
            f"stream '{first}' is given twice, in {features} and, by its name, in {streams[first]}; leave one out"
        )
    for folder in filter(None, [features, *streams.values()]):
        if not folder.is_dir():
            find_npy(folder)  # says why
    return streams.get(first, features), {name: GivenStream(streams[name], spacings.get(name)) for name in others}


def open_given(
    given: GivenFeatures,
    dataset: Dataset,
    videos: Mapping[Split, Sequence[Video]],
    clip: Clip,
    asked: ClipDemand,
    cache: Path,
    leave_out: bool,
    progress: Progress,
    suit: Callable[[FeatureSource, Mapping[Split, Sequence[Video]]], None],
) -> FoundFeatures:
    """Open features and look at every value of those of the videos, once.

    Args:
        given: where they are.
        dataset: the data set of the videos; the preflight compares its class words with the rows.
        videos: of each split; some may lack features.
        clip: the CLIP that they are said to come from.
        asked: what is asked of it.
        cache: folder for what was looked at before.
        leave_out: go on without damaged videos and those without features.
        progress: told how far the looking is.
        suit: raises, before the values are read, if what is known without them does not suit the run: of these
            features and the videos that have some.

    Raises:
        FeatureError: another CLIP made them, or they do not suit the run, or, unless such videos are left out, they
            were made from other files or a value is damaged, or two crops of a video differ in their rows.
        DataError: a video has no features, and may not lack them.
    """
    everything = every_video(videos)
    source = open_of_videos(given, everything)
    foreign = not (asked.text or asked.named) and source.fingerprint.dim != clip.dim
    if not foreign:
        require_clip(source, clip)
    fingerprint, present = source.fingerprint, set(source.names)
    here = [v for v in everything if v.name in present]
    suit(source, {split: [v for v in own if v.name in present] for split, own in videos.items()})
    sampled = set() if fingerprint.known or not asked.text else set(sampled_videos(sorted(v.name for v in here)))
    verified = VerifiedFeatures(cache / CHECKED)

    def look(video: Video) -> VideoLook:
        require_file(source, video)
        return verified.look(source, video.name, sampled)

    looks, damaged = look_at(here, look, leave_out, progress)
    if not looks:
        why = f": {damaged[0]}" if damaged else "; check the folder"
        raise FeatureError(f"{given.folder} has features of none of the {len(everything)} videos{why}")
    weights, origin = fingerprint.weights, f"fingerprint {fingerprint.digest}"
    if not fingerprint.known:
        origin = f"of unknown origin; {fingerprint.dim} wide, a row {spaced(fingerprint.stride)}"
        values = {v.name: looks[v.name].digest for v in origin_videos(videos) if v.name in looks}
        weights = f"{UNKNOWN}-{digest(values)}"
    if not fingerprint.known and asked.text:
        found = _preflight(source, looks, clip, dataset.classes, cache)
        require_encoder(source, found)
        origin += (
            f", mean cosine with the class names under CLIP {clip.name} {found.cosine:.2f} (judged for OpenAI's alone)"
        )
    kept, notes = require_present(dataset, videos, looks, f"features in {source.folder}", leave_out)
    names = [v.name for v in every_video(kept)]
    return FoundFeatures(
        kept,
        source,
        weights,
        {name: looks[name].digest for name in names},
        {name: count_rows(source.folder, name, looks[name].rows) for name in names},
        [f"features given: {source.folder.name}, {origin}", *damaged, *notes],
        foreign,
    )


def look_at(
    videos: Sequence[Video], look: Callable[[Video], VideoLook], leave_out: bool, progress: Progress
) -> tuple[dict[str, VideoLook], list[str]]:
    """Look at the features of videos.

    Args:
        videos: those that have some.
        look: at one of them.
        leave_out: go on without damaged videos.
        progress: told how far it is.

    Returns:
        what was seen of each video, and what is wrong with those left out.

    Raises:
        FeatureError: as ``look``, unless such videos are left out.
    """
    looks: dict[str, VideoLook] = {}
    damaged = []
    for done, video in enumerate(videos):
        progress("checking features", done, len(videos))
        try:
            looks[video.name] = look(video)
        except FeatureError as error:
            if not leave_out:
                raise
            damaged.append(str(error))
    progress("checking features", len(videos), len(videos))
    return looks, damaged


def open_of_videos(given: GivenFeatures, videos: Sequence[Video]) -> FeatureSource:
    """Open features of the videos of a data set.

    Raises:
        FeatureError: as :func:`vadbench.features.layouts.open_features`.
    """
    stated = {v.name: v.frames for v in videos if v.frames is not None}
    names = {v.name for v in videos}
    return open_features(given.folder, names, stated, given.layout, given.without, other_names(videos))


def _preflight(
    source: FeatureSource, looks: Mapping[str, VideoLook], clip: Clip, classes: ClassTable, cache: Path
) -> Preflight:
    """Return the preflight of features, without CLIP's texts where the same rows were compared with them before."""
    memory, key = Remembered(cache / COMPARED), (str(source.folder.resolve()),)
    compared = [looks[name].digest for name in sampled_videos(sorted(looks))]
    stamp = digest([compared, clip.weights_sha256, list(classes.words)])
    if (cosine := memory.find(key, stamp)) is not None:
        return judged(float(cosine), clip)
    found = preflight(source.folder, _samples(source, looks), clip, classes)
    memory.add(key, stamp, repr(found.cosine))
    return found


def _samples(source: FeatureSource, looks: Mapping[str, VideoLook]) -> list[SampledRows]:
    """Return the rows that are compared with a CLIP's texts; where a video was damaged, another one's."""
    return [
        source.sample(name) if (sample := looks[name].sample) is None else sample
        for name in sampled_videos(sorted(looks))
    ]


def require_clip(source: FeatureSource, clip: Clip) -> None:
    """Raise if features cannot be used with a CLIP, by their width and by what is on record of their making.

    Raises:
        FeatureError: they have another width, or are known to come from another CLIP.
    """
    have = source.fingerprint
    if have.dim != clip.dim:
        raise FeatureError(
            f"features in {source.folder} are {have.dim} wide, those of CLIP {clip.name} {clip.dim}; name the one they"
            " come from, such as --clip ViT-B-16-quickgelu --clip-weights openai, or take a method that reads no texts"
        )
    if not have.known:
        return
    made = clip_fingerprint(clip, stride=have.stride, pooling="mean", crops=have.crops, regions=have.regions)
    expected = replace(made, pooling=have.pooling, dtype=have.dtype, arithmetic=have.arithmetic)
    if have != expected:
        raise FeatureError(
            f"features in {source.folder} are not those of CLIP {clip.name} ({'; '.join(have.differences(expected))});"
            " name the right one with --clip and --clip-weights, or extract again"
        )


def require_file(source: FeatureSource, video: Video) -> None:
    """Raise if a store's features of a video are of another file than the one that is there.

    Raises:
        FeatureError: it is another file.
    """
    if not isinstance(source, FeatureStore) or video.path is None or not video.path.exists():
        return
    if not is_source(video.path, source.source(video.name)):
        raise FeatureError(
            f"features of {video.name} in {source.folder} were not made from {video.path}; extract them again"
        )


def require_encoder(source: FeatureSource, found: Preflight) -> None:
    """Raise if some rows of features of unknown origin show that another encoder made them.

    Raises:
        FeatureError: another encoder made them.
    """
    if found.verdict == "other encoder":
        raise FeatureError(
            f"features in {source.folder} are not those of CLIP {found.clip}: their mean cosine with its text features"
            f" is {found.cosine:.2f}, the right encoder gives 0.18 to 0.29; name theirs with --clip and --clip-weights"
        )
