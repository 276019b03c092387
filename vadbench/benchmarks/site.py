"""The machine and the folders on which the cells of a benchmark run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vadbench.features.layouts import LayoutName


@dataclass(frozen=True)
class Site:
    """Machine and folders of a benchmark, the same for all of its cells and for every process that runs them.

    Args:
        out: folder for the run folders.
        device: ``auto``, ``cpu`` or ``cuda``.
        data_roots: folder of a data set, by its name.
        features: folder of features to use instead of extracting them, by the data set's name.
        streams: folder of the features of a stream, by the data set's name and its own.
        layouts: layout of the files there, by the data set's name; detected for the others.
        allow_incomplete: continue without videos that are missing or damaged.
        plugins: files of plugins that are not installed.
    """

    out: Path
    device: str = "auto"
    data_roots: tuple[tuple[str, Path], ...] = ()
    features: tuple[tuple[str, Path], ...] = ()
    layouts: tuple[tuple[str, LayoutName], ...] = ()
    allow_incomplete: bool = False
    plugins: tuple[Path, ...] = ()
    streams: tuple[tuple[str, str, Path], ...] = ()

    def streams_of(self, dataset: str, wanted: Collection[str]) -> dict[str, Path]:
        """Return the folders of those streams of a data set that a method wants."""
        return {name: folder for place, name, folder in self.streams if place == dataset and name in wanted}
