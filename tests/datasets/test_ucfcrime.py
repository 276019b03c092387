import csv
import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vadbench_ucfcrime.dataset import UcfCrime

from roots.ucfcrime import NAMES, TEMPORAL, TEMPORAL_FILE, TEST, TRAIN, make_root
from vadbench.base.errors import DataError
from vadbench.data.annotations.lists import read_list


def frames_of(video, total):
    """0/1 for each of the first ``total`` frames."""
    truth = np.zeros(total, int)
    for s in video.segments:
        truth[s.start : s.end] = 1
    return truth


def refused(root, *words):
    dataset = UcfCrime(root)
    with pytest.raises(DataError) as caught:
        dataset.prepare()
        dataset.read()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_the_class_table_is_that_of_the_papers():
    table = UcfCrime.classes
    assert table.names == (*NAMES.split(), "Stealing", "Vandalism") == tuple(sorted(table.names))
    assert (len(table), table.normal, table.words[8]) == (14, 7, "road accidents")
    for alias in ("Training_Normal_Videos_Anomaly", "Testing_Normal_Videos_Anomaly", "Normal_Videos_event", "normal"):
        assert table.id(alias) == 7
    assert table.id("roadAccidents") == 8


def test_the_official_lists_are_read(tmp_path):
    dataset = UcfCrime(make_root(tmp_path))
    dataset.prepare()
    train, test = dataset.videos("train"), dataset.videos("test")
    assert [(v.name, v.labels, v.frames, v.segments) for v in train] == [
        ("Abuse001_x264", ("Abuse",), None, ()),
        ("Normal_Videos001_x264", ("Normal",), None, ()),
    ]
    assert [(v.name, v.labels, v.frames) for v in test] == [
        ("RoadAccidents010_x264", ("RoadAccidents",), 60),
        ("Shooting015_x264", ("Shooting",), 50),
        ("Normal_Videos_003_x264", ("Normal",), 17),
    ]
    assert [[(s.label, s.start, s.end) for s in v.segments] for v in test] == [
        [("RoadAccidents", 0, 20), ("RoadAccidents", 30, 40)],
        [("Shooting", 4, 50)],
        [],
    ]
    assert all(v.path is None and v.binary is None for v in (*train, *test))
    assert len(dataset.problems) == 1
    assert "Shooting015_x264' ends past its 50 frames" in dataset.problems[0]
    assert f"{TEMPORAL_FILE}, line 3" in dataset.problems[0]


@pytest.mark.parametrize("place", ["Temporal_Anomaly_Annotation.txt", "Annotations/Temporal_Anomaly_Annotation.txt"])
def test_the_annotation_is_found_under_its_other_name(tmp_path, place):
    usual = [v.segments for v in UcfCrime(make_root(tmp_path / "usual")).videos("test")]
    both = UcfCrime(make_root(tmp_path / "both", **{place: TEMPORAL}))
    assert [v.segments for v in both.videos("test")] == usual
    assert not any(place in problem for problem in both.problems)
    alone = UcfCrime(make_root(tmp_path / "alone", **{place: TEMPORAL, TEMPORAL_FILE: None}))
    assert [v.segments for v in alone.videos("test")] == usual
    assert [v.frames for v in alone.videos("test")] == [60, 50, 17], "frame counts are still read"
    assert sum(f"{tmp_path / 'alone' / place} is read as {TEMPORAL_FILE}" in p for p in alone.problems) == 1


def test_a_file_of_counts_is_none_of_intervals(tmp_path):
    counts = ["X/Shooting015_x264.mp4 50"]
    root = make_root(tmp_path, **{"Temporal_Anomaly_Annotation.txt": counts, TEMPORAL_FILE: None})
    refused(root, f"{TEMPORAL_FILE} not found")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "Shooting015_x264.mp4  Shooting  5.0  52.0  -1  -1",
            "expected a whole number of at most nine digits, found '5.0'",
        ),
        ("Shooting015_x264.mp4  Shoot Ing  5  52  -1  -1", "unknown class 'Shoot Ing'"),
    ],
)
def test_an_annotated_line_that_is_damaged_is_not_called_missing(tmp_path, line, words):
    refused(make_root(tmp_path, **{TEMPORAL_FILE: [*TEMPORAL[:2], line]}), f"{TEMPORAL_FILE}, line 3", words)


@pytest.mark.parametrize("frames", [1, 15, 16, 17])
def test_short_videos(tmp_path, frames):
    temporal = [*TEMPORAL[:2], f"Shooting015_x264.mp4 Shooting {frames} {frames}"]
    counts = [f"X/Shooting015_x264.mp4 {frames}"]
    root = make_root(tmp_path, **{"Test_Annotation.txt": counts, TEMPORAL_FILE: temporal})
    video = UcfCrime(root).videos("test")[1]
    assert [(s.start, s.end) for s in video.segments] == [(frames - 1, frames)]


def test_each_protocol_has_its_boundaries(tmp_path):
    dataset = UcfCrime(make_root(tmp_path))
    spans = {
        b: [(s.start, s.end) for v in dataset.videos("test", b) for s in v.segments]
        for b in ("native", "anomalyclip", "vadclip")
    }
    assert spans == {
        "native": [(0, 20), (30, 40), (4, 50)],
        "anomalyclip": [(1, 21), (31, 41), (5, 53)],
        "vadclip": [(1, 20), (31, 40), (5, 52)],
    }


@pytest.mark.parametrize("first", [0, 1, 7])
def test_anomalyclip_counts_from_the_first_frame_of_its_own_lists(tmp_path, first):
    lists = {
        "Anomaly_Train.txt": None,
        "Anomaly_Test.txt": TEST,
        "Annotations/Anomaly_Train_Abnormal.txt": ["Abuse/Abuse001_x264 0 99 0"],
        "Annotations/Anomaly_Train_Normal.txt": ["Training_Normal_Videos_Anomaly/Normal_Videos001_x264 0 9 7"],
        "Annotations/Anomaly_Test.txt": [
            f"RoadAccidents/RoadAccidents010_x264 {first} {first + 59} 8",
            f"Shooting/Shooting015_x264 {first} {first + 49} 10",
            f"Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264 {first} {first + 16} 7",
        ],
    }
    dataset = UcfCrime(make_root(tmp_path, **lists))
    assert [v.name for v in dataset.videos("train")] == ["Abuse001_x264", "Normal_Videos001_x264"]
    for video, pairs in zip(dataset.videos("test", "anomalyclip"), [[(1, 20), (31, 40)], [(5, 52)], []], strict=True):
        rule = [int(any(s <= i + first <= e for s, e in pairs)) for i in range(60)]
        assert frames_of(video, 60).tolist() == rule


@pytest.mark.parametrize("boundaries", ["anomalyclip", "vadclip"])
def test_an_interval_far_past_the_end_is_refused_whatever_the_boundaries(tmp_path, boundaries):
    root = make_root(tmp_path, **{TEMPORAL_FILE: [*TEMPORAL[:2], "Shooting015_x264.mp4 Shooting 5 54"]})
    with pytest.raises(DataError, match=r"line 3: .*Shooting015_x264' ends more than 2 frames past its 50 frames"):
        UcfCrime(root).videos("test", boundaries)


@pytest.fixture
def anomalyclip_root(tmp_path):
    """The official lists, and AnomalyCLIP's with a video in each split that those do not name."""
    test = [f"{TEST[0]} 0 59 8", f"{TEST[1]} 0 49 10", f"{TEST[2]} 0 16 7", "Normal/only_test 0 16 7"]
    lists = {
        "Own/Anomaly_Train_Abnormal.txt": ["Abuse/only_train 0 99 0"],
        "Own/Anomaly_Train_Normal.txt": ["Training_Normal_Videos_Anomaly/Normal_Videos001_x264 0 9 7"],
        "Own/Anomaly_Test.txt": test,
    }
    return make_root(tmp_path, **lists)


@pytest.mark.parametrize("before", ["native", "anomalyclip"])
def test_frames_of_videos_that_only_anomalyclip_lists_are_found(anomalyclip_root, before):
    for name in ("only_train", "only_test", "Abuse001_x264"):
        (anomalyclip_root / "frames" / name).mkdir(parents=True)
        (anomalyclip_root / "frames" / name / "1.jpg").touch()
    dataset = UcfCrime(anomalyclip_root)
    dataset.videos("test", before)
    own = {v.name: v.path for s in ("train", "test") for v in dataset.videos(s, "anomalyclip")}
    assert own["only_train"] == anomalyclip_root / "frames" / "only_train"
    assert own["only_test"] == anomalyclip_root / "frames" / "only_test"
    assert dataset.videos("train")[0].path == anomalyclip_root / "frames" / "Abuse001_x264"


def test_each_list_is_parsed_once(anomalyclip_root, monkeypatch):
    parsed = Counter()

    def counting(path, root):
        parsed[path.relative_to(root)] += 1
        return read_list(path, root)

    monkeypatch.setattr("vadbench.data.annotations.listed_dataset.read_list", counting)
    dataset = UcfCrime(anomalyclip_root)
    for boundaries in ("native", "anomalyclip", "vadclip"):
        dataset.videos("train", boundaries), dataset.videos("test", boundaries)
    assert len(parsed) == 5 and set(parsed.values()) == {1}


def test_vadclip_lists_do_as_well(tmp_path):
    rows = {"train": TRAIN, "test": TEST}
    lists = {
        f"list/ucf_{split}.csv": ["path,label"]
        + [f"/home/someone/{p.split('/')[-1][:-4]}__{c}.npy,{p.split('/')[0]}" for p in paths for c in range(10)]
        for split, paths in rows.items()
    }
    dataset = UcfCrime(
        make_root(tmp_path, **{"Anomaly_Train.txt": None, "Annotations/Anomaly_Test.txt": None}, **lists)
    )
    assert [v.labels for s in ("train", "test") for v in dataset.videos(s)] == [
        ("Abuse",),
        ("Normal",),
        ("RoadAccidents",),
        ("Shooting",),
        ("Normal",),
    ]


def test_videos_are_found_and_what_is_missing_or_extra_is_noted(tmp_path):
    root = make_root(tmp_path)
    for place in ("Anomaly-Videos-Part-1/Abuse/Abuse001_x264.mp4", "Videos/Shooting/Shooting015_x264.mp4"):
        (root / place).parent.mkdir(parents=True)
        (root / place).touch()
    (root / "Abuse099_x264.avi").touch()
    (root / "frames" / "RoadAccidents010_x264").mkdir(parents=True)
    (root / "frames" / "RoadAccidents010_x264" / "000001.jpg").touch()
    dataset = UcfCrime(root)
    dataset.prepare()
    found = {v.name: v.path and str(v.path.relative_to(root)) for s in ("train", "test") for v in dataset.videos(s)}
    assert found == {
        "Abuse001_x264": "Anomaly-Videos-Part-1/Abuse/Abuse001_x264.mp4",
        "Normal_Videos001_x264": None,
        "RoadAccidents010_x264": "frames/RoadAccidents010_x264",
        "Shooting015_x264": "Videos/Shooting/Shooting015_x264.mp4",
        "Normal_Videos_003_x264": None,
    }
    problems = "\n".join(dataset.problems)
    assert "1 video files are in no list" in problems and "Abuse099_x264.avi" in problems
    assert "1 of 2 train videos have no file" in problems and "'Normal_Videos001_x264' of" in problems
    assert "1 of 3 test videos have no file" in problems and "Anomaly_Test.txt, line 3" in problems
    listing = dataset.read()
    assert len(dataset.problems) == 4, "asking twice notes nothing twice"
    assert sorted(listing.problems) == sorted(dataset.problems), "nor does it leave anything out"


def test_a_reading_has_its_own_problems_whoever_read_before(tmp_path):
    """The native reading cuts an interval at the end of its video, VadCLIP's does not."""
    root = make_root(tmp_path)
    fresh, used = UcfCrime(root), UcfCrime(root)
    native = used.read()
    assert len(native.problems) == 1 and "ends past its 50 frames" in native.problems[0]
    assert used.read("vadclip") == fresh.read("vadclip")
    assert fresh.problems == [] and list(fresh.read().problems) == list(native.problems)


def test_a_video_that_lies_there_twice_is_noted(tmp_path):
    root = make_root(tmp_path)
    for folder in ("Normal_Videos_event", "Training_Normal_Videos_Anomaly"):
        (root / folder).mkdir()
        (root / folder / "Normal_Videos001_x264.mp4").touch()
    dataset = UcfCrime(root)
    assert dataset.videos("train")[1].path.parent.name == "Training_Normal_Videos_Anomaly"
    assert any("has 2 files" in p and "Normal_Videos_event" in p for p in dataset.problems)


@pytest.mark.parametrize("name", ["two  words", "a#1=b", 'it\'s "quoted"', "Jiří 北京"])
def test_odd_names(tmp_path, name):
    root = make_root(
        tmp_path,
        **{
            "Annotations/Anomaly_Test.txt": [f"Arson/{name}.mp4"],
            TEMPORAL_FILE: [f"{name}.mp4  Arson  1  5  -1  -1"],
        },
    )
    (root / f"{name}.mp4").touch()
    (video,) = UcfCrime(root).videos("test")
    assert (video.name, video.labels, video.path.name) == (name, ("Arson",), f"{name}.mp4")
    assert [(s.start, s.end) for s in video.segments] == [(0, 5)]


@pytest.mark.parametrize(
    ("file", "lines", "words"),
    [
        ("Anomaly_Train.txt", None, ["no train list", "Anomaly_Train.txt and Anomaly_Test.txt"]),
        ("Anomaly_Train.txt", [""], ["Anomaly_Train.txt: the list is empty"]),
        ("Anomaly_Train.txt", [*TRAIN, "../a.mp4"], ["Anomaly_Train.txt, line 3", "'..'"]),
        ("Anomaly_Train.txt", [*TRAIN, "/else/Abuse/a.mp4"], ["Anomaly_Train.txt, line 3", "outside the data root"]),
        ("Anomaly_Train.txt", [*TRAIN, "Abusing/a.mp4"], ["Anomaly_Train.txt, line 3", "unknown class 'Abusing'"]),
        ("Anomaly_Train.txt", [*TRAIN, "a.mp4"], ["Anomaly_Train.txt, line 3", "'a' alone"]),
        ("Anomaly_Train.txt", [*TRAIN, "Abuse/a.mp4 7183"], ["Anomaly_Train.txt, line 3", "expected a path alone"]),
        ("Anomaly_Train.txt", [*TRAIN, TRAIN[0]], ["line 3", "listed already"]),
        ("Anomaly_Train.txt", ["Abuse/Abuse001_x264 0 99 1"], ["line 1", "not the same class"]),
        ("Anomaly_Train.txt", ["Abuse/Abuse001_x264 0 99 14"], ["line 1", "class ids below 14"]),
        (TEMPORAL_FILE, None, [TEMPORAL_FILE, "not found in", "the data set's page"]),
        (TEMPORAL_FILE, TEMPORAL[:2], [TEMPORAL_FILE, "a line for 'Shooting015_x264'", "Anomaly_Test.txt, line 2"]),
        (
            TEMPORAL_FILE,
            [*TEMPORAL[:2], "Shooting015_x264.mp4 Shooting 51 60"],
            ["line 3", "starts past its 50 frames"],
        ),
        (
            TEMPORAL_FILE,
            [*TEMPORAL[:2], "Shooting015_x264.mp4 Shooting 5 53"],
            [f"{TEMPORAL_FILE}, line 3", "'Shooting015_x264' ends more than 2 frames past its 50 frames"],
        ),
        (TEMPORAL_FILE, [*TEMPORAL, "b.mp4 Abuse 1 " + "7" * 5000], ["line 4", "at most nine digits"]),
        ("Test_Annotation.txt", ["a.mp4 " + "7" * 5000], ["Test_Annotation.txt, line 1", "at most nine digits"]),
        (TEMPORAL_FILE, [*TEMPORAL[:2], "Shooting015_x264.mp4 Shoot 5 6"], ["line 3", "unknown class 'Shoot'"]),
        (TEMPORAL_FILE, [*TEMPORAL[:2], "Shooting015_x264.mp4 Shooting 6 5"], ["line 3", "found 6 5"]),
        (TEMPORAL_FILE, [*TEMPORAL[1:], "Normal_Videos_003_x264.mp4 Abuse 6 8"], ["line 3", "is normal by"]),
        ("Test_Annotation.txt", ["a.mp4 none"], ["Test_Annotation.txt, line 1", "number of frames"]),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, file, lines, words):
    refused(make_root(tmp_path, **{file: lines}), *words)


def test_a_csv_list_without_its_header_is_refused(tmp_path):
    changes = {"Anomaly_Train.txt": None, "train.csv": ["/x/a__0.npy,Abuse"]}
    refused(make_root(tmp_path, **changes), "train.csv, line 1", "expected the header 'path,label'")


def test_two_csv_lists_of_one_split_are_refused(tmp_path):
    lists = {"a.csv": ["path,label", "/x/a__0.npy,Abuse"], "b.csv": ["path,label", "/x/a__0.npy,Abuse"]}
    refused(make_root(tmp_path, **{"Anomaly_Train.txt": None}, **lists), "one csv list of the train split", "keep one")


def test_a_segment_of_another_class_and_strangers_are_noted(tmp_path):
    lines = [*TEMPORAL[:2], "Shooting015_x264.mp4 Robbery 5 6", "Arson001_x264.mp4 Arson 1 2"]
    dataset = UcfCrime(make_root(tmp_path, **{TEMPORAL_FILE: lines}))
    assert dataset.videos("test")[1].segments[0].label == "Robbery"
    assert any("has a segment of Robbery, its label is Shooting" in p for p in dataset.problems)
    assert any("1 videos are not in the test list, the first is 'Arson001_x264'" in p for p in dataset.problems)


def test_an_abnormal_video_without_an_interval_is_noted(tmp_path):
    lines = [*TEMPORAL[:2], "Shooting015_x264.mp4 Shooting -1 -1 -1 -1"]
    dataset = UcfCrime(make_root(tmp_path, **{TEMPORAL_FILE: lines}))
    assert dataset.videos("test")[1].segments == ()
    assert any("'Shooting015_x264' is abnormal" in p and "no interval" in p for p in dataset.problems)


def test_an_absent_root_says_what_is_expected(tmp_path):
    refused(tmp_path / "none", "data root of ucfcrime not found", "Anomaly_Train.txt")


@pytest.fixture
def real(test_data):
    return UcfCrime(test_data / "ucfcrime")


def test_the_real_lists_have_the_documented_videos(real):
    train, test = real.videos("train"), real.videos("test")
    assert {"train": len(train), "test": len(test)} == real.expected
    assert [sum(real.is_normal(v) for v in videos) for videos in (train, test)] == [800, 150]
    per_class = Counter(v.labels[0] for v in test)
    assert [per_class[c] for c in ("RoadAccidents", "Shooting", "Explosion", "Abuse")] == [23, 23, 21, 2]
    assert all(v.frames for v in (*train, *test))
    assert sum(len(v.segments) == 2 for v in test) == 16
    assert not any(v.segments for v in train)


def test_the_real_native_truth_has_the_documented_counts(real):
    test = real.videos("test")
    assert sum(v.frames for v in test) == 1_111_808
    assert sum(int(frames_of(v, v.frames).sum()) for v in test) == 84_338
    assert all(s.end <= v.frames for v in test for s in v.segments)
    overruns = [p for p in real.problems if "ends past" in p]
    assert len(overruns) == 5
    for name in ("Arson011", "Arson016", "Explosion033", "Fighting003", "Shooting015"):
        assert any(name in p for p in overruns)
    assert len(real.problems) == 5


def test_the_real_vadclip_segments_are_those_of_its_ground_truth(real, test_data):
    with (test_data / "ucfcrime" / "vadclip_test_videos.csv").open(encoding="utf-8") as file:
        names = [row["video"] for row in csv.DictReader(file)]
    truth = json.loads((test_data / "ucfcrime" / "vadclip_gt_segments.json").read_text())
    videos = {v.name: v for v in real.videos("test", "vadclip")}
    assert len(truth) == len(names) == len(videos)
    for name, entry in zip(names, truth, strict=True):
        own = [([s.start, s.end], s.label) for s in videos[name].segments]
        normal = entry["labels"] == ["A"]
        assert own == ([] if normal else list(zip(entry["segments"], entry["labels"], strict=True)))
    assert sum(len(v.segments) for v in videos.values()) == 156
    assert real.problems == []


def test_the_real_anomalyclip_truth_follows_its_rule(real, test_data):
    lines = (test_data / "ucfcrime" / TEMPORAL_FILE).read_text().splitlines()
    videos = {v.name: v for v in real.videos("test", "anomalyclip")}
    for line in lines:
        name, _, *numbers = line.split()
        video = videos[name.removesuffix(".mp4")]
        frame = np.arange(video.frames)
        first, last = np.array(numbers, int)[::2, None], np.array(numbers, int)[1::2, None]
        rule = ((first <= frame) & (frame <= last)).any(0)
        assert (frames_of(video, video.frames) == rule).all()


@st.composite
def interval_of_a_video(draw):
    frames = draw(st.integers(1, 70))
    first = draw(st.integers(0, frames + 20))
    return frames, first, draw(st.integers(first, frames + 20))


@given(interval_of_a_video())
def test_rtfm_marks_intervals_on_the_frames_of_whole_rows(case):
    """Both ends inside, counted from 0, on 16 frames a row; an end at that number is cut, one past it stops."""
    frames, first, last = case
    mask = [0] * 16 * len(range(0, frames, 16))
    stops = last > len(mask)
    for frame in range(first, last + 1):
        if frame < len(mask):
            mask[frame] = 1
    with tempfile.TemporaryDirectory() as folder:
        temporal = [*TEMPORAL[:2], f"Shooting015_x264.mp4 Shooting {first} {last}"]
        counts = [f"X/Shooting015_x264.mp4 {frames}"]
        dataset = UcfCrime(make_root(Path(folder), **{"Test_Annotation.txt": counts, TEMPORAL_FILE: temporal}))
        if stops:
            words = f"line 3: interval {first} {last} of 'Shooting015_x264' ends past its {len(mask)} frames"
            with pytest.raises(DataError, match=words):
                dataset.videos("test", "rtfm")
        else:
            assert frames_of(dataset.videos("test", "rtfm")[1], len(mask)).tolist() == mask
            assert not dataset.problems


def test_rtfm_without_frame_counts_leaves_ends_to_the_features(tmp_path):
    videos = UcfCrime(make_root(tmp_path, **{"Test_Annotation.txt": None})).videos("test", "rtfm")
    assert [[(s.start, s.end) for s in v.segments] for v in videos] == [[(1, 21), (31, 41)], [(5, 53)], []]
