"""Mapping .npy files from anywhere: every kind of bad file is one line, and nothing in a file ever runs."""

import gc
import os
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vadbench.base.errors import FeatureError
from vadbench.features.npy import EmptyFileError, map_npy

ROWS = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "Abuse #1 = é.npy"


def header(text, version=b"\x01\x00"):
    """The start of a .npy file with this header, as the format's documentation lays it out."""
    size = len(text) + 1
    return b"\x93NUMPY" + version + size.to_bytes(2 if version[0] == 1 else 4, "little") + text.encode() + b"\n"


@pytest.mark.parametrize("dtype", ["<f2", "<f4"])
@pytest.mark.parametrize("shape", [(5, 3), (5, 2, 3), (15,), (1, 1)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_numpy_saved_comes_out(path, dtype, shape, order):
    values = np.asarray(np.arange(np.prod(shape)).reshape(shape), dtype, order=order)
    np.save(path, values)
    assert map_npy(path).shape == shape
    np.testing.assert_array_equal(map_npy(path), values)
    assert map_npy(path).dtype == values.dtype


def test_values_are_mapped_and_cannot_be_written(path):
    np.save(path, ROWS)
    mapped = map_npy(path)
    with path.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(np.float32(42).tobytes())
    assert mapped[-1, -1] == 42
    with pytest.raises(ValueError, match="read-only"):
        mapped[0, 0] = 1


def test_a_header_of_the_second_version_and_one_of_python_2_are_read(path):
    values = ROWS.tobytes()
    for version, shape in ((b"\x02\x00", "(5, 3)"), (b"\x01\x00", "(5L, 3L)")):
        path.write_bytes(header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}", version) + values)
        np.testing.assert_array_equal(map_npy(path), ROWS)


def test_no_file_stays_open(path):
    np.save(path, ROWS)
    gc.collect()  # what earlier tests left could be closed meanwhile
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        map_npy(path)
    assert len(os.listdir("/proc/self/fd")) == before


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (os.mkdir, (str(self.target),))


def test_a_pickle_is_refused_and_never_opened(path, tmp_path):
    target = tmp_path / "it ran"
    np.save(path, np.array([Bomb(target)], dtype=object), allow_pickle=True)
    with pytest.raises(FeatureError, match=r"Abuse #1 = é\.npy holds pickled Python objects.*can run code"):
        map_npy(path)
    path.write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(FeatureError, match=r"is no \.npy file"):
        map_npy(path)
    assert not target.exists()
    np.load(tmp_path / path.name, allow_pickle=True)  # the bomb is a real one
    assert target.exists()


def text(content):
    return lambda path: path.write_bytes(content)


def saved(array):
    return lambda path: np.save(path, array)


def cut(path):
    np.save(path, ROWS)
    os.truncate(path, path.stat().st_size - 1)


def cut_in_the_header(path):
    np.save(path, ROWS)
    os.truncate(path, 40)


def twice(path):
    with path.open("wb") as file:
        np.save(file, ROWS)
        np.save(file, ROWS)


def archive(path):
    with path.open("wb") as file:
        np.savez(file, a=ROWS)


BAD = {
    "text": (text(b"Abuse001_x264 1 2729 0\n"), r"no \.npy file of one array.*b'Abuse001_x26'.*fetch it again"),
    "html": (text(b"<!DOCTYPE html><html>quota exceeded"), r"b'<!DOCTYPE ht'"),
    "lfs pointer": (text(b"version https://git-lfs.github.com/spec/v1\n"), r"b'version http'"),
    "cut": (cut, r"truncated: shape \(5, 3\) of float32 needs 188 bytes, found 187; fetch"),
    "header cut": (cut_in_the_header, r"no \.npy file of one array"),
    "two arrays": (twice, r"longer than its array: shape \(5, 3\) of float32 needs 188 bytes, found 376"),
    "double": (saved(ROWS.astype(np.float64)), r"expected little-endian float16 or float32, found <f8; save it again"),
    "whole numbers": (saved(np.arange(4)), r"found <i8"),
    "big-endian": (saved(ROWS.astype(">f4")), r"found >f4"),
    "strings": (saved(np.array(["a"])), r"found <U1"),
    "fields": (saved(np.zeros(3, [("a", "<f4")])), r"expected little-endian float16 or float32"),
    "archive": (archive, r"b'PK\\x03\\x04"),
    "future": (text(header("{}", b"\x09\x00")), r"no \.npy file of one array"),
    "code": (
        text(header("{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os').getpid(),), }")),
        r"no \.npy file of one array",
    ),
    "negative": (text(header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3), }")), r"found \(-1, 3\)"),
    "nested": (text(header("(" * 5000)), r"no \.npy file of one array"),
    "huge": (
        text(header("{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000, 512), }")),
        r"truncated: .* needs 20480000000000[0-9]+ bytes, found",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_one_line_that_names_it(path, kind):
    write, words = BAD[kind]
    write(path)
    with pytest.raises(FeatureError, match=words) as refused:
        map_npy(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)
    assert not isinstance(refused.value, EmptyFileError)


@pytest.mark.parametrize("write", [text(b""), saved(np.zeros((0, 512), "f4")), saved(np.zeros((3, 0), "f4"))])
def test_a_file_without_values_has_an_error_of_its_own(path, write):
    write(path)
    with pytest.raises(EmptyFileError, match=r"0 bytes|holds no rows"):
        map_npy(path)


def test_a_file_that_is_gone_or_a_folder_is_refused(path):
    with pytest.raises(FeatureError, match="No such file"):
        map_npy(path)
    path.mkdir()
    with pytest.raises(FeatureError, match="Is a directory"):
        map_npy(path)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.integers(0, 188), st.integers(0, 255))
def test_no_bytes_raise_anything_else(tmp_path, junk, at, value):
    path = tmp_path / "a.npy"
    np.save(path, ROWS)
    changed = bytearray(path.read_bytes())
    changed[at : at + 1] = bytes([value])
    for content in (junk, b"\x93NUMPY\x01\x00" + junk, bytes(changed)):
        path.write_bytes(content)
        try:
            assert map_npy(path).nbytes <= len(content)
        except FeatureError as error:
            assert str(path) in str(error)
