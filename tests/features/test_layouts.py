"""Features of others in the layouts in circulation: found by name, told apart by shape and length, never guessed."""

import os
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npy_files import DIM, save, some_rows
from stores import append
from vadbench.base.errors import FeatureError
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.layouts import NpyFeatures, open_features, open_stream
from vadbench.features.store import FeatureStore, StoreWriter

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
        append(writer, "a", [some_rows(3)], 9, "x")
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


@pytest.mark.parametrize("kind", ["i3d", "swin", "clip"])
def test_the_encoder_at_the_end_of_a_name_is_no_part_of_it(tmp_path, kind):
    save(tmp_path / f"Fire_2_{kind}.npy", some_rows(2))
    source = open_features(tmp_path, {"Fire_2"}, {"Fire_2": 32})
    assert (source.names, source.extra) == (("Fire_2",), [])
    # A video may be called so itself.
    assert open_features(tmp_path, {"Fire_2", f"Fire_2_{kind}"}, {}, "vadclip").names == (f"Fire_2_{kind}",)
    assert open_features(tmp_path, None, {}, "vadclip").names == ("Fire_2",)


def test_a_video_is_found_under_its_other_names(tmp_path):
    other = {"mall3": "normal_mall3", "mall4": "normal_mall4", "own": "another"}
    for name in ("mall3_i3d", "normal_mall4", "own"):
        save(tmp_path / f"{name}.npy", some_rows(2))
    names = {"normal_mall3", "normal_mall4", "own", "another"}
    source = open_features(tmp_path, names, {}, "vadclip", aliases=other)
    assert source.names == ("normal_mall3", "normal_mall4", "own")
    assert source.path("normal_mall3", "0").name == "mall3_i3d.npy"
    stream = open_stream(tmp_path, "sound", names, other)
    assert stream.names == source.names
    save(tmp_path / "mall4.npy", some_rows(2))
    with pytest.raises(FeatureError, match=r"expected one file of crop 0 of 'normal_mall4', found .*mall4\.npy and"):
        open_features(tmp_path, names, {}, "vadclip", aliases=other)


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


def test_it_is_a_source_of_features(tmp_path, per_frame):
    assert isinstance(open_features(tmp_path, FRAMES, {}, "anomalyclip"), NpyFeatures)
