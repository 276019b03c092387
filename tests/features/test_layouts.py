"""Features of others in the layouts in circulation: found by name, told apart by shape and length, never guessed."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.base.errors import FeatureError
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.layouts import NpyFeatures, WidthError, open_features
from vadbench.features.npy import EmptyFileError
from vadbench.features.store import FeatureStore, StoreWriter

DIM = 6
FRAMES = {"Abuse001_x264": 100, "Arson003_x264": 161, "Normal_Videos_940_x264": 48}
ODD = (
    "Bad.Boys.1995__#00-10-00_00-10-30_label_A",
    "v=8cTqh9tMz_I__#1_label_A",
    "Quantum.of.Solace__#00-37-46_00-38-32_label_B2-0-0",
    'it\'s "quoted" 100% [1]_label_G-0-0',
    "Léon été_label_B1-0-0",
    "ends.mp4.in.dots._label_A",
    "x__1",
)


def some_rows(rows, *shape, seed=0, dtype=np.float32):
    return np.random.default_rng([seed, rows]).standard_normal((rows, *(shape or (DIM,)))).astype(dtype)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, array)
    return array


def snippets(frames):
    return -(-frames // 16)


@pytest.fixture
def per_frame(tmp_path):
    """AnomalyCLIP's layout: folders by class, a row a frame."""
    return {n: save(tmp_path / n[:5] / f"{n}.npy", some_rows(t)) for n, t in FRAMES.items()}


def test_rows_of_every_frame(tmp_path, per_frame):
    source = open_features(tmp_path, FRAMES, FRAMES)
    assert (source.layout, source.names, source.extra) == ("anomalyclip", tuple(sorted(FRAMES)), [])
    for name, rows in per_frame.items():
        assert source.crops(name) == ("center",)
        np.testing.assert_array_equal(source.crop_rows(name, "center"), rows)
        assert source.frames(name) == len(rows)
        assert source.path(name, "center") == tmp_path / name[:5] / f"{name}.npy"
    assert source.fingerprint == Fingerprint(
        "unknown", "unknown", "unknown", "unknown", 1, "mean", DIM, decoder="unknown", arithmetic="unknown"
    )
    assert not source.fingerprint.known


def test_crops_in_files_of_their_own_any_of_them(tmp_path):
    made = {}
    for name, frames in FRAMES.items():
        for crop in (5,) if name.startswith("Normal") else (10, 0, 2):
            made[name, str(crop)] = save(tmp_path / f"{name}__{crop}.npy", some_rows(snippets(frames), seed=crop))
    source = open_features(tmp_path, FRAMES, {})
    assert source.layout == "vadclip"
    assert source.crops("Abuse001_x264") == ("0", "2", "10")
    assert source.crops("Normal_Videos_940_x264") == ("5",)
    for (name, crop), rows in made.items():
        np.testing.assert_array_equal(source.crop_rows(name, crop), rows)
        assert source.frames(name) is None
    assert (source.fingerprint.stride, source.fingerprint.pooling) == (16, "unknown")
    assert source.fingerprint.crops == ("0", "2", "5", "10")
    with pytest.raises(FeatureError, match=r"no crop '5' of video 'Abuse001_x264'.*there are 0, 2, 10"):
        source.crop_rows("Abuse001_x264", "5")
    with pytest.raises(FeatureError, match=r"no features of video 'Abuse01_x264'.*did you mean 'Abuse001_x264'"):
        source.crop_rows("Abuse01_x264", "0")


@pytest.mark.parametrize("layout", ["rows-crops", "crops-rows"])
@pytest.mark.parametrize("suffix", ["", "_i3d", "_clip"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_crops_in_one_array(tmp_path, layout, suffix, dtype):
    made = {}
    for name, frames in FRAMES.items():
        made[name] = some_rows(snippets(frames), 4, DIM, dtype=dtype)
        save(tmp_path / f"{name}{suffix}.npy", made[name] if layout == "rows-crops" else made[name].swapaxes(0, 1))
    source = open_features(tmp_path, FRAMES, {})
    assert (source.layout, source.fingerprint.crops, source.fingerprint.dtype) == (layout, tuple("0123"), dtype)
    for name, rows in made.items():
        for crop in range(4):
            found = source.crop_rows(name, str(crop))
            np.testing.assert_array_equal(found, rows[:, crop])
            assert not found.flags.owndata and not found.flags.writeable


def test_our_own_store_is_opened_as_such(tmp_path):
    fingerprint = Fingerprint("tiny", "0" * 64, "gelu", "none", stride=4, pooling="mean", dim=DIM)
    with StoreWriter(tmp_path, fingerprint) as writer:
        writer.append("a", [some_rows(3)], 9, "x")
    for layout in (None, "store"):
        source = open_features(tmp_path, {"a", "b"}, {}, layout)
        assert isinstance(source, FeatureStore) and source.fingerprint == fingerprint
    with pytest.raises(FeatureError, match=r"holds no features"):
        open_features(tmp_path, {"a"}, {}, "vadclip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FeatureError, match="no feature store"):
        open_features(tmp_path / "empty", {"a"}, {}, "store")


# What authors make of a video's last frames: a row for them, none, one row less, a few frames found more or less.
@given(
    frames=st.integers(24, 3000),
    layout=st.sampled_from(["anomalyclip", "vadclip"]),
    tail=st.sampled_from(["ceil", "floor", "less"]),
    off=st.integers(-3, 3),
)
def test_rows_of_frames_and_of_sixteenths_are_told_apart(tmp_path_factory, frames, layout, tail, off):
    folder = tmp_path_factory.mktemp("features")
    found = frames + off
    rows = found if layout == "anomalyclip" else {"ceil": snippets(found), "floor": found // 16}.get(tail, found // 16)
    if tail == "less" and layout == "vadclip" and found % 16 == 0:
        rows -= 1
    save(folder / "a.npy", some_rows(max(rows, 1)))
    assert open_features(folder, {"a"}, {"a": frames}).layout == layout


@pytest.mark.parametrize(("frames", "rows"), [(1, 1), (15, 1), (16, 1), (17, 1), (17, 2), (16, 16), (15, 15), (17, 17)])
def test_short_videos_among_long_ones(tmp_path, frames, rows):
    stride = 1 if rows == frames and frames > 1 else 16
    save(tmp_path / "short.npy", some_rows(rows))
    save(tmp_path / "long.npy", some_rows(320 // stride))
    source = open_features(tmp_path, {"short", "long"}, {"short": frames, "long": 320})
    assert source.fingerprint.stride == stride
    assert source.crop_rows("short", source.crops("short")[0]).shape == (rows, DIM)


def test_whole_files_of_sixteenths_have_one_crop(tmp_path):
    rows = save(tmp_path / "a.npy", some_rows(10))
    source = open_features(tmp_path, {"a"}, {"a": 160})
    assert (source.layout, source.crops("a"), source.frames("a")) == ("vadclip", ("0",), None)
    np.testing.assert_array_equal(source.crop_rows("a", "0"), rows)


@pytest.mark.parametrize(
    ("shapes", "frames", "options"),
    [
        ([(10, DIM), (20, DIM)], {}, "anomalyclip or vadclip"),
        ([(20, DIM), (40, DIM)], {"a": 160, "b": 320}, "anomalyclip or vadclip"),  # a row every 8 frames
        ([(1, DIM), (1, DIM)], {"a": 1, "b": 1}, "anomalyclip or vadclip"),
        ([(20, DIM), (20, DIM), (20, DIM)], {"a": 160, "b": 160, "c": 320}, "anomalyclip or vadclip"),
        ([(10, 10, DIM), (10, 10, DIM)], {}, "rows-crops or crops-rows"),
        ([(10, 10, DIM), (10, 10, DIM)], {"a": 160, "b": 160}, "rows-crops or crops-rows"),
        ([(10, 5, DIM), (20, 6, DIM)], {}, "rows-crops or crops-rows"),
    ],
)
def test_what_nothing_tells_must_be_named(tmp_path, shapes, frames, options):
    for name, shape in zip("abc", shapes, strict=False):
        save(tmp_path / f"{name}.npy", some_rows(*shape))
    with pytest.raises(FeatureError, match=r"cannot tell the layout of .*a\.npy has shape") as refused:
        open_features(tmp_path, {"a", "b", "c"}, frames)
    assert str(refused.value).endswith(f"name it with --features-layout {options}")
    first = options.split()[0]
    assert open_features(tmp_path, {"a", "b"}, frames, first).layout == first


def test_arrays_with_crops_of_one_length_are_told_by_the_frames(tmp_path):
    save(tmp_path / "a.npy", some_rows(10, 20, DIM))
    assert open_features(tmp_path, {"a"}, {"a": 160}).layout == "rows-crops"
    assert open_features(tmp_path, {"a"}, {"a": 320}).layout == "crops-rows"
    with pytest.raises(FeatureError, match="--features-layout"):
        open_features(tmp_path, {"a"}, {})


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_odd_names_match_themselves_with_and_without_a_crop(tmp_path, name, form):
    on_disk = unicodedata.normalize(form, name)
    whole = save(tmp_path / "whole" / f"{on_disk}.npy", some_rows(32))
    crop = save(tmp_path / "crop" / "deep" / f"{on_disk}__7.npy", some_rows(2))
    listed = unicodedata.normalize("NFC" if form == "NFD" else "NFD", name)
    source = open_features(tmp_path / "whole", {listed, "other"}, {listed: 32})
    assert source.names == (listed,)
    np.testing.assert_array_equal(source.crop_rows(listed, "center"), whole)
    source = open_features(tmp_path / "crop", {listed, "other"}, {})
    assert source.crops(listed) == ("7",)
    np.testing.assert_array_equal(source.crop_rows(listed, "7"), crop)


def test_files_are_matched_by_name_never_by_path_or_part_of_a_name(tmp_path):
    for name in ("Abuse001_x264", "Abuse0010_x264", "gt", "Abuse001_x264_feature"):
        save(tmp_path / "home" / "someone" / "Arson" / f"{name}.NPY", some_rows(32))
    save(tmp_path / ".hidden" / "Abuse002_x264.npy", some_rows(32))
    (tmp_path / "Abuse002_x264.txt").write_text("no features")
    (tmp_path / "Abuse002_x264.npy").mkdir()
    source = open_features(tmp_path, {"Abuse001_x264", "Abuse002_x264"}, {"Abuse001_x264": 32})
    assert source.names == ("Abuse001_x264",)
    assert [p.stem for p in source.extra] == ["Abuse0010_x264", "Abuse001_x264_feature", "gt"]


def test_a_video_suffix_left_in_the_name_is_no_part_of_it(tmp_path):
    save(tmp_path / "a_label_A.mp4__3.npy", some_rows(2))
    assert open_features(tmp_path, {"a_label_A"}, {}).crops("a_label_A") == ("3",)


def test_without_a_data_set_each_file_has_its_own_name(tmp_path):
    for name in ("b__0", "b__1", "a.x264__0"):
        save(tmp_path / f"{name}.npy", some_rows(2))
    source = open_features(tmp_path, None, {})
    assert (source.names, source.extra) == (("a.x264", "b"), [])
    assert source.crops("b") == ("0", "1")


def test_normalised_rows_are_noticed(tmp_path):
    rows = some_rows(160, dtype=np.float64)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for folder, values in (("unit", unit), ("half", unit.astype(np.float16)), ("raw", rows), ("zero", 0 * rows)):
        save(tmp_path / folder / "a.npy", values.astype(np.float16 if folder == "half" else np.float32))
        source = open_features(tmp_path / folder, {"a"}, {"a": 160})
        assert source.fingerprint.normalised == (folder in ("unit", "half"))
    save(tmp_path / "unit" / "b.npy", rows.astype(np.float32))
    assert not open_features(tmp_path / "unit", None, {}, "anomalyclip").fingerprint.normalised


def test_the_stamp_follows_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr("vadbench.base.files.SETTLED_NS", 0)
    for name in ("a__0", "a__1", "b__0"):
        save(tmp_path / f"{name}.npy", some_rows(2))
    source = open_features(tmp_path, {"a", "b"}, {})
    before = {n: source.stamp(n) for n in "ab"}
    assert before == {n: open_features(tmp_path, {"b", "a"}, {}).stamp(n) for n in "ab"}
    os.utime(tmp_path / "a__1.npy", ns=(1, 1))
    assert source.stamp("a") != before["a"] and source.stamp("b") == before["b"]
    again = source.stamp("a")
    save(tmp_path / "a__1.npy", some_rows(3))
    os.utime(tmp_path / "a__1.npy", ns=(1, 1))
    assert source.stamp("a") != again
    monkeypatch.undo()
    assert source.stamp("a") != source.stamp("a"), "a file of just now may change again without its times showing it"
    (tmp_path / "a__1.npy").unlink()
    with pytest.raises(FeatureError, match=r"a__1\.npy: No such file"):
        source.stamp("a")


def test_check_names_values_and_finds_nan(tmp_path):
    rows = save(tmp_path / "a__0.npy", some_rows(2))
    save(tmp_path / "b__0.npy", rows)
    rows[1, 2] = np.nan
    save(tmp_path / "c__0.npy", rows)
    source = open_features(tmp_path, None, {})
    assert source.check("a") == source.check("b")
    with pytest.raises(FeatureError, match=r"video 'c', crop 0.*row 1"):
        source.check("c")


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
    code = """
import resource, sys
from pathlib import Path
from vadbench.features.layouts import open_features
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source = open_features(Path(sys.argv[1]), None, {}, "anomalyclip")
assert source.frames("a") == 2_000_000
assert source.crop_rows("b", "center")[1_999_999].sum() == 0
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
"""
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=600)


def test_it_is_a_source_of_features(tmp_path, per_frame):
    assert isinstance(open_features(tmp_path, FRAMES, {}, "anomalyclip"), NpyFeatures)
