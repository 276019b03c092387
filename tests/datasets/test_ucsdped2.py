import json

import numpy as np
import pytest
from PIL import Image
from vadbench_ucsdped2.dataset import UcsdPed2

from vadbench.errors import DataError
from vadbench.media import declared_frames, read_frames, write_video

INTERVALS = [[[1 + i], [10 + i]] for i in range(12)]


@pytest.fixture
def root(tmp_path):
    """The official download's form with tiny frames."""
    for side, count in (("Train", 16), ("Test", 12)):
        for i in range(1, count + 1):
            folder = tmp_path / "UCSDped2" / side / f"{side}{i:03d}"
            folder.mkdir(parents=True)
            for t in range(1, 26):
                Image.fromarray(np.full((8, 12), t * 5, np.uint8)).save(folder / f"{t:03d}.tif")
    lines = [f"TestVideoFile{{end+1}}.gt_frame = [{a}:{b}];" for (a,), (b,) in INTERVALS]
    (tmp_path / "UCSDped2" / "Test" / "UCSDped2.m").write_text("TestVideoFile = {};\n" + "\n".join(lines))
    return tmp_path


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
    assert [v.name for v in dataset.videos("test")] == ["Test001"]
    assert {v.name: dataset.is_normal(v) for v in dataset.videos("train")} == {"Test002": False, "Train007": True}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2]", "expected a list of"),
        (json.dumps(INTERVALS[:5]), "found 5"),
        (None, "no abnormal intervals"),
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
        UcsdPed2(tmp_path).prepare()


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
        UcsdPed2(root).prepare()
    assert words in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_an_empty_root_says_what_is_expected(tmp_path):
    with pytest.raises(DataError, match=r"no clip of ucsdped2.*UCSDped2/Test/Test001"):
        UcsdPed2(tmp_path).prepare()


def test_the_real_clips_have_the_documented_counts(test_data):
    dataset = UcsdPed2(test_data / "ucsdped2")
    dataset.prepare()
    videos = [*dataset.videos("train"), *dataset.videos("test")]
    assert {s: len(dataset.videos(s)) for s in ("train", "test")} == dataset.expected
    frames = {v.name: declared_frames(v.path) for v in videos}
    assert sum(frames.values()) == 4560
    assert sum(end - start for start, end in dataset._intervals().values()) == 1624
    assert all(v.segments[0].end <= frames[v.name] for v in videos if v.segments)
