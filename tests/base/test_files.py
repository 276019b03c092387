import errno
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vadbench.base import files
from vadbench.base.errors import RunError, StorageError
from vadbench.base.files import locked, make_folder, read_json, regular, remove_unfinished, replacing, write_json


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(tmp_path / "a.json") == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "no permission"), (errno.EROFS, "read-only")]
)
def test_refusals_of_the_system_say_what_to_do(tmp_path, monkeypatch, number, words):
    write_json(tmp_path / "a.json", {"x": 1})

    def refuse(self, *args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(StorageError, match=words) as error:
        write_json(tmp_path / "a.json", {"x": 2})
    assert str(tmp_path / "a.json") in str(error.value)
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"x": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_where_a_file_stands_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="a file stands"):
        make_folder(tmp_path / "file" / "folder")


def test_nan_never_reaches_a_file(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_folder_is_held_by_one_process_and_freed_when_it_dies(tmp_path, held_by_another_process):
    with (
        held_by_another_process(tmp_path),
        pytest.raises(RunError, match="in use by another process"),
        locked(tmp_path, "run abc"),
    ):
        pass
    with locked(tmp_path, "run abc"):
        pass


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    def refuses(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuses)
    with pytest.raises(StorageError, match="No locks available; choose another folder"), locked(tmp_path, "run abc"):
        pass


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_regular_file_is_named(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)  # the address of a socket must be short
    place = Path("/dev/null") if kind == "device" else Path("a")
    if kind == "pipe":
        os.mkfifo(place)
    with socket.socket(socket.AF_UNIX) as end:
        if kind == "socket":
            end.bind("a")
        with pytest.raises(OSError, match=f"expected a regular file, found a {kind}"):
            regular(place)


def test_files_and_folders_and_links_to_them_are_regular(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    for place in (tmp_path, tmp_path / "file", tmp_path / "link"):
        assert regular(place) == place
    with pytest.raises(FileNotFoundError):
        regular(tmp_path / "none")


def test_waiting_for_another_process_is_told_once(tmp_path, monkeypatch, held_by_another_process):
    monkeypatch.setattr(files, "_UNTOLD_SECONDS", 0.05)
    told = []
    held = held_by_another_process(tmp_path)
    held.__enter__()

    def progress(stage, done, total, detail=""):
        told.append((stage, done, total))
        if not done:
            threading.Timer(0.2, held.__exit__, (None, None, None)).start()

    with locked(tmp_path, "cache of abc", wait=True, progress=progress):
        assert len(told) == 2
    with locked(tmp_path, "cache of abc", wait=True, progress=progress):
        pass
    stage = f"waiting for another process to end with the cache of abc ({tmp_path})"
    assert told == [(stage, 0, 1), (stage, 1, 1)]


@pytest.mark.parametrize("name", ["reliability.png", "result.json", "plain", "a.b.jsonl"])
def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path, name):
    kept = [".lock", "roc.png", ".hidden", ".training.safetensors", ".reliability.png.orig.png", "a.abcdefgh.png"]
    for file in kept:
        (tmp_path / file).touch()
    (tmp_path / "evaluations" / "x").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "evaluations" / "x"):
        code = (
            "import os, sys; from pathlib import Path; from vadbench.base.files import replacing\n"
            "with replacing(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", code, folder / name])
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == len(kept) + 2
    remove_unfinished(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)
