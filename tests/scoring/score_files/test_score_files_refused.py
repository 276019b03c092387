"""Files of scores that nobody can trust, each refused in one line."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from vadbench.base.errors import DataError
from vadbench.scoring.score_files import load_json, read_scores
from written_scores import NAMES, SCORES, header, npy, write, zipped


class Runs:
    """Something that leaves a file behind when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_pickled_arrays_are_never_opened(tmp_path, refused):
    mark = tmp_path / "mark"
    array = np.empty(3, object)
    array[:] = [Runs(mark)] * 3
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "calm.npy", array, allow_pickle=True)
    assert "pickled Python objects" in refused(tmp_path / "in")
    np.savez(tmp_path / "all.npz", calm=array)
    assert "'calm' holds pickled Python objects" in refused(tmp_path / "all.npz")
    (tmp_path / "calm.npy").write_bytes(header(descr="[('a', 'O')]"))
    refused(tmp_path / "calm.npy")
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        header("(-1,)"),
        header("(3, -1)"),
        header("(-1, -3)"),
        header("(4,)"),
        header("(10000001,)"),
        header("(9999999999999,)"),
        header("(99999999999999999999999999,)"),
        header("(1000000, 1000000)"),
        header("(3.0,)"),
        header("3"),
        header("('a',)"),
        header("(3,)" * 200),
        header("(0,)"),
        header("()"),
        header("(True, 3)"),
        header(descr="'<c16'"),
        header(descr="'<U9'"),
        header(descr="'<M8[s]'"),
        header(descr="'(1000000000,)<f8'"),
        header(descr="[('a', '<f8')]"),
        header(descr="'|V8'"),
        header(descr="'|b1'"),
        header(descr="__import__('os').mkdir('x')"),
        header(order="None"),
        header(magic=b"\x93NUMPY\x09\x00"),
        header(magic=b"\x93NUMPX\x01\x00"),
        header(content=b""),
        header(content=np.array([0.5, np.nan, 1]).tobytes()),
        header(content=np.array([0.5, np.inf, 1]).tobytes()),
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff",
        b"PK\x03\x04 no archive",
        npy(np.zeros((2, 3))),
        npy(np.zeros(3))[:-1],
    ],
    ids=range(35),
)
def test_a_header_that_lies_is_refused(tmp_path, refused, content):
    (tmp_path / "calm.npy").write_bytes(content)
    refused(tmp_path / "calm.npy")
    assert "'calm'" in refused(zipped(tmp_path / "all.npz", calm=content))


def test_headers_that_are_true_are_read(tmp_path):
    for content in (
        header(),
        header("(3, 1)"),
        header(order="True"),
        header(descr="'>f8'", content=np.arange(3.0).astype(">f8").tobytes()),
    ):
        (tmp_path / "calm.npy").write_bytes(content)
        assert read_scores([tmp_path], NAMES)["calm"].values.tolist() == [0, 1, 2]


def test_an_archive_that_says_a_name_twice_is_refused(tmp_path, refused):
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "all.npz", "w") as archive:
        for value in (0.5, 1):
            archive.writestr("calm.npy", npy(np.full(3, value)))
    assert "twice" in refused(tmp_path / "all.npz")


def test_damaged_archives_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "all.npz", **SCORES)
    whole = (tmp_path / "all.npz").read_bytes()
    rng = np.random.default_rng(0)
    seen = 0
    for i in range(300):
        damaged = bytearray(whole[: len(whole) - (i % 3) * int(rng.integers(0, 200))])
        for _ in range(1 + i % 5):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        (tmp_path / "all.npz").write_bytes(damaged)
        try:
            read_scores([tmp_path / "all.npz"], NAMES)
        except DataError as error:
            assert len(str(error).splitlines()) == 1 and str(tmp_path) in str(error)
            seen += 1
    assert seen > 100


def test_an_archive_with_a_password_is_refused(tmp_path, refused):
    content = bytearray(zipped(tmp_path / "all.npz", calm=npy(np.ones(3))).read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "all.npz").write_bytes(content)
    assert "password" in refused(tmp_path / "all.npz")


def test_bombs_cost_no_memory(tmp_path):
    """Each claims gigabytes; a process that may have one must refuse them all in one line."""
    zeros = b"\0" * (1 << 20)
    with (
        zipfile.ZipFile(tmp_path / "negative.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("calm.npy", "w", force_zip64=True) as file,
    ):
        file.write(header("(-1,)", content=b""))
        for _ in range(3000):
            file.write(zeros)
    with zipfile.ZipFile(tmp_path / "many.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        member = header("(9000000,)", "'|u1'", content=b"\0" * 9_000_000)
        for i in range(40):
            archive.writestr(f"v{i}.npy", member)
    (tmp_path / "frames.json").write_text(
        json.dumps({f"v{i}": {"frames": 9_999_999, "segments": [[0, 1, 0.5]]} for i in range(200)})
    )
    with (tmp_path / "sparse.json").open("wb") as file:
        file.truncate(3 << 30)
    with (tmp_path / "sparse.csv").open("wb") as file:
        file.truncate(3 << 30)
    with (tmp_path / "sparse.npy").open("wb") as file:
        file.write(header("(400000000,)", content=b""))
        file.truncate(4 << 30)
    code = """
import resource
import sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from vadbench.base.errors import DataError
from vadbench.scoring.score_files import read_scores
for path in map(Path, sys.argv[1:]):
    try:
        read_scores([path], ["calm"])
    except DataError as error:
        assert len(str(error).splitlines()) == 1 and str(path) in str(error), error
    else:
        sys.exit(f"read {path}")
"""
    files = sorted(str(p) for p in tmp_path.iterdir())
    assert len(files) == 6
    done = subprocess.run(
        [sys.executable, "-c", code, *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_links_out_of_a_folder_are_not_followed(tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "out" / "Straße.npy", np.ones(3))
    write(tmp_path / "in" / "calm.npy", np.zeros(3))
    (tmp_path / "in" / "Straße.npy").symlink_to(tmp_path / "out" / "Straße.npy")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "Riot001_x264.npy").symlink_to("nowhere.npy")
    os.mkfifo(tmp_path / "in" / "v=Xy__#1_label_G.npy")
    assert list(read_scores([tmp_path / "in"], NAMES)) == ["calm"]
    (tmp_path / "link").symlink_to(tmp_path / "in")
    assert list(read_scores([tmp_path / "link"], NAMES)) == ["calm"], "what the user names is followed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"calm": [1], "calm": [2]}', "'calm' stands there twice"),
        ('{"calm": {"0": 1, "0": 2}}', "'0' stands there twice"),
        ('{"calm": [NaN]}', "found NaN"),
        ('{"calm": [-Infinity]}', "found -Infinity"),
        ('{"calm": [1e999]}', "score 0 is inf"),
        ('{"calm": [' + "9" * 400 + "]}", "score 0 is inf"),
        ('{"calm": [' + "9" * 5000 + "]}", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ('{"calm": ' * 10_000, "expected JSON"),
        ('{"calm": [1]', "expected JSON"),
        ("", "expected JSON"),
        ("\0", "expected JSON"),
        ('"calm"', "expected scores by the names of videos"),
        ("3", "expected scores by the names of videos"),
        ("{}", "expected scores by the names of videos"),
        ('{"videos": []}', "expected scores by the names of videos"),
        ('{"videos": {}}', "expected scores by the names of videos"),
        ('{"videos": {"calm": null}}', "'calm': expected a list of scores"),
        ('{"calm": [[0.5, 1], [1, 2]]}', "'calm': expected numbers"),
        ('{"\\ud800": ["x"]}', "expected numbers"),
        ('{"' + "x" * 100_000 + '": ["x"]}', "expected numbers"),
    ],
    ids=range(21),
)
def test_damaged_json_is_refused(tmp_path, refused, text, said):
    (tmp_path / "all.json").write_text(text)
    assert said in refused(tmp_path / "all.json")


def test_a_key_that_is_there_twice_among_many_is_found_at_once(tmp_path):
    many = ", ".join(f'"v{i}": [0]' for i in range(200_000))
    (tmp_path / "all.json").write_text(f'{{{many}, "calm": [0], "calm": [1]}}')
    with pytest.raises(DataError, match="'calm' stands there twice"):
        load_json(tmp_path / "all.json")


def test_json_that_is_no_text_is_refused(tmp_path, refused):
    (tmp_path / "calm.json").write_bytes(b"\xff\xfe\xfd")
    assert "expected JSON" in refused(tmp_path / "calm.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("name,value\na,1\n", "line 1: expected the header 'video_id,score'"),
        ("score\n0.5\n", "line 1: expected a column 'video_id'"),
        ("video_id,score\ncalm\n", "line 2: expected 2 columns"),
        ("video_id,score\ncalm,0.5,1\n", "line 2: expected 2 columns"),
        ("video_id,score\ncalm,0.5\ncalm,abc\n", "line 3: expected a finite number, found 'abc'"),
        ("video_id,score\ncalm,nan\n", "line 2: expected a finite number, found 'nan'"),
        ("video_id,score\ncalm,-inf\n", "line 2: expected a finite number"),
        ("video_id,score\ncalm,1_000\n", "line 2: expected a finite number"),
        ("video_id,score\ncalm,\n", "line 2: expected a finite number"),
        ("video_id,score\ncalm,1e999\n", "score 0 is inf"),
        ("video_id,score\ncalm,٣\n", "line 2: expected a finite number"),
        ("video_id,score,gt\ncalm,0.5,2\n", "'calm': expected a gt of 0 or 1"),
        ("video_id,score,gt\ncalm,0.5,x\n", "line 2: expected a finite number"),
        ("video_id,score\n", "no scores in"),
        ("video_id,score\n" + "x" * 200_000 + ",1\n", "not a row of a csv file"),
        (",".join("abc" * 10_000), "expected the header"),
    ],
    ids=range(18),
)
def test_damaged_csv_is_refused(tmp_path, refused, text, said):
    (tmp_path / "all.csv").write_text(text, encoding="utf-8")
    assert said in refused(tmp_path / "all.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected one score a line"),
        ("0.5\n0.25 0.75\n", "line 2: expected one score a line"),
        ("0.5\n\nx\n", "line 3: expected a finite number"),
        ("nan\n", "line 1: expected a finite number"),
        ("0x10\n", "line 1: expected a finite number"),
    ],
)
def test_damaged_text_is_refused(tmp_path, refused, text, said):
    (tmp_path / "calm.txt").write_text(text)
    assert said in refused(tmp_path / "calm.txt")


@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_tables_that_are_no_text_are_refused(tmp_path, refused, suffix):
    (tmp_path / f"calm{suffix}").write_bytes(b"0.5\n\xff\n")
    assert "utf-8" in refused(tmp_path / f"calm{suffix}")
    (tmp_path / f"calm{suffix}").write_bytes(b"0.5\n\0\n")
    refused(tmp_path / f"calm{suffix}")


def test_what_is_not_there_or_of_another_kind_is_refused(tmp_path, refused):
    assert "no file or folder" in refused(tmp_path / "absent.npz")
    (tmp_path / "scores.pkl").write_bytes(b"x")
    assert "expected a file that ends in .npy" in refused(tmp_path / "scores.pkl")
    (tmp_path / "empty").mkdir()
    assert "no scores in" in refused(tmp_path / "empty")


@pytest.mark.skipif(os.getuid() == 0, reason="everything can be read by root")
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".json", ".csv", ".txt"])
def test_a_file_that_must_not_be_read_is_named(tmp_path, refused, suffix):
    write(tmp_path / f"calm{suffix}", np.ones(3))
    (tmp_path / f"calm{suffix}").chmod(0)
    refused(tmp_path / f"calm{suffix}")
