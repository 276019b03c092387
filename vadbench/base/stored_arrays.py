"""Arrays of NumPy in files from anywhere: their headers are read and checked before a value is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from vadbench.base.errors import DataError, cut, first_line

_HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
_PIECE = 2**20


@dataclass(frozen=True)
class StoredArray:
    """What the header of an array in a file says of it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{cut(str(self.dtype), 100)} of shape {cut(str(self.shape), 100)}"


def stored_array(file: IO[bytes], where: str, size: int) -> StoredArray:
    """Read the header of an array, and leave the file where its values begin.

    Args:
        file: opened at the beginning of the array.
        where: names it in errors.
        size: bytes that the file has, or states that it has.

    Raises:
        DataError: it is no array, holds pickled objects, or has more values than the file.
    """
    try:
        shape, fortran, dtype = _HEADERS[npy_format.read_magic(file)](file)
    except Exception as error:  # a damaged header makes numpy's parsers raise nearly anything
        raise DataError(f"{where}: expected an array, found {first_line(error)}") from error
    if dtype.hasobject:
        raise DataError(f"{where} holds pickled Python objects, which can run code and are never opened")
    stored = StoredArray(shape, dtype, fortran)
    if min(shape, default=0) < 0 or stored.nbytes > size - file.tell():
        raise DataError(f"{where}: expected an array that the file can hold, found {stored}")
    return stored


def read_values(file: IO[bytes], where: str, stored: StoredArray) -> NDArray[Any]:
    """Return the values behind a header that was found good.

    Raises:
        DataError: the file is damaged or ends before they do.
    """
    read = 0
    try:
        values = np.empty(stored.size, stored.dtype)
        shaped = values.reshape(stored.shape, order="F" if stored.fortran else "C")
        content = values.view(np.uint8) if stored.nbytes else values
        while piece := file.read(min(_PIECE, max(1, stored.nbytes - read))):
            content[read : read + len(piece)] = np.frombuffer(piece, np.uint8)
            read += len(piece)
    except Exception as error:  # a damaged archive makes zlib and zipfile raise nearly anything
        raise DataError(f"{where}: expected an array, found {first_line(error)}") from error
    if read != stored.nbytes:
        raise DataError(f"{where}: expected {stored.nbytes} bytes of values, found {read}")
    return shaped
