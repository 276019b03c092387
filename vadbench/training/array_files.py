"""Arrays by name in a file, one after the other: written one at a time, read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import CheckpointError, PluginError
from vadbench.base.files import read_json, replacing, write_json
from vadbench.inputs import ArraysByKey

VALUES, INDEX = ".bin", ".json"
"""Suffixes of the values, and of the names and lengths, which are written when all values are there."""


class LazyArrays(Mapping[str, NDArray[Any]]):
    """Arrays by name, each made or read whenever it is asked for.

    Args:
        names: of the arrays, in order.
        read: returns one of them.
    """

    def __init__(self, names: Sequence[str], read: Callable[[str], NDArray[Any]]) -> None:
        self._names, self._read = dict.fromkeys(names), read

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def write_arrays(path: Path, what: str, arrays: ArraysByKey) -> None:
    """Write arrays that differ in the length of their first axis alone, one at a time.

    Args:
        path: without a suffix.
        what: the arrays are, for :func:`read_arrays`.
        arrays: asked for one after the other.

    Raises:
        PluginError: an array is a single number, holds objects, or differs from the first in dtype or its other axes.
        StorageError: the disk is full or may not be written.
    """
    form: tuple[str, tuple[int, ...]] | None = None
    lengths = []
    with replacing(path.with_suffix(VALUES)) as temporary, temporary.open("wb") as file:
        for name, given in arrays.items():
            array = np.ascontiguousarray(given)
            own = (array.dtype.str, array.shape[1:])
            form = form or own
            if not np.ndim(given) or array.dtype.hasobject or own != form:
                raise PluginError(
                    f"what is kept of stage '{what}' must be arrays of one dtype and, but for the first axis, of one"
                    f" shape; found {array.dtype} {np.shape(given)} for {name!r}, {form[0]} (n, *{form[1]}) before it"
                )
            array.tofile(file)
            lengths.append(len(array))
    dtype, shape = form or ("<f4", ())
    index = {"what": what, "dtype": dtype, "shape": list(shape), "names": list(arrays), "lengths": lengths}
    write_json(path.with_suffix(INDEX), index)


def read_arrays(path: Path, what: str) -> LazyArrays | None:
    """Return arrays that were written, each a read-only part of the mapped file; ``None`` where there are none.

    Raises:
        CheckpointError: the files are damaged, or of something else.
    """
    if not path.with_suffix(INDEX).is_file():
        return None
    index = read_json(path.with_suffix(INDEX))
    try:
        found, names, lengths = index["what"], list(index["names"]), np.array(index["lengths"], np.int64)
        shape, dtype = tuple(index["shape"]), np.dtype(index["dtype"])
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if names else 0
        values: NDArray[Any] = np.empty((0, *shape), dtype)
        if total and values.itemsize:
            values = np.asarray(np.memmap(path.with_suffix(VALUES), dtype, "r", shape=(total, *shape)))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"cannot read {path.with_suffix(VALUES)}: {error}; delete {path.parent} and run again"
        ) from error
    if found != what:
        raise CheckpointError(
            f"{path.with_suffix(INDEX)} is of '{found}', now the method's fit() keeps '{what}' in its place;"
            f" delete {path.parent} and run again"
        )
    parts = {name: slice(int(end - n), int(end)) for name, n, end in zip(names, lengths, ends, strict=True)}
    return LazyArrays(names, lambda name: values[parts[name]])
