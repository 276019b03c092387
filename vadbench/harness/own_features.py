"""Features that vadbench makes itself: extracted from the videos, or found in the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vadbench.base.device_failures import device_errors
from vadbench.base.errors import NotExtractedError
from vadbench.base.method_config import Rows
from vadbench.base.types import Progress
from vadbench.clip import Clip
from vadbench.data.media import source_id
from vadbench.data.soundness import length_notes
from vadbench.dataset import Dataset, Split, Video
from vadbench.features.extracted import not_extracted
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.features.pooling import can_serve
from vadbench.features.store import FeatureStore
from vadbench.harness.participants import FoundFeatures, every_video, require_present


def extracted_features(
    dataset: Dataset,
    videos: Mapping[Split, Sequence[Video]],
    rows: Rows,
    clip: Clip,
    folder: Path,
    leave_out: bool,
    progress: Progress,
    only_there: bool = False,
) -> FoundFeatures:
    """Return features extracted from the data set's videos, or found in the cache; damaged videos may be left out.

    Raises:
        NotExtractedError: some are not in the cache, and only what is there was asked for.
        DataError: files are missing, or damaged.
    """
    here = {v.name for v in every_video(videos) if v.path is not None and v.path.exists()}
    kept, absent = require_present(dataset, videos, here, f"a file under {dataset.root}", leave_out)
    wanted = clip_fingerprint(clip, stride=dataset.extraction_stride, pooling=rows.pooling)
    if not can_serve(wanted, rows.stride, rows.pooling):
        wanted = clip_fingerprint(clip, stride=rows.stride, pooling=rows.pooling)
    place, damaged = folder / wanted.digest, dict[str, str]()
    if missing := not_extracted(place, wanted, every_video(kept)):
        if only_there:
            raise NotExtractedError(
                f"features of {len(missing)} of {len(every_video(kept))} videos of {dataset.name} are still to be"
                " extracted, by the run or by vadbench extract; the keys of its runs are known then"
            )
        from vadbench.features.encoders import FrameEncoder
        from vadbench.features.extraction import extract_features

        encoder = FrameEncoder(clip, wanted)
        with device_errors("extract the features beforehand with vadbench extract, whose batch size can be set"):
            report = extract_features(every_video(kept), encoder, place, keep_going=leave_out, progress=progress)
        damaged = dict(report.failed)
    store = FeatureStore(place)
    # The store may still hold rows of an earlier, undamaged file.
    there = set(store.names) - damaged.keys()
    sound, unsound = require_present(dataset, kept, there, "a file without damage", bool(damaged))
    return FoundFeatures(
        sound,
        store,
        store.fingerprint.weights,
        {v.name: source_id(v.path) for v in every_video(sound) if v.path is not None},
        {v.name: store.rows(v.name).shape[1] for v in every_video(sound)},
        [*absent, *damaged.values(), *unsound, *length_notes(every_video(sound))],
    )
