"""Streams of features beside the time line of a method: opened, laid over the videos in time, and recorded.

They may be of any width, any encoder and any spacing of rows. What is not stated, by a feature store, by a file
``stream.toml`` in the folder or by the user, is inferred from the lengths of the videos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from vadbench.base.config import read_toml
from vadbench.base.errors import ConfigError, DataError, FeatureError, first_complaint
from vadbench.base.hashing import digest
from vadbench.base.spacing import RowSpacing, inferred_spacing, rows_of, spacing_fits
from vadbench.base.types import Progress
from vadbench.data.timed_frames import stated_rates
from vadbench.dataset import Dataset, Split, Video
from vadbench.features.fingerprint import UNKNOWN
from vadbench.features.layouts import open_stream
from vadbench.features.source import FeatureSource, VerifiedFeatures, VideoLook
from vadbench.features.store import FeatureStore
from vadbench.harness.frame_counts import count_rows
from vadbench.harness.given_features import CHECKED, GivenStream, look_at
from vadbench.harness.participants import every_video, origin_videos, other_names, require_present
from vadbench.harness.side_streams import SideStream
from vadbench.records.record import StreamRecord

STREAM_FILE = "stream.toml"
"""File in a folder of .npy files that states what they are."""


@dataclass(frozen=True)
class OpenedStream:
    """The features of a stream, every value of which was looked at.

    Args:
        given: where they are.
        source: the features.
        looks: what was seen, by video.
        stated: the spacing that the folder states.
        encoder: the encoder that the folder names.
        weights: hash of its weights; where they are unknown, a digest of the values of the training videos.
    """

    given: GivenStream
    source: FeatureSource
    looks: Mapping[str, VideoLook]
    stated: RowSpacing | None
    encoder: str
    weights: str


class _StreamFile(BaseModel):
    """The content of ``stream.toml``."""

    model_config = ConfigDict(extra="forbid")
    spacing: str = ""
    encoder: str = UNKNOWN


def open_streams(
    given: Mapping[str, GivenStream],
    dataset: Dataset,
    videos: Mapping[Split, Sequence[Video]],
    cache: Path,
    leave_out: bool,
    progress: Progress,
) -> tuple[Mapping[Split, Sequence[Video]], dict[str, OpenedStream], list[str]]:
    """Open streams and look at every value of those of the videos, once.

    Args:
        given: their folders, by name.
        dataset: the data set of the videos.
        videos: of each split.
        cache: folder for what was looked at before.
        leave_out: go on without videos whose features are damaged or missing.
        progress: told how far the looking is.

    Returns:
        the videos that have every stream, the streams, and notes.

    Raises:
        FeatureError: a folder holds no features of these videos, contradicts the user, or a value is damaged.
        DataError: a video lacks a stream, and may not.
    """
    streams, notes = {}, []
    for name, place in given.items():
        wanted = every_video(videos)
        source = open_stream(place.folder, name, {v.name for v in wanted}, other_names(wanted))
        if source.fingerprint.regions:
            raise FeatureError(
                f"features in {place.folder} are of regions, which only the first stream can have; expected for stream"
                f" '{name}' features of whole frames or of sound"
            )
        stated, encoder = _statement(name, place, source)
        there = set(source.names)
        here = [v for v in wanted if v.name in there]
        look = partial(_look, VerifiedFeatures(cache / CHECKED), source)
        looks, damaged = look_at(here, look, leave_out, partial(_as_stream, name, progress))
        what = f"features of stream '{name}' in {place.folder}"
        videos, missing = require_present(dataset, videos, looks, what, leave_out)
        weights = source.fingerprint.weights
        if not source.fingerprint.known:
            weights = f"{UNKNOWN}-{digest({v.name: looks[v.name].digest for v in origin_videos(videos)})}"
        streams[name] = OpenedStream(place, source, looks, stated, encoder, weights)
        notes += [*damaged, *missing]
    return videos, streams, notes


def lay_out(
    streams: Mapping[str, OpenedStream], videos: Sequence[Video], frames: Mapping[str, int]
) -> tuple[dict[str, SideStream], list[str]]:
    """Return streams with the spacing of their rows, and notes on it.

    Args:
        streams: from :func:`open_streams`.
        videos: those that have all of them.
        frames: how long each is.

    Raises:
        DataError: a video has more than one row more or less than its length makes.
        FeatureError: the rows of two crops of a video differ in number.
    """
    laid, notes = {}, []
    for name, opened in streams.items():
        counts = {v.name: count_rows(opened.source.folder, v.name, opened.looks[v.name].rows) for v in videos}
        spacing = opened.stated or opened.given.spacing
        rates = {} if spacing is not None and spacing.unit == "frames" else stated_rates(videos)
        inferred = spacing is None
        if spacing is None:
            spacing = _inferred(counts, frames, rates)
        spacings = {v: spacing.frames(rates.get(v)) for v in counts}
        for video, count in counts.items():
            apart, length = spacings[video], frames[video]
            if apart is not None and not spacing_fits(count, length, apart):
                raise DataError(
                    f"{video}: expected {rows_of(length, apart)} rows of stream '{name}', one every {spacing.in_words}"
                    f"{' (inferred)' if inferred else ''} of its {length} frames, found {count}; fetch the files of"
                    f" these videos, or state another spacing, such as in {STREAM_FILE}"
                )
        known = [apart for apart in spacings.values() if apart is not None]
        even = {v: frames[v] / counts[v] for v in counts}
        laid[name] = SideStream(
            source=opened.source,
            record=_record(opened, spacing, inferred),
            digests={v: opened.looks[v].digest for v in counts},
            counts=counts,
            spacings={v: even[v] if apart is None else apart for v, apart in spacings.items()},
            spacing=median(known or even.values()),
            stated=str(opened.stated or ""),
        )
        notes.append(_note(name, opened, spacing, inferred))
        if spread := [v for v, apart in spacings.items() if apart is None]:
            notes.append(
                f"stream '{name}': frame rate of {len(spread)} videos unknown, the first is {spread[0]!r}: its rows are"
                " spread evenly over their length"
            )
    return laid, notes


def current_streams(given: Mapping[str, GivenStream], videos: Sequence[Video], cache: Path) -> dict[str, list[Any]]:
    """Return the present :func:`stream_facts` of the videos that have every stream, without spacings."""
    facts: dict[str, dict[str, Any]] = {v.name: {} for v in videos}
    for name, place in given.items():
        source = open_stream(place.folder, name, facts, other_names(videos))
        stated, _ = _statement(name, place, source)
        verified = VerifiedFeatures(cache / CHECKED)
        for video in source.names:
            facts[video][name] = [verified.look(source, video).digest, str(stated or "")]
    return {video: [["streams", own]] if own else [] for video, own in facts.items() if len(own) == len(given)}


def _statement(name: str, given: GivenStream, source: FeatureSource) -> tuple[RowSpacing | None, str]:
    """Return the spacing of rows and the encoder that a folder states.

    Raises:
        FeatureError: the file that states them cannot be read.
        ConfigError: the user states another spacing.
    """
    stated: RowSpacing | None
    if isinstance(source, FeatureStore):
        stated, encoder = RowSpacing(source.fingerprint.stride, "frames"), source.fingerprint.encoder
    elif (path := given.folder / STREAM_FILE).is_file():
        try:
            content = _StreamFile.model_validate(read_toml(path))
            stated = RowSpacing.parse(content.spacing) if content.spacing else None
        except (ConfigError, ValidationError) as error:
            reason = first_complaint(error) if isinstance(error, ValidationError) else error
            raise FeatureError(f"{path}: {reason}; expected spacing = '0.96s' and encoder = '...' or less") from error
        encoder = content.encoder
    else:
        return None, source.fingerprint.encoder
    if stated is not None and given.spacing not in (None, stated):
        raise ConfigError(
            f"--spacing {name}={given.spacing} contradicts {given.folder}, whose rows are {stated.in_words} apart;"
            " leave it out"
        )
    return stated, encoder


def _inferred(counts: Mapping[str, int], frames: Mapping[str, int], rates: Mapping[str, float]) -> RowSpacing:
    """Return the spacing that explains the most row counts: in seconds only where that explains more than in frames."""
    rows = list(counts.values())
    value, explained = inferred_spacing(rows, [frames[v] for v in counts])
    if all(v in rates for v in counts):
        seconds, more = inferred_spacing(rows, [frames[v] / rates[v] for v in counts])
        if more > explained:
            return RowSpacing(seconds, "seconds")
    return RowSpacing(value, "frames")


def _record(opened: OpenedStream, spacing: RowSpacing, inferred: bool) -> StreamRecord:
    made_by = replace(opened.source.fingerprint, weights=opened.weights, encoder=opened.encoder)
    fingerprint = made_by.to_dict()
    if not isinstance(opened.source, FeatureStore):
        # Files of others tell neither.
        del fingerprint["stride"], fingerprint["pooling"]
    return StreamRecord(fingerprint=fingerprint, dim=made_by.dim, spacing=str(spacing), inferred=inferred)


def _note(name: str, opened: OpenedStream, spacing: RowSpacing, inferred: bool) -> str:
    made_by = opened.source.fingerprint
    origin = f"fingerprint {made_by.digest}" if made_by.known else "of unknown origin"
    how = " (inferred from the lengths of the videos)" if inferred else ""
    return (
        f"stream '{name}': {opened.given.folder.name}, {origin}, {made_by.dim} wide, a row every"
        f" {spacing.in_words}{how}"
    )


def _look(verified: VerifiedFeatures, source: FeatureSource, video: Video) -> VideoLook:
    return verified.look(source, video.name)


def _as_stream(name: str, progress: Progress, stage: str, done: int, total: int, detail: str = "") -> None:
    progress(f"{stage} of stream {name}", done, total, detail)
