import json

import numpy as np
import pytest
from vadbench_shanghaitech.dataset import ShanghaiTech

from roots.shanghaitech import RUNS, SPANS, make_root
from vadbench.base.errors import DataError
from vadbench.dataset import Video, merged
from vadbench.features.layouts import open_features
from vadbench.harness.given_features import choose_features


def refused(root, *words, boundaries="native"):
    with pytest.raises(DataError) as caught:
        for split in ("train", "test"):
            ShanghaiTech(root).videos(split, boundaries)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_the_class_table_is_that_of_the_paper():
    table = ShanghaiTech.classes
    assert len(table) == 18 and table.names == tuple(sorted(table.names))
    assert (table.normal, table.names[8], table.names[15]) == (8, "normal", "throwing object")


@pytest.mark.parametrize("masks", ["npy", "json", None])
@pytest.mark.parametrize("boundaries", ["native", "anomalyclip", "vadclip"])
def test_masks_and_spans_give_the_truth(tmp_path, masks, boundaries):
    dataset = ShanghaiTech(make_root(tmp_path, masks))
    dataset.prepare()
    train, test = dataset.videos("train", boundaries), dataset.videos("test", boundaries)
    assert [(v.name, v.labels, v.frames, v.segments) for v in train] == [
        ("01_001", ("normal",), None, ()),
        ("01_0014", ("vehicle",), 16, ()),
    ]
    assert [(v.name, v.labels, v.frames) for v in test] == [
        # AnomalyCLIP's authors know one class a video.
        ("01_0015", ("jumping", "chasing")[: 1 if boundaries == "anomalyclip" else 2], 17),
        ("12_0142", ("throwing object",), 1),
        ("02_003", ("normal",), None),
    ]
    assert [[(s.label, s.start, s.end) for s in v.segments] for v in test] == [
        [("chasing", 0, 2), ("jumping", 4, 8), ("jumping", 9, 10)],
        [("throwing object", 0, 1)],
        [],
    ]
    assert all(v.binary is None for v in test)
    assert len(dataset.problems) == (0 if masks else 1)


def test_the_mask_says_what_is_abnormal_where_the_spans_differ(tmp_path):
    dataset = ShanghaiTech(make_root(tmp_path, runs={**RUNS, "01_0015": (17, [(0, 2), (4, 7), (7, 11)])}))
    video = dataset.videos("test")[0]
    assert video.binary == ((0, 2), (4, 11)) != merged(video.segments)
    assert any("'01_0015': the mask and" in p and "differ" in p for p in dataset.problems)


def test_videos_and_frames_of_the_official_download_are_found(tmp_path):
    root = make_root(tmp_path)
    (root / "training" / "videos").mkdir(parents=True)
    (root / "training" / "videos" / "01_001.avi").touch()
    for folder in ("testing/frames/01_0015", "training/frames/01_001"):
        (root / folder).mkdir(parents=True)
        (root / folder / "000.jpg").touch()
    dataset = ShanghaiTech(root)
    found = [v.path and str(v.path.relative_to(root)) for s in ("train", "test") for v in dataset.videos(s)]
    assert found == ["training/videos/01_001.avi", None, "testing/frames/01_0015", None, None]


def test_anomalyclip_reads_its_own_lists_and_temporal_annotation(tmp_path):
    lists = {
        "Anomaly_Train_Abnormal.txt": "x/01_0014 1 16 17",
        "Anomaly_Train_Normal.txt": "x/01_001 1 30 8",
        "Anomaly_Test.txt": "x/01_0015 1 17 6\nx/02_003 1 30 8",
        "Temporal_Anomaly_Annotation_for_Testing_Videos.txt": "01_0015.avi jumping 5 8 10 10\n02_003.avi normal -1 -1",
        "semantic_annotation.json": None,
    }
    dataset = ShanghaiTech(make_root(tmp_path, **lists))
    assert [(v.name, v.labels) for v in dataset.videos("train", "anomalyclip")] == [
        ("01_0014", ("vehicle",)),
        ("01_001", ("normal",)),
    ]
    abnormal, normal = dataset.videos("test", "anomalyclip")
    assert (abnormal.labels, abnormal.frames, normal.labels) == (("jumping",), 17, ("normal",))
    assert [(s.label, s.start, s.end) for s in abnormal.segments] == [("jumping", 4, 8), ("jumping", 9, 10)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"SH_Train.txt": None}, ["no train list", "SH_Train.txt and SH_Test.txt"]),
        ({"SH_Test.txt": " \n"}, ["SH_Test.txt: the list is empty"]),
        ({"SH_Test.txt": "01_0015\n../01_0014"}, ["SH_Test.txt, line 2", "'..'"]),
        ({"SH_Test.txt": "01_0015\n/x/01_0014"}, ["SH_Test.txt, line 2", "outside the data root"]),
        ({"SH_Test.txt": "01_0015\n1_14"}, ["SH_Test.txt, line 2", "such as 01_001"]),
        ({"SH_Test.txt": "01_0016"}, ["SH_Test.txt, line 1", "no '0016'"]),
        ({"semantic_annotation.json": None}, ["semantic_annotation.json not found", "MLEP"]),
        ({"semantic_annotation.json": "[]"}, ["semantic_annotation.json: expected an object"]),
        ({"semantic_annotation.json": "{"}, ["expected JSON"]),
        ({"semantic_annotation.json": '{"0014": {"length": 3}}'}, ["'0014'", "expected 'length' and 'anomalies'"]),
        ({"semantic_annotation.json": '{"0014": {"length": 3, "anomalies": []}}'}, ["'0014'", "at least one"]),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, changes, words):
    refused(make_root(tmp_path, **changes), *words)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        ({"jumping": [[0, 3]]}, ["'0015'", "found 0 3"]),
        ({"jumping": [[3, 2]]}, ["'0015'", "found 3 2"]),
        ({"flying": [[3, 4]]}, ["'0015'", "unknown class 'flying'"]),
        ({"jumping": [[18, 20]]}, ["'0015'", "starts past its 17 frames"]),
        ({"jumping": [[1, 20]]}, ["'0015'", "'01_0015' ends more than 2 frames past its 17 frames"]),
        ({"jumping": [[1, "7" * 5000]]}, ["'0015'", "at most nine digits"]),
        ({"jumping": [[1, float("inf")]]}, ["semantic_annotation.json", "at most nine digits"]),
        ({"jum\n\u2028ping": [[1, 2]]}, ["'0015'", "unknown class 'jum ping'"]),
    ],
)
def test_bad_spans_are_refused(tmp_path, span, words):
    spans = {**SPANS, "0015": {"anomalies": [span], "length": 17}}
    refused(make_root(tmp_path, **{"semantic_annotation.json": json.dumps(spans)}), *words)


def test_a_span_past_the_end_is_cut_and_noted(tmp_path):
    spans = {**SPANS, "0142": {"anomalies": [{"car": [[1, 2]]}], "length": 1}}
    dataset = ShanghaiTech(make_root(tmp_path, **{"semantic_annotation.json": json.dumps(spans)}))
    assert [(s.start, s.end) for s in dataset.videos("test")[1].segments] == [(0, 1)]
    assert any("'0142': interval 1 2 of '12_0142' ends past its 1 frames" in p for p in dataset.problems)


def write_pickle(path):
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def write_archive(path):
    with path.open("wb") as file:
        np.savez(file, np.zeros(3))


def header_of(text):
    """A file with the magic of an array file and a header of one's own."""
    raw = text.encode("latin1") + b"\n"
    return lambda path: path.write_bytes(b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw + b"\1\0\1")


def damaged_header(text):
    return header_of(text), "expected an array of 0 and 1"


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda p: p.write_bytes(b"PK\3\4 and no archive"), "expected an array of 0 and 1"),
        (write_archive, "expected an array of 0 and 1"),
        (header_of("{'descr': '|u1', 'fortran_order': False, 'shape': (10000001,), }"), "(10000001,)"),
        (header_of("{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }"), "(10000000000000,)"),
        (header_of("{'descr': '<U999999', 'fortran_order': False, 'shape': (3,), }"), "<U999999"),
        damaged_header("{'descr': '|u1', 'fortran_order': False, 'shape': (9,), }"),
        damaged_header("{'descr': '|u1', 'fortran_order': False, 'shape': (3,"),
        damaged_header("{'descr': (), 'fortran_order': False, 'shape': (3,), }"),
        damaged_header("{'descr': '"),
        damaged_header("(" * 9000),
        damaged_header("x" * 20_000),
        damaged_header("\0"),
        (write_pickle, "found object of shape (1,)"),
        (lambda p: p.write_text("this is text"), "expected an array of 0 and 1"),
        (lambda p: p.write_bytes(b""), "expected an array of 0 and 1"),
        (lambda p: np.save(p, np.zeros((3, 1, 2))), "(3, 1, 2)"),
        (lambda p: np.save(p, np.full(3, 2)), "one 0 or 1 a frame"),
        (lambda p: np.save(p, np.full(3, np.nan)), "one 0 or 1 a frame"),
        (lambda p: np.save(p, np.zeros(0)), "one 0 or 1 a frame"),
        (lambda p: p.unlink(), "expected a mask of '01_0015'"),
    ],
)
def test_a_mask_that_is_none_is_refused(tmp_path, write, words):
    root = make_root(tmp_path)
    write(root / "testing" / "test_frame_mask" / "01_0015.npy")
    refused(root, "01_0015", words)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"n": 0, "runs": []}, "a number of frames from 1 to"),
        ({"n": 10_000_001, "runs": []}, "a number of frames from 1 to"),
        ({"n": 10**13, "runs": []}, "at most nine digits"),
        ({"n": float("inf"), "runs": []}, "at most nine digits, found 'Infinity'"),
        ({"n": None, "runs": []}, "at most nine digits"),
        ({"n": 17, "runs": [[3, "7" * 5000]]}, "at most nine digits"),
        ({"n": 17}, "expected {'n': frames"),
        ({"n": 17, "runs": [[3, 18]]}, "within its 17 frames"),
        ({"n": 17, "runs": [[5, 5]]}, "within its 17 frames"),
        ([], "expected {'n': frames"),
    ],
)
def test_masks_as_runs_are_checked(tmp_path, entry, words):
    refused(
        make_root(tmp_path, None, **{"frame_masks.json": json.dumps({"01_0015": entry})}), "frame_masks.json", words
    )


def test_an_empty_folder_of_masks_is_refused(tmp_path):
    refused(make_root(tmp_path, runs={}), "test_frame_mask", "a mask for each abnormal video")


@pytest.fixture
def real(test_data):
    return ShanghaiTech(test_data / "shanghaitech")


def test_the_real_lists_have_the_documented_videos(real):
    train, test = real.videos("train"), real.videos("test")
    assert {"train": len(train), "test": len(test)} == real.expected
    assert [sum(not real.is_normal(v) for v in videos) for videos in (train, test)] == [63, 44]
    assert len({v.name[:2] for v in (*train, *test)}) == 13
    assert len({label for v in (*train, *test) for label in v.labels}) == 18


def test_the_real_masks_have_the_documented_counts_and_equal_the_class_spans(real, test_data):
    masks = json.loads((test_data / "shanghaitech" / "frame_masks.json").read_text())
    assert sum(m["n"] for m in masks.values()) == 40_791
    assert sum(b - a for m in masks.values() for a, b in m["runs"]) == 17_326
    videos = [v for s in ("train", "test") for v in real.videos(s) if not real.is_normal(v)]
    assert {v.name: v.frames for v in videos} == {name: m["n"] for name, m in masks.items()}
    test = [v for v in videos if v.segments]
    assert len(test) == 44
    for v in test:
        assert v.binary is None
        assert sum(b - a for a, b in merged(v.segments)) == sum(b - a for a, b in masks[v.name]["runs"])
    assert real.problems == []


def test_every_real_video_has_the_documented_truth_if_it_were_a_test_video(test_data, tmp_path):
    source = test_data / "shanghaitech"
    for name in ("semantic_annotation.json", "frame_masks.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    both = (source / "SH_Train.txt").read_text() + "\n" + (source / "SH_Test.txt").read_text()
    (tmp_path / "SH_Test.txt").write_text(both)
    (tmp_path / "SH_Train.txt").write_text("01_001")
    videos = ShanghaiTech(tmp_path).videos("test")
    abnormal = [v for v in videos if v.segments]
    assert (len(videos), len(abnormal)) == (437, 107)
    assert sum(v.frames for v in abnormal) == 40_791
    assert sum(end - start for v in abnormal for start, end in merged(v.segments)) == 17_326
    assert all(v.binary is None for v in videos)


def test_masks_beside_features_of_the_same_names_are_no_features(tmp_path):
    for folder, array in (("testing/test_frame_mask", np.zeros(5, np.uint8)), ("clip", np.ones((5, 4), np.float32))):
        (tmp_path / folder).mkdir(parents=True)
        np.save(tmp_path / folder / "01_0014.npy", array)
    dataset, video = ShanghaiTech(tmp_path), Video("01_0014", ("car",), frames=5)
    given = choose_features(dataset, [video], None)
    source = open_features(given.folder, {"01_0014"}, {"01_0014": 5}, given.layout, given.without)
    assert source.crop_rows("01_0014", "center").shape == (5, 4)
    (tmp_path / "clip" / "01_0014.npy").unlink()
    assert choose_features(dataset, [video], None) is None
