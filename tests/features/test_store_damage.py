"""Feature stores on a full disk, in a folder that is closed, and damaged: what is wrong is said."""

import dataclasses
import errno
import json
import os

import pytest

from stores import DIM, PRINT, append, content, fill, some_rows
from vadbench.base.errors import FeatureError, StorageError
from vadbench.features import store as store_module
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.store import FeatureStore, StoreWriter


@pytest.mark.parametrize("failing", ["rows", "index"])
def test_a_full_disk_keeps_what_is_done_and_the_next_call_goes_on(tmp_path, monkeypatch, failing):
    whole = tmp_path / "whole"
    fill(whole)
    folder = tmp_path / "full"
    fill(folder, names="ab")
    real = store_module.write_all

    def full(descriptor, data):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if f"/{failing}-" in name:
            real(descriptor, data[:7])
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor, data)

    with monkeypatch.context() as patch, pytest.raises(StorageError, match=r"disk is full.*finished work is not lost"):
        patch.setattr(store_module, "write_all", full)
        with StoreWriter(folder, PRINT) as writer:
            append(writer, "c", [some_rows(b"c"[0], 17)], 17, "id-c")
    assert FeatureStore(folder).names == ("a", "b")
    with StoreWriter(folder, PRINT) as writer:
        append(writer, "c", [some_rows(b"c"[0], 17)], 17, "id-c")
    assert content(folder) == content(whole)


def test_a_folder_that_may_not_be_written_is_a_storage_error(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(store_module.os, "open", refuse)
    with pytest.raises(StorageError, match="no permission"), StoreWriter(tmp_path, PRINT):
        pass


def test_a_truncated_store_says_so(tmp_path):
    fill(tmp_path)
    rows = tmp_path / "rows-0-of-1.bin"
    os.truncate(rows, rows.stat().st_size - 1)
    with pytest.raises(FeatureError, match="truncated"):
        FeatureStore(tmp_path)
    with pytest.raises(FeatureError, match="truncated"), StoreWriter(tmp_path, PRINT):
        pass


@pytest.mark.timeout(60)
def test_an_index_that_is_a_pipe_is_not_waited_for(tmp_path):
    fill(tmp_path)
    index = tmp_path / "index-0-of-1.jsonl"
    index.unlink()
    os.mkfifo(index)
    with pytest.raises(FeatureError, match=r"index-0-of-1\.jsonl: expected a regular file, found a pipe"):
        FeatureStore(tmp_path)


def test_a_damaged_line_says_which(tmp_path):
    fill(tmp_path)
    index = tmp_path / "index-0-of-1.jsonl"
    index.write_bytes(index.read_bytes().replace(b'"name": "b"', b'"name": "b'))
    with pytest.raises(FeatureError, match="line 2 is damaged"):
        FeatureStore(tmp_path)


def change_line(folder, number, change):
    """Change a line of the index as somebody with an editor would."""
    index = folder / "index-0-of-1.jsonl"
    lines = [json.loads(line) for line in index.read_text().splitlines()]
    lines[number - 1] |= change
    index.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("line", [1, 2, 3])
@pytest.mark.parametrize(
    "change",
    [
        {"rows": 1},
        {"rows": 7},
        {"rows": 3.0},
        {"rows": True},
        {"frames": 1},
        {"frames": 0, "rows": 0},
        {"frames": -9, "rows": -2},
        {"frames": "9"},
        {"frames": 10**400},
        {"offset": 1},
        {"offset": -1},
        {"offset": "0"},
        {"offset": False},
        {"offset": None},
        {"revision": -1},
        {"revision": 0.0},
        {"name": ""},
        {"name": 5},
        {"name": ["a"]},
        {"source": None},
        {"declared": "9"},
        {"extra": 1},
    ],
    ids=str,
)
def test_a_line_that_the_writer_cannot_have_written_says_which(tmp_path, line, change):
    fill(tmp_path)
    change_line(tmp_path, line, change)
    before = content(tmp_path)
    for refuses in (lambda: FeatureStore(tmp_path), StoreWriter(tmp_path, PRINT).__enter__):
        with pytest.raises(FeatureError, match=rf"index-0-of-1\.jsonl: line {line} is damaged") as caught:
            refuses()
        assert "\n" not in str(caught.value)
    assert content(tmp_path) == before, "what cannot be read is not cut off"


@pytest.mark.parametrize("offset", [0, 1, 4, -3])
def test_a_video_begins_where_the_one_before_ends(tmp_path, offset):
    fill(tmp_path)
    change_line(tmp_path, 2, {"offset": offset})
    with pytest.raises(FeatureError, match=f"line 2 is damaged: expected .*offset 3, found .*offset={offset},"):
        FeatureStore(tmp_path)


@pytest.mark.parametrize("text", ["5", "[1]", "null", "{}", '"a"'])
def test_a_line_of_something_else_says_which(tmp_path, text):
    fill(tmp_path)
    with (tmp_path / "index-0-of-1.jsonl").open("a") as file:
        file.write(text + "\n")
    with pytest.raises(FeatureError, match="line 4 is damaged: its fields"):
        FeatureStore(tmp_path)


def test_crops_count_in_the_offset(tmp_path):
    two = dataclasses.replace(PRINT, crops=("left", "right"))
    fill(tmp_path, fingerprint=two)
    assert FeatureStore(tmp_path).rows("c").shape == (2, 5, DIM)
    change_line(tmp_path, 2, {"offset": 3})
    with pytest.raises(FeatureError, match="offset 6"):
        FeatureStore(tmp_path)


@pytest.mark.parametrize(
    ("field", "written", "changed", "reason"),
    [
        ("dim", DIM, DIM + 1, "truncated"),
        ("dtype", "float16", "float32", "truncated"),
        ("crops", ["center"], ["left", "right"], "line 2 is damaged: expected .*offset 6"),
        ("stride", 4, 5, "line 1 is damaged: 9 frames at stride 5 must make 2 rows"),
    ],
)
def test_files_that_do_not_fit_the_fingerprint_are_refused(tmp_path, field, written, changed, reason):
    fill(tmp_path, fingerprint=dataclasses.replace(PRINT, **{field: written}))
    path = tmp_path / "fingerprint.json"
    record = json.loads(path.read_text())
    record["fingerprint"][field] = changed
    path.write_text(json.dumps(record))
    with pytest.raises(FeatureError, match="was edited"):
        FeatureStore(tmp_path)
    record["digest"] = Fingerprint.from_dict(record["fingerprint"]).digest
    path.write_text(json.dumps(record))
    with pytest.raises(FeatureError, match=reason):
        FeatureStore(tmp_path)
