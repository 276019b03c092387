"""Files of scores in the forms that circulate: what is read from each, and what is refused in one line."""

import csv
import io
import json
import os
import resource
import struct
import subprocess
import sys
import unicodedata
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vadbench.base.errors import DataError
from vadbench.scoring.score_files import files_of, load_json, read_scores

NAMES = ["Riot001_x264", "Bad.Boys.1995__#00-10-00_label_B2-0-0", "Straße", "v=Xy__#1_label_G", "calm"]
SCORES = {
    name: np.random.default_rng(i).random(3 + i).astype(np.float32 if i % 2 else np.float64)
    for i, name in enumerate(NAMES)
}


def write(path, values):
    """Write the scores of one video in the form that the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = [float(v) for v in values]
    match path.suffix:
        case ".npy":
            np.save(path, values)
        case ".npz":
            np.savez(path, scores=values)
        case ".json":
            path.write_text(json.dumps(plain), encoding="utf-8")
        case ".csv":
            path.write_text("score\n" + "\n".join(map(repr, plain)) + "\n", encoding="utf-8")
        case ".txt":
            path.write_text("\n".join(map(repr, plain)) + "\n", encoding="utf-8")


def zipped(path, **members):
    """An archive of bytes, without pressing them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


ROWS = np.arange(3.0).tobytes()


def header(shape="(3,)", descr="'<f8'", order="False", content=ROWS, magic=b"\x93NUMPY\x01\x00"):
    """The bytes of a .npy file whose header says something."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (64 - (len(text) + 11) % 64) + b"\n"
    return magic + struct.pack("<H", len(text)) + text + content


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def same(found, expected=SCORES):
    """The scores are those, in their precision or more."""
    assert list(found) == list(expected) or sorted(found) == sorted(expected)
    for name, values in expected.items():
        assert found[name].values.tolist() == values.tolist(), name


@pytest.fixture
def refused():
    """Read what must be refused; the one line, which names the file."""

    def call(*paths, names=NAMES):
        with pytest.raises(DataError) as error:
            read_scores(paths, names)
        (line,) = str(error.value).splitlines()
        assert len(line) < 700 and any(str(path) in line for path in paths), line
        return line

    return call


# --- one file a video ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".json", ".csv", ".txt"])
@pytest.mark.parametrize("form", ["{}", "{}.mp4", "{}_pred", "{}_scores", "{}.mp4_pred", "a folder/{}", "b/c/{}.avi"])
def test_a_folder_has_one_file_a_video(tmp_path, suffix, form):
    for name, values in SCORES.items():
        write(tmp_path / f"{form.format(name)}{suffix}", values)
    same(read_scores([tmp_path], NAMES))


def test_forms_may_be_mixed_and_other_files_and_folders_count_nothing(tmp_path):
    for (name, values), suffix in zip(SCORES.items(), (".npy", ".NPZ", ".json", ".csv", ".txt"), strict=True):
        write(tmp_path / f"{name}{suffix.lower()}", values)
        (tmp_path / f"{name}{suffix.lower()}").rename(tmp_path / f"{name}{suffix}")
    (tmp_path / "README.md").write_text("what this is")
    (tmp_path / "figure.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.npy").write_bytes(b"no array")
    (tmp_path / "empty").mkdir()
    same(read_scores([tmp_path], NAMES))


def test_names_in_two_ways_of_writing_letters_are_one(tmp_path):
    np.save(tmp_path / f"{unicodedata.normalize('NFD', 'Café')}.npy", np.ones(3))
    assert list(read_scores([tmp_path], ["Café"])) == ["Café"]


def test_several_paths_are_read_together(tmp_path):
    for i, (name, values) in enumerate(SCORES.items()):
        write(tmp_path / str(i % 2) / f"{name}.npy", values)
    same(read_scores([tmp_path / "0", tmp_path / "1"], NAMES))
    same(read_scores(files_of(tmp_path), NAMES))


def test_crops_are_averaged(tmp_path):
    rng = np.random.default_rng(5)
    crops = {name: rng.random((10, 4)).astype(np.float32) for name in ("calm", "Straße")}
    for name, values in crops.items():
        for i, own in enumerate(values):
            write(tmp_path / f"{name}__{i}{'_pred' if name == 'calm' else ''}.npy", own)
    found = read_scores([tmp_path], NAMES)
    for name, values in crops.items():
        expected = [sum(float(values[i, j]) for i in range(10)) / 10 for j in range(4)]
        assert found[name].values == pytest.approx(expected, rel=1e-6)


def test_a_single_crop_is_the_video(tmp_path):
    write(tmp_path / "calm__0.npy", SCORES["calm"])
    same(read_scores([tmp_path], NAMES), {"calm": SCORES["calm"]})


@pytest.mark.parametrize(
    "pair",
    [
        ("calm.npy", "calm.json"),
        ("calm.npy", "calm_pred.npy"),
        ("a/calm.npy", "b/calm.npy"),
        ("calm.npy", "calm__0.npy"),
        ("a/calm__0.npy", "b/calm__0.npy"),
        ("calm__0.npy", "calm__0_pred.npy"),
    ],
)
def test_two_scores_of_one_video_are_refused(tmp_path, pair):
    for i, name in enumerate(pair):
        write(tmp_path / name, np.full(3, i / 2))
    with pytest.raises(DataError, match=r"^two scores of 'calm', in .*calm.* and .*calm.*; keep one"):
        read_scores([tmp_path], NAMES)


def test_crops_of_other_lengths_are_refused(tmp_path):
    write(tmp_path / "calm__0.npy", np.ones(3))
    write(tmp_path / "calm__1.npy", np.ones(4))
    with pytest.raises(DataError, match="have one length"):
        read_scores([tmp_path], NAMES)


def test_a_video_twice_in_one_file_is_refused(tmp_path, refused):
    (tmp_path / "all.json").write_text(json.dumps({"calm": [1.0], "calm.mp4": [2.0]}))
    assert "two scores of 'calm'" in refused(tmp_path / "all.json")


def test_unknown_names_stand_as_they_are(tmp_path):
    for name in ("calm", "stranger", "other"):
        for suffix in (".npy", ".npz", ".json", ".txt"):
            write(tmp_path / suffix[1:] / f"{name}{suffix}", np.ones(2))
    for suffix in ("npy", "npz", "json", "txt"):
        assert set(read_scores([tmp_path / suffix], NAMES)) == {"calm", "stranger", "other"}, suffix
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "stranger.json").write_text(json.dumps({"scores": [0.5]}))
    (tmp_path / "one" / "other.json").write_text(json.dumps({"0": 0.5, "16": 0.25}))
    assert set(read_scores([tmp_path / "one"], NAMES)) == {"stranger", "other"}


# --- one file for all videos -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("form", ["{}", "{}.mp4", "{}_pred", "x/{}"])
def test_one_archive_has_an_array_a_video(tmp_path, save, form):
    save(tmp_path / "all.npz", **{form.format(name): values for name, values in SCORES.items()})
    found = read_scores([tmp_path / "all.npz"], NAMES)
    same(found)
    assert [found[name].values.dtype for name in NAMES] == [SCORES[name].dtype for name in NAMES]


def test_an_archive_that_is_named_after_a_video_may_have_all(tmp_path):
    np.savez(tmp_path / "calm.npz", **SCORES)
    same(read_scores([tmp_path / "calm.npz"], NAMES))


def test_an_archive_of_one_video_has_its_scores_under_that_name(tmp_path, refused):
    np.savez(tmp_path / "calm.npz", scores=SCORES["calm"], gt=np.zeros(3), other=np.ones((2, 2)))
    same(read_scores([tmp_path / "calm.npz"], NAMES), {"calm": SCORES["calm"]})
    np.savez(tmp_path / "calm.npz", SCORES["calm"])
    same(read_scores([tmp_path / "calm.npz"], NAMES), {"calm": SCORES["calm"]})
    np.savez(tmp_path / "calm.npz", a=SCORES["calm"], b=SCORES["calm"])
    assert "expected an array 'scores', found 'a', 'b'" in refused(tmp_path / "calm.npz")


def of_json(form, values):
    rows = [float(v) for v in values]
    return {
        "list": rows,
        "scores": {"scores": rows},
        "by frame": {str(4 * i): v for i, v in enumerate(rows)},
        "scores by frame": {"scores": {str(4 * i): v for i, v in enumerate(rows)}},
        "segments": {"frames": 4 * len(rows), "segments": [[4 * i, 4 * i + 3, v] for i, v in enumerate(rows)]},
    }[form]


FORMS = ["list", "scores", "by frame", "scores by frame", "segments"]


@pytest.mark.parametrize("outer", [{}, {"what": "a method", "licence": None}, None])
@pytest.mark.parametrize("form", FORMS)
def test_one_json_file_has_an_entry_a_video(tmp_path, form, outer):
    entries = {f"{name}.mp4": of_json(form, values) for name, values in SCORES.items()}
    content = entries if outer is None else {**outer, "videos": entries}
    (tmp_path / "all.json").write_text(json.dumps(content), encoding="utf-8")
    found = read_scores([tmp_path / "all.json"], NAMES)
    times = 4 if form == "segments" else 1
    same(found, {name: values.repeat(times) for name, values in SCORES.items()})
    stride = {"list": None, "scores": None, "segments": 1}.get(form, 4)
    assert {own.stride for own in found.values()} == {stride}
    assert {name: own.frames for name, own in found.items()} == {
        name: 4 * len(values) if form == "segments" else None for name, values in SCORES.items()
    }


@pytest.mark.parametrize("form", FORMS)
def test_a_json_file_of_one_video(tmp_path, form):
    (tmp_path / "calm_pred.json").write_text(json.dumps(of_json(form, SCORES["calm"])))
    found = read_scores([tmp_path], NAMES)
    same(found, {"calm": SCORES["calm"].repeat(4 if form == "segments" else 1)})


def test_one_csv_file_has_the_rows_of_all_videos(tmp_path):
    rows = [(name, repr(float(v)), i % 2) for name, values in SCORES.items() for i, v in enumerate(values)]
    with (tmp_path / "all.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([("video_id", "score", "gt"), *rows])
    found = read_scores([tmp_path / "all.csv"], NAMES)
    same(found)
    assert all(own.labels.tolist() == [i % 2 == 1 for i in range(len(own.values))] for own in found.values())


def test_columns_of_a_csv_file_are_found_by_their_names(tmp_path):
    (tmp_path / "all.csv").write_text(" GT , Extra, Score,VIDEO\n1,x,0.5,calm\n0,y, .25 ,calm\n1.0,z,1e-3, Straße \n")
    found = read_scores([tmp_path], NAMES)
    assert found["calm"].values.tolist() == [0.5, 0.25] and found["calm"].labels.tolist() == [True, False]
    assert found["Straße"].values.tolist() == [0.001]


def test_rows_of_videos_may_alternate(tmp_path):
    (tmp_path / "all.csv").write_text("video_id,score\ncalm,1\nStraße,2\ncalm,3\n\nStraße,4\n")
    found = read_scores([tmp_path], NAMES)
    assert found["calm"].values.tolist() == [1, 3] and found["Straße"].values.tolist() == [2, 4]
    assert found["calm"].labels is None


def test_names_with_commas_and_line_breaks_are_quoted(tmp_path):
    (tmp_path / "all.csv").write_text('video_id,score\n"a, b",1\n"two\nlines",2\n', encoding="utf-8")
    assert set(read_scores([tmp_path], ["a, b", "two\nlines"])) == {"a, b", "two\nlines"}


def test_a_csv_file_of_one_video_may_have_no_header(tmp_path):
    (tmp_path / "calm.csv").write_text("0.5\n0.25\n")
    assert read_scores([tmp_path], NAMES)["calm"].values.tolist() == [0.5, 0.25]
    (tmp_path / "calm.csv").write_text("score,gt\n0.5,0\n0.25,1\n")
    assert read_scores([tmp_path], NAMES)["calm"].labels.tolist() == [False, True]


# --- one array of all videos -----------------------------------------------------------------------------------------


@pytest.fixture
def joined(tmp_path):
    """One array of all videos, which are not in the order of their names."""
    order = [NAMES[i] for i in (3, 0, 4, 2, 1)]
    np.save(tmp_path / "predictions.npy", np.concatenate([SCORES[name].astype(np.float64) for name in order]))
    return tmp_path, {name: len(SCORES[name]) for name in order}


@pytest.mark.parametrize("form", ["txt", "at", "json", "json frames"])
def test_one_array_is_cut_by_a_list_of_names_and_lengths(joined, form):
    folder, lengths = joined
    text = {
        "txt": "\n".join(f"some/folder/{name}.mp4 {n}" for name, n in lengths.items()),
        "at": "\n".join(f"{name}@{n}" for name, n in lengths.items()),
        "json": json.dumps(lengths),
        "json frames": json.dumps({"frames": lengths, "what": "x"}),
    }[form]
    path = folder / f"lengths.{'json' if 'json' in form else 'txt'}"
    path.write_text(text, encoding="utf-8")
    same(read_scores([folder], NAMES))
    same(read_scores([path, folder / "predictions.npy"], NAMES))


@pytest.mark.parametrize("form", ["npy", "npz", "txt", "csv", "json"])
def test_a_bare_array_is_refused_with_the_reason(tmp_path, refused, form):
    write(tmp_path / f"predictions.{form}", np.ones(30))
    line = refused(tmp_path / f"predictions.{form}")
    # A csv file has a column for the names.
    reason = "expected a column 'video_id'" if form == "csv" else "one array does not say where a video begins"
    assert reason in line
    np.savez(tmp_path / "bare.npz", np.ones(30))
    assert "one array does not say where a video begins" in refused(tmp_path / "bare.npz")


def test_a_list_of_other_lengths_is_refused(joined, refused):
    folder, lengths = joined
    (folder / "lengths.txt").write_text("\n".join(f"{name} {n + 1}" for name, n in lengths.items()), encoding="utf-8")
    total = sum(lengths.values())
    assert f"has {total} scores, the 5 lengths in {folder}/lengths.txt make {total + 5}" in refused(folder)


@pytest.mark.parametrize("text", ["", "calm", "calm x", "calm 0", "calm -3", "calm 99999999999", "{}", "\0"])
def test_a_damaged_list_is_refused(joined, refused, text):
    folder, _ = joined
    (folder / "lengths.txt").write_text(text)
    assert "lengths.txt" in refused(folder)


def test_scores_of_two_videos_are_no_array_and_its_list(tmp_path):
    write(tmp_path / "calm.npy", np.ones(3))
    write(tmp_path / "Straße.txt", np.zeros(3))
    assert set(read_scores([tmp_path], NAMES)) == {"calm", "Straße"}


# --- files that nobody can trust -------------------------------------------------------------------------------------


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
import sys
from pathlib import Path
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
    limit = 3 << 30
    done = subprocess.run(
        [sys.executable, "-c", code, *files],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
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


# --- every form says the same ----------------------------------------------------------------------------------------

values = st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=8)
names = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters="/\\\0"), min_size=1, max_size=12
).filter(lambda n: not n.startswith(".") and not n.lower().endswith((".mp4", ".npy", ".avi", ".mkv")))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(content=st.dictionaries(names.map(lambda n: unicodedata.normalize("NFC", n)), values, min_size=1, max_size=4))
def test_scores_in_any_form_read_back_equal(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    arrays = {name: np.array(rows, np.float32) for name, rows in content.items()}
    rows = [(name, repr(v)) for name, own in content.items() for v in own]
    with (folder / "all.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("video_id", "score"), *rows])
    (folder / "list.json").write_text(json.dumps(content), encoding="utf-8")
    by_frame = {name: {str(16 * i): v for i, v in enumerate(own)} for name, own in content.items()}
    (folder / "frames.json").write_text(json.dumps({"videos": by_frame}), encoding="utf-8")
    segments = {name: {"segments": [[i, i, v] for i, v in enumerate(own)]} for name, own in content.items()}
    (folder / "segments.json").write_text(json.dumps(segments), encoding="utf-8")
    with zipfile.ZipFile(folder / "all.npz", "w") as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", npy(array))
    np.save(folder / "joined.npy", np.concatenate(list(arrays.values())))
    (folder / "lengths.json").write_text(json.dumps({name: len(own) for name, own in content.items()}))
    for i, (name, array) in enumerate(arrays.items()):
        write(folder / "each" / f"{name}{('.npy', '.txt', '.json', '.csv')[i]}", array)
    for paths in (
        ["all.csv"],
        ["list.json"],
        ["frames.json"],
        ["segments.json"],
        ["all.npz"],
        ["joined.npy", "lengths.json"],
        ["each"],
    ):
        found = read_scores([folder / path for path in paths], list(content))
        assert {name: own.values.tolist() for name, own in found.items()} == content, paths
