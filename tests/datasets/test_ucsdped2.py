import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from vadbench_ucsdped2.dataset import UcsdPed2
from vadbench_ucsdped2.truth import read_intervals, read_mask

from roots.ucsdped2 import INTERVALS, make_root
from vadbench.base.errors import DataError
from vadbench.data.media import declared_frames, read_frames, write_video

TESTS = [f"Test{i:03d}" for i in range(1, 13)]
TESTED = ["Test001", "Test003", "Test004", "Test005", "Test007", "Test008"]


def write_masks(folder, frames, runs, size=(12, 8)):
    """One bitmap a frame as the official download has them, 0 and 255; an abnormal frame has a single pixel set."""
    folder.mkdir(parents=True)
    for t in range(frames):
        mask = np.zeros(size[::-1], np.uint8)
        if any(start <= t < end for start, end in runs):
            mask[t % size[1], -1] = 255
        Image.fromarray(mask).save(folder / f"{t + 1:03d}.bmp")


def add_masks(root, **changes):
    """Masks of every official test clip, next to the clips; a change gives other runs, ``None`` leaves a clip out."""
    for name, ((first,), (last,)) in zip(TESTS, INTERVALS, strict=True):
        runs = changes.get(name, [(first - 1, last)])
        if runs is not None:
            write_masks(root / "UCSDped2" / "Test" / f"{name}_gt", 25, runs)


def segments(dataset):
    return {v.name: [(s.start, s.end) for s in v.segments] for v in dataset.videos("test") if v.segments}


@pytest.fixture
def root(tmp_path):
    return make_root(tmp_path)


def test_the_official_download_is_read(root):
    dataset = UcsdPed2(root)
    dataset.prepare()
    train, test = dataset.videos("train"), dataset.videos("test")
    assert (len(train), len(test)) == (10, 18)
    assert sum(not dataset.is_normal(v) for v in train) == 6
    assert sum(not dataset.is_normal(v) for v in test) == 6
    assert all(not v.segments for v in train)
    third = next(v for v in test if v.name == "Test003")
    assert (third.segments[0].start, third.segments[0].end) == (2, 12)
    frames = list(read_frames(third.path))
    assert [int(f[0, 0, 0]) for f in frames] == [5 * t for t in range(1, 26)]


def test_videos_and_the_interval_list_are_read(tmp_path):
    for name in ("Test001", "Train007", "Test002"):
        write_video(tmp_path / f"{name}.mp4", (np.zeros((16, 16, 3), np.uint8) for _ in range(20)), 10)
    (tmp_path / "ped2_mat_gt.json").write_text(json.dumps(INTERVALS))
    dataset = UcsdPed2(tmp_path)
    train, test = dataset.videos("train"), dataset.videos("test")
    assert (len(train), len(test)) == (10, 18)
    found = [v for v in (*train, *test) if v.path is not None]
    assert {v.name: dataset.is_normal(v) for v in found} == {"Test001": False, "Test002": False, "Train007": True}
    assert all(v.path == tmp_path / f"{v.name}.mp4" for v in found)
    assert "8 of 10 train clips have no file" in dataset.problems[0] and "Train008" in dataset.problems[0]
    assert "17 of 18 test clips have no file" in dataset.problems[1]


@pytest.mark.parametrize("suffix", [".MP4", ".Avi"])
def test_suffixes_in_capitals_are_found(tmp_path, suffix):
    (tmp_path / "Test001.old.mp4").touch()
    write_video(tmp_path / "a.mp4", np.zeros((5, 16, 16, 3), np.uint8), 10)
    (tmp_path / "a.mp4").rename(tmp_path / f"Test001{suffix}")
    (tmp_path / "ped2_mat_gt.json").write_text(json.dumps(INTERVALS))
    (found,) = (v for v in UcsdPed2(tmp_path).videos("test") if v.path is not None)
    assert (found.name, found.path) == ("Test001", tmp_path / f"Test001{suffix}")


def test_without_any_file_the_clips_are_there_for_their_features(tmp_path):
    (tmp_path / "ped2_mat_gt.json").write_text(json.dumps(INTERVALS))
    dataset = UcsdPed2(tmp_path)
    dataset.prepare()
    videos = [*dataset.videos("train"), *dataset.videos("test")]
    assert len(videos) == 28 and all(v.path is None for v in videos) and dataset.problems == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2]", "expected a list of"),
        (json.dumps(INTERVALS[:5]), "found 5"),
        (None, "no abnormal frames"),
        ("[[[Infinity], [3]]]", "at most nine digits, found 'Infinity'"),
        ("[" * 200_000, "expected JSON"),
        (json.dumps([*INTERVALS[:11], [[0], [4]]]), "first <= last frame of Test012, found 0 4"),
        (json.dumps([[[5], [4]], *INTERVALS[1:]]), "first <= last frame of Test001, found 5 4"),
    ],
)
def test_missing_or_damaged_intervals_are_named(tmp_path, content, words):
    (tmp_path / "Train007.mp4").touch()
    (tmp_path / "Test001.mp4").touch()
    if content:
        (tmp_path / "ped2_mat_gt.json").write_text(content)
    with pytest.raises(DataError, match=words):
        UcsdPed2(tmp_path).read()


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (b"[12:21] % caf\xe9", "UCSDped2.m, line 13: expected UTF-8 text, found byte 0xe9"),
        (b"[21:12]", "UCSDped2.m: expected 1 <= first <= last frame of Test012, found 21 12"),
        (b"[0:12]", "UCSDped2.m: expected 1 <= first <= last frame of Test012, found 0 12"),
        (b"[1:" + b"7" * 5000 + b"]", "UCSDped2.m, line 13: expected a whole number of at most nine digits"),
    ],
)
def test_a_damaged_matlab_file_is_named(root, last, words):
    path = root / "UCSDped2" / "Test" / "UCSDped2.m"
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*lines[:-1], last]))
    with pytest.raises(DataError) as caught:
        UcsdPed2(root).read()
    assert words in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_an_empty_root_says_what_is_expected(tmp_path):
    with pytest.raises(DataError, match=r"no abnormal frames of ucsdped2.*UCSDped2/Test/Test001"):
        UcsdPed2(tmp_path).read()


def test_masks_alone_are_the_truth(root):
    (root / "UCSDped2" / "Test" / "UCSDped2.m").unlink()
    add_masks(root, Test001=[(0, 3), (7, 8), (20, 25)])
    dataset = UcsdPed2(root)
    dataset.prepare()
    expected = {n: [(int(n[-3:]) - 1, int(n[-3:]) + 9)] for n in TESTED}
    assert segments(dataset) == expected | {"Test001": [(0, 3), (7, 8), (20, 25)]}
    videos = [*dataset.videos("train"), *dataset.videos("test")]
    assert all(v.frames == (25 if v.name.startswith("Test") else None) for v in videos)
    assert all(v.path.name == v.name for v in videos) and dataset.problems == []


def test_masks_and_intervals_that_agree_are_one_truth(root):
    without = segments(UcsdPed2(root))
    add_masks(root, Test003=None)
    assert segments(UcsdPed2(root)) == without and list(without) == TESTED


@pytest.mark.parametrize(
    ("runs", "said"), [([(1, 12)], "2 to 12"), ([(2, 6), (8, 12)], "3 to 6, 9 to 12"), ([], "none")]
)
@pytest.mark.parametrize("name", ["Test003", "Test002"])
def test_masks_and_intervals_that_differ_are_refused(root, name, runs, said):
    add_masks(root, **{name: runs})
    last = int(name[-3:]) + 9
    words = rf"{name}: .*UCSDped2\.m says that frames {last - 9} to {last} .*{name}_gt say {said}; fetch"
    with pytest.raises(DataError, match=words):
        UcsdPed2(root).read()


@pytest.mark.parametrize("count", [24, 26, 1])
def test_another_number_of_masks_than_frames_is_refused(root, count):
    add_masks(root, Test004=None)
    write_masks(root / "UCSDped2" / "Test" / "Test004_gt", count, [(3, 13)])
    with pytest.raises(DataError, match=rf"Test004: .*Test004 has 25 frames, .*Test004_gt {count} masks"):
        UcsdPed2(root).read()


def test_masks_must_be_as_many_as_the_frames_of_a_video_file_too(tmp_path):
    for name in ("Test001", "Test003"):
        write_video(tmp_path / f"{name}.mp4", (np.zeros((16, 16, 3), np.uint8) for _ in range(20)), 10)
    for name in TESTED:
        write_masks(tmp_path / f"{name}_gt", 20, [(2, 4)])
    assert set(segments(UcsdPed2(tmp_path))) == set(TESTED)
    (tmp_path / "Test003_gt" / "020.bmp").unlink()
    with pytest.raises(DataError, match=r"Test003: .*Test003\.mp4 has 20 frames, .*Test003_gt 19 masks"):
        UcsdPed2(tmp_path).videos("test")


def test_a_test_clip_without_masks_is_named_where_only_masks_say_what_is_abnormal(root):
    (root / "UCSDped2" / "Test" / "UCSDped2.m").unlink()
    add_masks(root, Test005=None)
    with pytest.raises(DataError, match=r"expected a folder Test005_gt as other clips have, found none"):
        UcsdPed2(root).read()


def test_masks_without_any_pixel_are_noted(root):
    (root / "UCSDped2" / "Test" / "UCSDped2.m").unlink()
    add_masks(root, Test007=[])
    dataset = UcsdPed2(root)
    assert "Test007" not in segments(dataset)
    assert len(dataset.problems) == 1 and "Test007 is abnormal and no pixel of its masks" in dataset.problems[0]


@pytest.mark.parametrize(
    ("damage", "words"), [(b"", "003.bmp: damaged image"), (None, "expected images .* found none")]
)
def test_damaged_masks_are_named(root, damage, words):
    add_masks(root, Test001=None)
    folder = root / "UCSDped2" / "Test" / "Test001_gt"
    folder.mkdir()
    if damage is not None:
        write_masks(folder.with_name("made"), 25, [(0, 10)])
        folder.rmdir()
        folder.with_name("made").rename(folder)
        (folder / "003.bmp").write_bytes(damage)
    with pytest.raises(DataError, match=f"Test001_gt.*{words}"):
        UcsdPed2(root).read()


def test_a_damaged_clip_does_not_hide_the_others(root):
    add_masks(root)
    clip = root / "UCSDped2" / "Test" / "Test004"
    for image in clip.iterdir():
        image.unlink()
    clip.rmdir()
    clip.with_suffix(".mp4").write_bytes(b"nothing")
    test = UcsdPed2(root).videos("test")
    assert len(test) == 18 and sum(bool(v.segments) for v in test) == 6


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.sampled_from(["1", "L", "P", "RGB"]))
def test_any_masks_are_read_as_their_runs(tmp_path_factory, abnormal, mode):
    folder = tmp_path_factory.mktemp("masks")
    for t, set_here in enumerate(abnormal, start=1):
        image = Image.new("L", (5, 3))
        image.putpixel((4, 2), 255 * set_here)
        # Without leading zeros the order by number is not that by text.
        image.convert(mode).save(folder / f"{t}.bmp")
    mask = read_mask(folder)
    again = np.zeros(len(abnormal), bool)
    for start, end in mask.runs:
        assert not again[max(start - 1, 0) : end + 1].any()
        again[start:end] = True
    assert (mask.frames, again.tolist()) == (len(abnormal), abnormal)


def test_the_real_intervals_rendered_to_masks_are_read_back(test_data, tmp_path):
    source = test_data / "ucsdped2"
    for (folder, frames), ((first,), (last,)) in zip(
        json.loads((source / "frame_counts.json").read_text()).items(),
        json.loads((source / "ped2_mat_gt.json").read_text()),
        strict=False,
    ):
        name = f"Test0{folder[-2:]}"
        assert folder == f"testing/frames/{name[-2:]}"
        write_masks(tmp_path / f"{name}_gt", frames, [(first - 1, last)])
    masked, stated = UcsdPed2(tmp_path), UcsdPed2(source)
    assert segments(masked) == segments(stated)
    assert sum(len(range(*run)) for n in TESTS for run in read_mask(tmp_path / f"{n}_gt").runs) == 1624
    assert {v.name: v.frames for v in masked.videos("test") if v.frames} == {
        v.name: declared_frames(v.path) for v in stated.videos("test") if v.segments
    }
    (tmp_path / "ped2_mat_gt.json").write_bytes((source / "ped2_mat_gt.json").read_bytes())
    assert segments(UcsdPed2(tmp_path)) == segments(stated)


def test_the_real_clips_have_the_documented_counts(test_data):
    dataset = UcsdPed2(test_data / "ucsdped2")
    dataset.prepare()
    videos = [*dataset.videos("train"), *dataset.videos("test")]
    assert {s: len(dataset.videos(s)) for s in ("train", "test")} == dataset.expected
    frames = {v.name: declared_frames(v.path) for v in videos}
    assert sum(frames.values()) == 4560
    intervals = read_intervals(test_data / "ucsdped2" / "ped2_mat_gt.json")
    assert sum(end - start for start, end in intervals.values()) == 1624
    assert all(v.segments[0].end <= frames[v.name] for v in videos if v.segments)
