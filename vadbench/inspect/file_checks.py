"""Check every file of a data set; a damaged file is reported and the check continues."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vadbench.base.errors import DataError, one_line
from vadbench.base.types import Progress
from vadbench.clip import Clip
from vadbench.data.annotations.video_files import VideoFiles
from vadbench.data.image_folders import list_images
from vadbench.data.lengths import require_frames, require_rows
from vadbench.data.media import declared_frames
from vadbench.data.soundness import length_note, require_sound
from vadbench.dataset import ClassTable, Video
from vadbench.features.fingerprint import UNKNOWN
from vadbench.features.layouts import NpyFeatures, WidthError
from vadbench.features.npy import EmptyFileError
from vadbench.features.preflight import preflight, sampled_videos
from vadbench.features.shard import FeatureRows
from vadbench.features.source import FeatureSource, SampledRows
from vadbench.harness.given_features import GivenFeatures, open_of_videos, require_clip, require_encoder, require_file
from vadbench.inspect.findings import FeaturesReport, Problem, ProblemKind, Report
from vadbench.scoring.protocol import NATIVE

_TOLERANCE = NATIVE.rules.tolerance
_WITHOUT = "vadbench run continues without it with --allow-incomplete"
_FETCH = f"fetch it, or {_WITHOUT}"
_INSTEAD = f"or remove it and {_WITHOUT}"
_REFETCH = f"fetch it again, {_INSTEAD}"


@dataclass(frozen=True)
class Length:
    """Number of frames of a video according to its files, and its upper bound; ``None`` if they do not say."""

    frames: int | None
    most: int | None


class _DefectError(DataError):
    """Raised for a video that cannot be used, with the kind of the problem."""

    def __init__(self, kind: ProblemKind, text: str) -> None:
        super().__init__(text)
        self.kind: ProblemKind = kind


def look_at_videos(root: Path, videos: Sequence[Video], report: Report, progress: Progress) -> dict[str, Length]:
    """Open the container of each video file, look whether its parts join, and list each folder of frames.

    Returns:
        The length of each usable video; the others are in the report.
    """

    def length(video: Video) -> Length:
        if video.path is None or not video.path.exists():
            raise _DefectError("missing", f"{video.name!r} has no file under {root}; {_FETCH}")
        if empty := _empty_file(video.path):
            raise _DefectError("zero-length", f"{empty} is empty; {_REFETCH}")
        frames = declared_frames(video.path)
        if frames is not None:
            with _defect("frames", _REFETCH):
                require_frames(video.name, video.frames, frames, _TOLERANCE)
        require_sound(video.path)
        if (note := length_note(video.path)) is not None:
            report.problems.append(Problem("length", video.name, f"{video.path} is {note}"))
        return Length(frames, frames)

    lengths = _look(videos, length, "checking videos", report, progress)
    try:
        names = {name for v in videos for name in (v.name, *v.aliases)}
        report.problems += _extras([str(p) for p in VideoFiles(root, names).unlisted()])
    except DataError as error:
        report.problems.append(Problem("unreadable", "", one_line(error)))
    report.problems += _links(root, {str(v.path) for v in videos})
    return lengths


def look_at_features(
    given: GivenFeatures,
    videos: Sequence[Video],
    classes: ClassTable,
    clip: Clip | None,
    report: Report,
    progress: Progress,
) -> dict[str, Length]:
    """Read every value of the features of each video, and compare some with the class names under a CLIP.

    Returns:
        The length of each video whose features can be used; the others are in the report.
    """
    try:
        source = open_of_videos(given, videos)
    except DataError as error:
        report.problems.append(Problem("features", "", one_line(error)))
        return {}
    present, made_by = set(source.names), source.fingerprint
    folder = f"the features in {source.folder}"
    sampled, samples = set(sampled_videos(sorted(present))), dict[str, SampledRows]()

    def length(video: Video) -> Length:
        if video.name not in present:
            raise _DefectError("missing", f"{video.name!r} has no features in {source.folder}; {_FETCH}")
        with _defect("source", _WITHOUT):
            require_file(source, video)
        mapped = _mapped(source, video.name)
        rows = _count_rows(source, video.name, mapped)
        with _defect("not-finite", _INSTEAD):
            source.check(video.name, mapped)
        if video.name in sampled:
            samples[video.name] = source.sample(video.name, mapped)
        frames = rows if made_by.stride == 1 else source.frames(video.name)
        with _defect("frames", f"found in {folder}; {_REFETCH}"):
            if frames is not None:
                require_frames(video.name, video.frames, frames, _TOLERANCE)
            elif video.frames is not None:
                require_rows(video.name, rows, made_by.stride, video.frames, _TOLERANCE)
        if frames is not None:
            return Length(frames, frames)
        return Length(rows * made_by.stride, (rows + 1) * made_by.stride - 1)

    lengths = _look(videos, length, "checking features", report, progress)
    report.features = FeaturesReport(
        folder=str(source.folder),
        layout=source.layout if isinstance(source, NpyFeatures) else "store",
        fingerprint=made_by.digest if made_by.known else UNKNOWN,
        made_by=made_by.to_dict(),
    )
    listed = {v.name for v in videos}
    extra = [str(p) for p in source.extra] if isinstance(source, NpyFeatures) else sorted(present - listed)
    report.problems += _extras(extra)
    report.problems += _links(source.folder, ())
    usable = [samples[name] for name in sorted(samples) if name in lengths]
    report.problems += _encoder_problems(source, usable, classes, clip, report)
    return lengths


def _look(
    videos: Sequence[Video], length: Callable[[Video], Length], stage: str, report: Report, progress: Progress
) -> dict[str, Length]:
    lengths = {}
    for done, video in enumerate(videos):
        progress(stage, done, len(videos))
        try:
            lengths[video.name] = length(video)
        except (DataError, OSError) as error:
            kind = error.kind if isinstance(error, _DefectError) else "unreadable"
            report.problems.append(Problem(kind, video.name, one_line(error)))
    progress(stage, len(videos), len(videos))
    return lengths


@contextmanager
def _defect(kind: ProblemKind, advice: str) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise _DefectError(kind, f"{error}; {advice}") from error


def _empty_file(path: Path) -> Path | None:
    """Return the first empty file of a video."""
    return next((p for p in (list_images(path) if path.is_dir() else [path]) if not p.stat().st_size), None)


def _mapped(source: FeatureSource, name: str) -> Mapping[str, FeatureRows]:
    """Return the rows of each crop of a video."""
    try:
        return source.video_rows(name)
    except (EmptyFileError, WidthError) as error:
        kind: ProblemKind = "width" if isinstance(error, WidthError) else "zero-length"
        raise _DefectError(kind, f"{error}, {_INSTEAD}") from error


def _count_rows(source: FeatureSource, name: str, rows: Mapping[str, FeatureRows]) -> int:
    """Return the number of rows of a video, which must be the same in each crop."""
    counts = {crop: len(own) for crop, own in rows.items()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count} in crop {crop}" for crop, count in counts.items())
        raise _DefectError(
            "frames", f"{source.folder}: {name!r} must have as many rows in each crop, found {found}; {_REFETCH}"
        )
    return next(iter(counts.values()))


def _extras(found: Sequence[str]) -> list[Problem]:
    return [Problem("extra", name, f"{name} belongs to no video in the lists and is ignored") for name in found]


def _links(folder: Path, left_out: Collection[str]) -> list[Problem]:
    """Return symbolic links below a folder that lead out of it or nowhere; folders of frames are not listed."""
    root, problems, folders = os.path.realpath(folder), [], [str(folder)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if not os.path.exists(target):
                        text = f"{entry.path} is a link to {target}, which does not exist; fix or remove it"
                        problems.append(Problem("link", entry.path, text))
                    elif not Path(target).is_relative_to(root):
                        text = f"{entry.path} is a link to {target}, outside {folder}; a copy of the folder lacks it"
                        problems.append(Problem("link", entry.path, text))
                elif entry.is_dir() and entry.path not in left_out:
                    folders.append(entry.path)
    return problems


def _encoder_problems(
    source: FeatureSource, samples: Sequence[SampledRows], classes: ClassTable, clip: Clip | None, report: Report
) -> Iterator[Problem]:
    """Return the problems that a run would report about the features' encoder."""
    known = source.fingerprint.known
    try:
        if clip is not None:
            require_clip(source, clip)
        if clip is not None and samples:
            report.preflight = preflight(source.folder, samples, clip, classes)
            if not known:
                require_encoder(source, report.preflight)
    except DataError as error:
        yield Problem("encoder", "", one_line(error))
        return
    if not known and (report.preflight is None or report.preflight.verdict == "untold"):
        yield Problem(
            "origin",
            "",
            f"the origin of the features in {source.folder} is unknown; compare them with a CLIP: --clip"
            " ViT-B-16-quickgelu --clip-weights openai",
        )
