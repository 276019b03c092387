"""Open the features of a data set and search them for near-duplicates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vadbench.base.errors import DataError
from vadbench.base.files import locked
from vadbench.base.method_config import Rows
from vadbench.base.types import Progress, silent
from vadbench.clip import Clip
from vadbench.dataset import Dataset, Split, Video
from vadbench.features.source import FeatureSource
from vadbench.harness.given_features import GivenFeatures, choose_features, open_of_videos
from vadbench.harness.own_features import extracted_features
from vadbench.harness.participants import every_video
from vadbench.inspect.duplicate_report import THRESHOLD, DuplicateReport
from vadbench.inspect.near_duplicates import find_duplicates

_ROWS = Rows(stride=16, pooling="mean")


def search(
    dataset: Dataset,
    clip: Callable[[], Clip],
    cache: Path,
    given: GivenFeatures | None = None,
    threshold: float = THRESHOLD,
    progress: Progress = silent,
) -> tuple[DuplicateReport, Mapping[str, Path]]:
    """Search a data set for near-duplicates.

    Args:
        dataset: the data set at its root on disk.
        clip: loads the CLIP that extracts features where there are none; called only then.
        cache: folder of the features that vadbench extracts.
        given: features to use. Without, those in the root if it has no video, else those that a run extracts.
        threshold: as for :func:`find_duplicates`.
        progress: called with the progress of every step.

    Returns:
        The report, and the files of the videos that have one.

    Raises:
        DataError: lists are missing, or there is neither a video nor a feature.
    """
    folder = cache / "features" / dataset.name
    with locked(folder, f"cache of {dataset.name}", wait=True, progress=progress):
        dataset.prepare(progress)
        videos = {split: dataset.read_split(split) for split in dataset.splits}
        source = _open(dataset, videos, clip, folder, given, progress)
    report = find_duplicates(source, videos, threshold, progress)
    if not report.videos and not report.short:
        raise DataError(f"{source.folder} has features of none of the videos of {dataset.name}; check the folder")
    paths = {v.name: v.path for v in every_video(videos) if v.path is not None and v.path.exists()}
    return report, paths


def _open(
    dataset: Dataset,
    videos: Mapping[Split, Sequence[Video]],
    clip: Callable[[], Clip],
    folder: Path,
    given: GivenFeatures | None,
    progress: Progress,
) -> FeatureSource:
    everything = every_video(videos)
    chosen = choose_features(dataset, everything, given)
    if chosen is not None:
        return open_of_videos(chosen, everything)
    return extracted_features(dataset, videos, _ROWS, clip(), folder, True, progress).source
