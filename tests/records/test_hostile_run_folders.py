"""Run folders of strangers: nothing in them hangs, costs memory or ends in a traceback when it is read."""

import json
import os
import tracemalloc
import zipfile
from functools import partial

import numpy as np
import pytest
from numpy.lib import format as npy_format

from splits import keep, split
from vadbench.base.errors import RunError
from vadbench.records import scores
from vadbench.records.folders import read_record, read_records
from vadbench.records.scores import load_split

MB = 2**20


@pytest.fixture
def folder(tmp_path):
    return keep(split(0), tmp_path / "runs" / "d" / "m" / "key")


def told(read, *arguments):
    """The one line that is said of a folder that cannot be read."""
    with pytest.raises(RunError) as error:
        read(*arguments)
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 1000
    return str(error.value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["result.json", "scores.npz", "remarks.jsonl"])
def test_a_pipe_is_not_waited_for(folder, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    said = told(partial(load_split, folder, remarks=True))
    assert f"{folder / name}" in said and "expected a regular file, found a pipe" in said
    if name == "result.json":
        assert "expected a regular file, found a pipe" in told(read_record, folder)
        runs, problems = read_records(folder.parents[2])
        assert not runs and "expected a regular file, found a pipe" in problems[0]


@pytest.mark.parametrize("depth", [100, 500, *range(800, 1000, 20), 5_000_000])
def test_nested_json_is_said_in_a_line(folder, depth):
    record = json.loads((folder / "result.json").read_text())
    for text in (
        "[" * depth,
        "[" * depth + "]" * depth,
        json.dumps(record | {"metrics": "@"}).replace('"@"', "[" * depth + "]" * depth),
        json.dumps(record | {"schema_version": "@"}).replace('"@"', '{"a":' * depth + "1" + "}" * depth),
    ):
        (folder / "result.json").write_text(text)
        assert str(folder / "result.json") in told(read_record, folder)


def write_array(archive, name, dtype, shape, stated=None):
    """Write zeros piece by piece, under a header that states another shape where one is given."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": stated or shape}
        npy_format.write_array_header_1_0(file, header)
        for _ in range(int(np.prod(shape)) * np.dtype(dtype).itemsize // MB):
            file.write(bytes(MB))


def with_zeros(folder, name, dtype, shape, stated=None):
    """Replace an array of a scores file, or add one."""
    with np.load(folder / "scores.npz") as file:
        arrays = {k: file[k] for k in file.files if k != name}
    np.savez(folder / "scores.npz", **arrays)
    with zipfile.ZipFile(folder / "scores.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        write_array(archive, name, dtype, shape, stated)


def peak_of(read):
    tracemalloc.start()
    try:
        return read(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["anomaly", "rows", "frames", "classes", "branch align", "names", "stride"])
def test_an_array_that_fits_no_other_is_refused_by_its_header(folder, name):
    dtype = "<f4" if name in ("anomaly", "classes", "branch align") else "<U4" if name == "names" else "<i8"
    with_zeros(folder, name, dtype, (200 * MB // np.dtype(dtype).itemsize,))
    assert (folder / "scores.npz").stat().st_size < MB
    said, peak = peak_of(lambda: told(load_split, folder))
    assert "must have shape" in said
    # The only values that are needed to know the shapes are the lengths.
    assert peak < (250 if name == "rows" else 20) * MB


def test_arrays_that_no_scores_file_has_are_not_read(folder):
    before = load_split(folder)
    with_zeros(folder, "junk", "<f8", (25 * MB,))
    after, peak = peak_of(lambda: load_split(folder))
    assert peak < 20 * MB
    np.testing.assert_array_equal(after.scores[0].anomaly, before.scores[0].anomaly)


def test_arrays_that_are_too_large_together_are_refused(folder, monkeypatch):
    load_split(folder)
    with np.load(folder / "scores.npz") as file:
        total = sum(file[name].nbytes for name in file.files)
    monkeypatch.setattr(scores, "MOST_BYTES", total)
    load_split(folder)
    monkeypatch.setattr(scores, "MOST_BYTES", total - 1)
    assert "bytes together, found more" in told(load_split, folder)


@pytest.mark.parametrize("stated", [(2**40,), (-1,), (2**31, 2**31), (MB + 1,)])
def test_a_header_that_states_more_than_there_is_is_refused(folder, stated):
    with_zeros(folder, "anomaly", "<f4", (MB,), stated)
    assert "that the file can hold" in told(load_split, folder)


def test_labels_that_are_nested_without_end_are_refused(folder):
    with np.load(folder / "scores.npz") as file:
        arrays = {k: file[k] for k in file.files}
    arrays["labels"] = np.array(["[" * 100_000] * len(arrays["labels"]))
    np.savez(folder / "scores.npz", **arrays)
    told(load_split, folder)
