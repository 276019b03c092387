"""Files in NumPy's .npy format from anywhere, mapped without trusting them.

A .npy file may hold a pickle, which runs code when it is read; such a file is refused by its header alone.
"""

from __future__ import annotations

import math
import os
import tokenize
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from vadbench.base.errors import FeatureError
from vadbench.base.files import regular
from vadbench.features.shard import FeatureRows

_READERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
_TYPES = (np.dtype("<f2"), np.dtype("<f4"))
_SHOWN_BYTES = 12


class EmptyFileError(FeatureError):
    """A file without a byte, or an array without a value."""


@dataclass(frozen=True)
class _Header:
    """The header of a .npy file.

    Args:
        shape: of the array.
        dtype: little-endian float16 or float32.
        order: ``"C"``, or ``"F"`` where the first axis changes fastest.
        offset: where in the file the values begin.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: str
    offset: int

    @property
    def end(self) -> int:
        """Length that the file must have."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def map_npy(path: str | Path) -> FeatureRows:
    """Map the array of a .npy file into memory, read-only; only its header is read.

    The mapping, with one file descriptor, lives as long as the array and its views.

    Raises:
        EmptyFileError: it has no content.
        FeatureError: it cannot be opened, is no .npy file, contains anything but float16 or float32, or is cut short.
    """
    with _opened(path) as file:
        header = _header(file)
        try:
            # The stubs know file names only; a file that is open cannot be another one by now.
            return np.memmap(file, header.dtype, "r", header.offset, header.shape, header.order)  # type: ignore[call-overload,no-any-return]
        except OSError as error:
            raise FeatureError(
                f"cannot map {path}: {error.strerror}; expected a file on a disk that allows it, copy it to another one"
            ) from error


def _opened(path: str | Path) -> BinaryIO:
    try:
        return regular(Path(path)).open("rb")
    except OSError as error:
        raise FeatureError(
            f"cannot read {path}: {error.strerror}; expected a .npy file, make it readable or fetch it again"
        ) from error


def _header(file: BinaryIO) -> _Header:
    path, size = file.name, os.fstat(file.fileno()).st_size
    if not size:
        raise EmptyFileError(f"{path} is empty: expected a .npy array, found 0 bytes; fetch it again")
    try:
        # numpy parses literals only, up to 10,000 characters; arrays saved by Python 2 draw a warning.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, fortran, dtype = _READERS[npy_format.read_magic(file)](file)
    except (ValueError, KeyError, TypeError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError) as error:
        file.seek(0)
        raise FeatureError(
            f"{path} is no .npy file of one array: expected numpy's header, found {file.read(_SHOWN_BYTES)!r}...;"
            " fetch it again"
        ) from error
    if dtype.hasobject:
        raise FeatureError(
            f"{path} holds pickled Python objects, which can run code and are never opened: expected an array of"
            " float16 or float32, found dtype object; get it from its authors as plain numbers"
        )
    if dtype not in _TYPES:
        raise FeatureError(
            f"{path}: expected little-endian float16 or float32, found {dtype.str}; save it again as float32"
        )
    header = _Header(shape, dtype, "F" if fortran else "C", file.tell())
    if any(n < 0 for n in shape):
        raise FeatureError(f"{path} is damaged: expected a shape of positive numbers, found {shape}; fetch it again")
    if 0 in shape:
        raise EmptyFileError(f"{path} holds no rows: expected at least one, found shape {shape}; make it again")
    if size != header.end:
        state = "truncated" if size < header.end else "longer than its array"
        raise FeatureError(
            f"{path} is {state}: shape {shape} of {dtype} needs {header.end} bytes, found {size}; fetch it again"
        )
    return header
