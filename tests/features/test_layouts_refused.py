"""Folders of .npy files that cannot be used, or must not be followed, and what opening one costs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from npy_files import DIM, save, some_rows
from vadbench.base.errors import FeatureError
from vadbench.features.layouts import WidthError, open_features
from vadbench.features.npy import EmptyFileError


@pytest.mark.parametrize(
    ("write", "error", "words"),
    [
        (lambda p: p.write_bytes(b"<html>"), FeatureError, r"bad\.npy is no \.npy file"),
        (lambda p: p.write_bytes(b""), EmptyFileError, r"bad\.npy is empty"),
        (lambda p: save(p, np.zeros((0, DIM), "f4")), EmptyFileError, r"bad\.npy holds no rows"),
        (lambda p: save(p, some_rows(32, 5)), WidthError, rf"bad\.npy: .* {DIM} wide, found shape \(32, 5\)"),
        (lambda p: save(p, some_rows(32, dtype="f2")), FeatureError, r"bad\.npy: expected float32 .*found float16"),
        (lambda p: save(p, some_rows(32)[:, 0]), FeatureError, r"bad\.npy: layout anomalyclip .*found shape \(32,\)"),
        (lambda p: save(p, some_rows(32, 2, 2, DIM)), FeatureError, r"bad\.npy: .*found shape \(32, 2, 2, 6\)"),
    ],
)
def test_one_bad_file_is_refused_when_it_is_read_and_the_others_are_fine(tmp_path, write, error, words):
    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.npy", some_rows(32))
    write(tmp_path / "bad.npy")
    names = {"a", "b", "c", "bad"}
    source = open_features(tmp_path, names, dict.fromkeys(names, 32))
    assert source.names == ("a", "b", "bad", "c")
    for name in "abc":
        source.check(name)
    for read in (source.check, source.frames, lambda n: source.crop_rows(n, "center")):
        with pytest.raises(error, match=words) as refused:
            read("bad")
        assert "\n" not in str(refused.value)


def test_another_number_of_crops_is_refused_when_read(tmp_path):
    for name, rows, crops in (("a", 10, 5), ("b", 20, 5), ("c", 30, 5), ("d", 30, 10)):
        save(tmp_path / f"{name}.npy", some_rows(rows, crops, DIM))
    source = open_features(tmp_path, None, {}, "rows-crops")
    source.check("a")
    with pytest.raises(FeatureError, match=r"d\.npy: .*the others have 5 crops, found shape \(30, 10, 6\)"):
        source.check("d")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"x/a.npy": 2, "y/a.npy": 2}, [r"x/a\.npy", r"y/a\.npy", "one file of crop 0 of 'a'", "remove one"]),
        ({"a__1.npy": 2, "a__01.npy": 2}, [r"a__1\.npy", r"a__01\.npy", "one file of crop 1 of 'a'"]),
        ({"a__0.npy": 2, "b.npy": 2}, [r"a__0\.npy", r"b\.npy", "named in one way"]),
        ({"a.npy": 2, "b.npy": 3}, [r"a\.npy of shape \(32, 6\)", r"b\.npy of shape \(32, 6, 6\)", "one kind"]),
        ({"a.npy": 1, "b.npy": 1}, [r"a\.npy: expected an array of 2 dimensions", r"found shape \(32,\)"]),
        ({"c.npy": 2, "d.npy": 2}, ["no features of any of the 2 videos", r"such as a\.npy", r"2 others, .*c\.npy"]),
        ({}, ["no features of any of the 2 videos", r"a__0\.npy, found no \.npy file; check the folder"]),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(tmp_path, files, words):
    for name, dimensions in files.items():
        save(tmp_path / name, some_rows(32, *(DIM,) * (dimensions - 1)) if dimensions > 1 else some_rows(32)[:, 0])
    with pytest.raises(FeatureError) as refused:
        open_features(tmp_path, {"a", "b"}, {"a": 32, "b": 32})
    assert "\n" not in str(refused.value)
    for word in words:
        assert refused.match(word)


def test_a_layout_that_contradicts_the_files_is_refused(tmp_path):
    save(tmp_path / "crops" / "a__0.npy", some_rows(2))
    save(tmp_path / "whole" / "a.npy", some_rows(2))
    with pytest.raises(FeatureError, match=r"layout anomalyclip has one file for each video, found .*a__0\.npy"):
        open_features(tmp_path / "crops", {"a"}, {}, "anomalyclip")
    with pytest.raises(
        FeatureError, match=r"a\.npy: layout rows-crops has axes rows, crops, dim, found shape \(2, 6\)"
    ):
        open_features(tmp_path / "whole", {"a"}, {}, "rows-crops")


def test_only_damaged_files_are_refused_by_the_first(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.npy").write_text("no array")
    with pytest.raises(FeatureError, match=r"a\.npy is no \.npy file"):
        open_features(tmp_path, {"a", "b"}, {})


@pytest.mark.parametrize("missing", ["absent", "file"])
def test_what_is_no_folder_is_refused(tmp_path, missing):
    (tmp_path / "file").write_text("")
    with pytest.raises(FeatureError, match=rf"cannot list .*{missing}: .*expected a folder of features"):
        open_features(tmp_path / missing, {"a"}, {})


def test_links_within_the_folder_are_followed_once_and_loops_end(tmp_path):
    rows = save(tmp_path / "all" / "a.npy", some_rows(32))
    (tmp_path / "all" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "all")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.npy").symlink_to("../all/a.npy")
    source = open_features(tmp_path, {"a"}, {"a": 32})
    np.testing.assert_array_equal(source.crop_rows("a", "center"), rows)


def test_links_out_of_the_folder_are_not_followed(tmp_path, monkeypatch):
    save(tmp_path / "outside" / "a.npy", some_rows(32))
    save(tmp_path / "outside" / "b.npy", some_rows(32))
    inside = tmp_path / "inside"
    save(inside / "c.npy", some_rows(32))
    (inside / "a.npy").symlink_to(tmp_path / "outside" / "a.npy")
    (inside / "gone.npy").symlink_to(inside / "nowhere.npy")
    (inside / "folder").symlink_to(tmp_path / "outside")
    names = {"a", "b", "c", "gone"}
    monkeypatch.chdir(inside)
    for folder in (inside, Path(), Path("../inside")):
        source = open_features(folder, names, dict.fromkeys(names, 32))
        assert source.names == ("a", "c", "gone")
        source.check("c")
        with pytest.raises(
            FeatureError, match=r"a\.npy is a link to .*outside/a\.npy: .*are not followed; put the file"
        ):
            source.crop_rows("a", "center")
        with pytest.raises(FeatureError, match=r"gone\.npy: No such file"):
            source.crop_rows("gone", "center")
    # The folder itself may be a link.
    (tmp_path / "alias").symlink_to(inside)
    open_features(tmp_path / "alias", {"c"}, {"c": 32}).check("c")
    with pytest.raises(FeatureError, match=r"no features .*leads out of it and is not followed"):
        open_features(inside, {"b"}, {})


def test_a_pipe_called_like_a_file_does_not_hang(tmp_path):
    save(tmp_path / "a.npy", some_rows(32))
    os.mkfifo(tmp_path / "b.npy")
    assert open_features(tmp_path, {"a", "b"}, {"a": 32, "b": 32}).names == ("a",)


def test_ten_thousand_files_need_no_more_descriptors_than_one(tmp_path):
    """Opened and read under a limit of 64; what is kept grows by names only."""
    values = some_rows(2)
    for i in range(1000):
        for crop in range(10):
            save(tmp_path / f"v{i:04d}__{crop}.npy", values)
    code = """
import resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from vadbench.features.layouts import open_features
start = time.perf_counter()
source = open_features(Path(sys.argv[1]), None, {})
print("opened in", time.perf_counter() - start)
start = time.perf_counter()
assert sum(len(source.crop_rows(n, c)) for n in source.names for c in source.crops(n)) == 20000
print("headers in", time.perf_counter() - start)
"""
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=600)


def test_opening_reads_no_array(tmp_path):
    """Values lie in holes of files of 4 GB each: reading them would take seconds and gigabytes."""
    for name in "ab":
        save(tmp_path / f"{name}.npy", some_rows(1))
        with (tmp_path / f"{name}.npy").open("r+b") as file:
            content = file.read(128).replace(b"(1, 6), }  ", b"(2000000, 512), }")[:127]
            file.seek(0)
            file.write(content.ljust(127) + b"\n")
            file.truncate(128 + 2_000_000 * 512 * 4)
    code = r"""
import re, sys
from pathlib import Path
from vadbench.features.layouts import open_features
def peak():  # of this process alone: that of the system's call begins with its parent's
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
source = open_features(Path(sys.argv[1]), None, {}, "anomalyclip")
assert source.frames("a") == 2_000_000
assert source.crop_rows("b", "center")[1_999_999].sum() == 0
assert peak() - before < 20_000  # KiB
"""
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=600)
