"""Divisions of a data set that take a part of each split, as lists beside the official ones name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vadbench.base.errors import DataError
from vadbench.data.annotations.lists import ListEntry
from vadbench.dataset import Partition, Split


@dataclass(frozen=True)
class ListedPartition(Partition):
    """A division of which each split is a part of the data set's own.

    Args:
        lists: file name of the list of a split, one path a line; a split without one is taken whole.
        class_mark: what stands in the lists between the name of a video and its class; empty where no class does.
    """

    lists: Mapping[Split, str] = field(default_factory=dict)
    class_mark: str = ""

    def part(self, entries: Sequence[ListEntry], named: Sequence[ListEntry], of: str) -> list[ListEntry]:
        """Return the videos of a split that a list names, in the order of the split.

        Args:
            entries: of the split.
            named: of the list.
            of: the split in words, for messages.

        Raises:
            DataError: the list names a video that the split has not, or one twice; names file and line.
        """
        own = {e.name for e in entries}
        wanted: dict[str, str] = {}
        for e in named:
            name, mark, _ = e.name.rpartition(self.class_mark) if self.class_mark else (e.name, "", "")
            if self.class_mark and not (name and mark):
                raise DataError(f"{e.where}: expected a name, '{self.class_mark}' and a class, found {e.name!r}")
            if name not in own:
                raise DataError(
                    f"{e.where}: {name!r} is none of the {len(own)} {of}; fetch this list and the data set's own again"
                )
            if name in wanted:
                raise DataError(f"{e.where}: {name!r} is listed already in {wanted[name]}; keep one of them")
            wanted[name] = e.where
        return [e for e in entries if e.name in wanted]
