"""Requests for features: the options of ``vadbench extract``, checked and opened before anything is decoded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from vadbench.base.device_failures import device_errors
from vadbench.base.errors import ConfigError, DataError
from vadbench.base.types import Arithmetic, Progress, silent
from vadbench.clip import CROPS, load_clip
from vadbench.data.image_folders import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from vadbench.dataset import Video
from vadbench.features.decoding import WORKERS
from vadbench.features.encoders import BATCH, Encoder, FrameEncoder
from vadbench.features.extraction import ExtractionReport, extract_features
from vadbench.features.fingerprint import Pooling, Precision, clip_fingerprint
from vadbench.features.region_encoder import RegionEncoder
from vadbench.features.regions import RegionSource
from vadbench.harness.clips import clip_notes, clip_source
from vadbench.harness.environment import choose_device
from vadbench.harness.rules import open_dataset
from vadbench.plugins.registry import Registry

_ARCHIVED_EXTRAS = "__MACOSX"
"""Folder that macOS adds to archives, with a companion of each file."""


@dataclass(frozen=True)
class ExtractionRequest:
    """Features that a user wants; the fields are the options of ``vadbench extract``.

    Either ``paths`` or ``dataset`` must be given, and not both ``regions`` and ``detector``. ``pooling`` and what is
    ``None`` of a detector have defaults that depend on the other fields.
    """

    store: Path
    paths: Sequence[Path] = ()
    dataset: str | None = None
    data_root: Path | None = None
    truth: str | None = None
    clip_model: str | None = None
    clip_weights: str | None = None
    stride: int = 16
    pooling: Pooling | None = None
    dtype: Precision = "float32"
    crops: Literal["1", "5", "10"] = "1"
    regions: Path | None = None
    detector: str | None = None
    detector_weights: str | None = None
    detector_threshold: float | None = None
    precision: Arithmetic = "fp32"
    batch_size: int | None = None
    workers: int | None = None
    jobs: int = 0
    skip: Literal["none", "nonref"] = "none"
    shard: tuple[int, int] = (0, 1)
    keep_going: bool = False
    device: str = "auto"


@dataclass(frozen=True)
class Extraction:
    """Videos and the encoder of their features; ``notes`` are for the users of these."""

    request: ExtractionRequest
    videos: Sequence[Video]
    encoder: Encoder
    notes: Sequence[str]

    def run(self, progress: Progress = silent) -> ExtractionReport:
        """Extract the features; errors as for :func:`vadbench.features.extraction.extract_features`.

        Raises:
            MemoryShortageError: the memory does not suffice for so many images at once.
            DeviceFailedError: the GPU failed; finished videos stay in the store.
        """
        asked, batch = self.request, self.encoder.batch_size
        with device_errors(f"encode fewer images at once: --batch-size {max(1, batch // 4)} ({batch} now)"):
            return extract_features(
                self.videos,
                self.encoder,
                asked.store,
                shard=asked.shard,
                keep_going=asked.keep_going,
                progress=progress,
            )


def open_extraction(request: ExtractionRequest, registry: Registry, progress: Progress = silent) -> Extraction:
    """Find the videos, the CLIP and the regions of a request.

    Raises:
        VadbenchError: an option contradicts another, or what it names is not there; cheapest checks first.
    """
    _require_agreement(request)
    source = clip_source(request.clip_model, request.clip_weights)
    if request.dataset is not None:
        videos = _dataset_videos(request.dataset, request, registry, progress)
    else:
        videos = find_videos(request.paths)
    clip = load_clip(source, choose_device(request.device))
    if clip.squashed and int(request.crops) > 1:
        raise ConfigError(
            f"CLIP '{clip.name}' takes whole frames squashed to a square, which have one crop; leave --crops out"
        )
    regions = _region_source(request, videos, clip.device)
    fingerprint = clip_fingerprint(
        clip,
        stride=request.stride,
        pooling=request.pooling or ("middle" if regions else "mean"),
        dtype=request.dtype,
        crops=CROPS[: int(request.crops)],
        arithmetic=request.precision,
        regions=regions.label if regions else None,
        reference_only=request.skip == "nonref",
    )
    # A user's own photos are seen as vadbench score shows them; data sets are read as others read them.
    batch, workers, upright = request.batch_size or BATCH, request.workers or WORKERS, request.dataset is None
    notes = clip_notes(clip.source)
    if request.precision == "tf32" and clip.device.type == "cpu":
        notes.append("a CPU has no tf32: these features are those of fp32, under a fingerprint that says tf32")
    if regions is None:
        frames = FrameEncoder(clip, fingerprint, batch, workers, upright, request.jobs)
        return Extraction(request, videos, frames, notes)
    encoder = RegionEncoder(regions, clip, fingerprint, batch, workers, upright)
    return Extraction(request, videos, encoder, [*notes, *regions.notes])


def find_videos(paths: Sequence[Path]) -> list[Video]:
    """Find the videos that paths name: files, folders of frames, and all of these under other folders.

    A video is named by its file name without suffix, or by its path under the given folder.

    Raises:
        DataError: a path is missing or holds no video, or two videos would share a name.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise DataError(f"no such file or folder: {path}")
        candidates = _below(path) if path.is_dir() else [path]
        if not candidates:
            raise DataError(f"no video under {path}: expected files ending in {', '.join(sorted(VIDEO_SUFFIXES))}")
        for candidate in candidates:
            relative = candidate.relative_to(path) if candidate != path else Path(candidate.name)
            name = (relative if candidate.is_dir() else relative.with_suffix("")).as_posix()
            if name in found:
                raise DataError(f"two videos would be called '{name}': {found[name]} and {candidate}; rename one")
            found[name] = candidate
    return [Video(name, (), path) for name, path in found.items()]


def _below(root: Path) -> list[Path]:
    """Return the folder itself if it has frames, else the video files and the folders of frames below it.

    Raises:
        DataError: a folder cannot be read, or pictures beside videos may be frames or none.
    """
    videos, pictures = list[Path](), dict[Path, list[Path]]()
    for name, below, files in os.walk(root, onerror=_unreadable):
        folder = Path(name)
        below[:] = [n for n in below if not n.startswith(".") and n != _ARCHIVED_EXTRAS]
        seen = [folder / n for n in sorted(files) if not n.startswith(".")]
        videos += (p for p in seen if p.suffix.lower() in VIDEO_SUFFIXES)
        if images := [p for p in seen if p.suffix.lower() in IMAGE_SUFFIXES]:
            pictures[folder] = images
    beside = {video.parent for video in videos}
    for folder, images in pictures.items():
        # A folder of one picture is hardly a video, and frames are in no folder of videos.
        if folder in beside or (videos and (folder == root or len(images) == 1)):
            raise DataError(
                f"{root}: expected videos or folders of frames, found {images[0]} beside videos such as {min(videos)};"
                " move the pictures away, or name the videos"
            )
    return [root] if root in pictures else sorted(videos) + sorted(pictures)


def _unreadable(error: OSError) -> None:
    raise DataError(f"cannot read {error.filename}: {error.strerror}; make it readable or move it away") from error


def _require_agreement(request: ExtractionRequest) -> None:
    """Raise if an option contradicts another.

    Raises:
        ConfigError: names both.
    """
    if bool(request.paths) == bool(request.dataset):
        raise ConfigError("extract needs either PATHS or --dataset NAME")
    if request.truth is not None and request.dataset is None:
        raise ConfigError("--truth is the ground truth of a data set; name it with --dataset, or leave --truth out")
    if request.regions and request.detector:
        raise ConfigError("--regions and --detector both say where the objects are; give one")
    if not request.detector and (request.detector_weights is not None or request.detector_threshold is not None):
        raise ConfigError("--detector-weights and --detector-threshold are a detector's; name it with --detector")
    if (request.regions or request.detector) and request.jobs:
        raise ConfigError(
            "--jobs are processes that decode whole frames, and regions are cut out in this one; leave --jobs out"
        )
    if (request.regions or request.detector) and request.skip != "none":
        raise ConfigError("--skip shows another frame than the one that regions were found on; leave --skip out")
    if request.workers is not None and request.jobs:
        raise ConfigError("--workers are threads of this process, which decode nothing with --jobs; give one of them")
    if (request.regions or request.detector) and request.crops != "1":
        raise ConfigError(
            f"regions take the place of crops: expected --crops 1, found {request.crops}; leave --crops out"
        )


def _dataset_videos(name: str, request: ExtractionRequest, registry: Registry, progress: Progress) -> list[Video]:
    dataset = open_dataset(registry.dataset(name), request.data_root, truth=request.truth or "")
    dataset.prepare(progress)
    return [v for split in dataset.splits for v in dataset.videos(split)]


def _region_source(request: ExtractionRequest, videos: Sequence[Video], device: torch.device) -> RegionSource | None:
    """Open the file of boxes or the detector of a request; imported here, as pandas and detectors are slow to load."""
    if request.regions:
        from vadbench.features.boxes import Boxes

        return Boxes(request.regions, [v.name for v in videos])
    if request.detector:
        from vadbench.features.detector import Detector

        threshold = 0.5 if request.detector_threshold is None else request.detector_threshold
        return Detector(request.detector, request.detector_weights or "DEFAULT", threshold, device)
    return None
