"""Arrays with one 0 or 1 for each frame.

A .npy file may hold a pickle, which runs code when it is read; such a file is refused by its header.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vadbench.base.errors import DataError, cut, first_line
from vadbench.base.files import regular
from vadbench.data.annotations.lists import MOST_FRAMES

Runs = tuple[tuple[int, int], ...]
"""Abnormal frames as half-open, 0-based runs in ascending order that do not touch."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_frame_array(path: Path) -> NDArray[Any]:
    """Read a .npy array with one 0 or 1 a frame, of any type of numbers; it may be the only row of a table.

    Raises:
        DataError: it is no such array, or has more than ``MOST_FRAMES`` values; nothing pickled is ever read.
    """
    try:
        with regular(path).open("rb") as file:
            shape, _, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
            row = shape[1:] if len(shape) == 2 and shape[0] == 1 else shape
            fits = dtype.kind in "biuf" and len(row) == 1 and 1 <= row[0] <= MOST_FRAMES
            file.seek(0)
            array = np.lib.format.read_array(file, allow_pickle=False).reshape(row) if fits else None
    # On a damaged header NumPy raises what its tokenizer, its literal parser and Python's parser raise.
    except Exception as error:
        raise DataError(f"{path}: expected an array of 0 and 1, found {first_line(error)}; fetch it again") from error
    if array is None or not np.isin(array, (0, 1)).all():
        raise DataError(
            f"{path}: expected one 0 or 1 a frame, at most {MOST_FRAMES} frames, found {cut(str(dtype), 100)} of shape"
            f" {cut(str(shape), 100)} with other values or axes; fetch it again"
        )
    return array


def array_runs(array: NDArray[Any]) -> Runs:
    """Return where an array of 0 and 1 is 1.

    >>> array_runs(np.array([1, 0, 1, 1]))
    ((0, 1), (2, 4))
    """
    edges = np.flatnonzero(np.diff(array.astype(np.int8), prepend=0, append=0)).tolist()
    return tuple(zip(edges[::2], edges[1::2], strict=True))
