"""The data set as the harness sees it: two splits of videos, rendered when they are first needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import ClassVar

from filelock import FileLock

from vadbench.base.errors import ConfigError, DataError
from vadbench.base.files import make_folder, write_json
from vadbench.base.types import Progress, silent
from vadbench.dataset import ClassTable, Dataset, Segment, Split, Video, VideoClass
from vadbench_synthetic.events import EVENTS
from vadbench_synthetic.script import NORMAL, Script, cameras, write

VERSION = 1
"""Raise it when any pixel changes: it is part of the folder's name."""
SEEDS = 1_000_000
"""Seeds of data sets are below this; the small CLIP was trained on scripts with seeds from here on."""
ABNORMAL_SHARE: dict[Split, float] = {"train": 0.5, "test": 0.6}
SPLIT_SEED: dict[Split, int] = {"train": 1, "test": 2}
"""Part of the seed of each script; another number gives other videos."""
WORKERS = 2
_RENDERED = re.compile(r"v\d+-seed\d+-.*")
"""Names of the folders that are rendered."""

_WORDS = {NORMAL: "normal street", "Vehicle on walkway": "vehicle on the walkway", "Cyclist": "cyclist on the walkway"}


class Synthetic(Dataset):
    """Procedural street videos of 64 x 64 pixels at 10 frames a second.

    Args:
        root: folder that the videos are rendered into.
        train: number of weakly labelled training videos, half of them abnormal.
        test: number of test videos with annotated segments, six in ten of them abnormal.
        seed: another seed gives other places and other videos; below :data:`SEEDS`.
        frames: least and greatest length of a video, at least 100.

    Raises:
        ConfigError: the seed or the lengths are out of range.
    """

    name = "synthetic"
    classes = ClassTable(
        tuple(VideoClass(name, _WORDS.get(name, name.lower())) for name in sorted([*EVENTS, NORMAL])),
        sorted([*EVENTS, NORMAL]).index(NORMAL),
    )
    expected: ClassVar[dict[Split, int]] = {"train": 120, "test": 40}
    files = "nothing: the videos are rendered there on first use (some 10 MB), into an empty folder or one of its own"
    licence = "Apache-2.0"
    makes_itself = True
    extraction_stride = 1

    def __init__(
        self,
        root: Path,
        *,
        train: int = 120,
        test: int = 40,
        seed: int = 0,
        frames: tuple[int, int] = (200, 400),
    ) -> None:
        super().__init__(root)
        if not 0 <= seed < SEEDS:
            raise ConfigError(f"seed of the synthetic data set must be 0 to {SEEDS - 1}, found {seed}")
        if not 100 <= frames[0] <= frames[1]:
            raise ConfigError(f"frames of the synthetic data set must be (low, high) with 100 <= low, found {frames}")
        self.counts: dict[Split, int] = {"train": train, "test": test}
        self.seed, self.frames = seed, frames
        self.folder = root / f"v{VERSION}-seed{seed}-{train}+{test}x{frames[0]}-{frames[1]}"

    def scripts(self, split: Split) -> dict[str, Script]:
        """Return the script of each video of a split by the video's name; a pure function of the seed."""
        count = self.counts[split]
        abnormal, kinds, places = round(count * ABNORMAL_SHARE[split]), sorted(EVENTS), cameras(self.seed)
        scripts = {}
        for i in range(count):
            kind = kinds[i % len(kinds)] if i < abnormal else NORMAL
            scripts[f"{split}_{i:03d}"] = write(kind, (self.seed, SPLIT_SEED[split], i), places, self.frames)
        return scripts

    def videos(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        """Return the videos of one split, abnormal ones first; segments are given for the test split only."""
        return [self._video(split, name, script) for name, script in self.scripts(split).items()]

    def prepare(self, progress: Progress = silent) -> None:
        """Render the videos that are missing; the next call continues one that was killed.

        Two processes that call it at once take turns.

        Raises:
            DataError: the root holds something else, and nothing that was rendered before.
        """
        self._require_own()
        manifest = self.folder / "manifest.json"
        with FileLock(make_folder(self.folder) / ".lock"):
            scripts = {self._path(split, name): s for split in self.splits for name, s in self.scripts(split).items()}
            missing = {path: script for path, script in scripts.items() if not path.exists()}
            if not missing and manifest.exists():
                return
            for split in self.splits:
                for leftover in make_folder(self.folder / split).glob(".*.mp4"):
                    leftover.unlink()
            from vadbench_synthetic.render import film  # needs PyAV, which listing data sets should not load

            # Painting and encoding leave the interpreter's lock most of the time, so threads are enough.
            with ThreadPoolExecutor(WORKERS) as pool:
                jobs = [pool.submit(film, script, path) for path, script in missing.items()]
                try:
                    for done, job in enumerate(as_completed(jobs), len(scripts) - len(missing) + 1):
                        job.result()
                        progress("rendering videos", done, len(scripts))
                finally:
                    pool.shutdown(cancel_futures=True)
            write_json(manifest, {"version": VERSION, "seed": self.seed, "videos": self._records()})

    def _require_own(self) -> None:
        """Refuse a folder of other files, which a mistaken name would fill with videos."""
        found = sorted(p.name for p in self.root.iterdir() if not p.name.startswith(".")) if self.root.is_dir() else []
        if found and not any(_RENDERED.fullmatch(name) for name in found):
            raise DataError(
                f"the data set {self.name} would render {sum(self.counts.values())} videos into {self.root}, which"
                f" holds other files, such as {found[0]}; name an empty folder or one of its own, or none"
            )

    def _records(self) -> list[dict[str, object]]:
        """Return the entries of the manifest, which describes the videos to readers without this package."""
        return [
            {
                "name": video.name,
                "file": str(video.path.relative_to(self.folder).as_posix()) if video.path else None,
                "labels": list(video.labels),
                "frames": video.frames,
                "segments": [[s.label, s.start, s.end] for s in video.segments],
            }
            for split in self.splits
            for video in self.videos(split)
        ]

    def _path(self, split: Split, name: str) -> Path:
        return self.folder / split / f"{name}.mp4"

    def _video(self, split: Split, name: str, script: Script) -> Video:
        labels = tuple(dict.fromkeys(event.kind for event in script.events)) or (NORMAL,)
        segments = tuple(Segment(event.kind, event.start, event.end) for event in script.events)
        return Video(name, labels, self._path(split, name), script.frames, segments if split == "test" else ())
