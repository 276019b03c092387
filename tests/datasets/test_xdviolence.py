import csv
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vadbench_xdviolence.dataset import XdViolence

from roots.xdviolence import BINARY, CLASSES, EVERY_FILE, TEST, TRAIN, make_root, vadclip_list
from vadbench.base.errors import DataError
from vadbench.dataset import merged
from vadbench.harness.participants import participants
from vadbench.scoring.protocol import Protocol


def frames_of(spans, total):
    truth = np.zeros(total, bool)
    for start, end in spans:
        truth[start:end] = True
    return truth


def binary_of(video):
    return merged(video.segments) if video.binary is None else video.binary


def refused(root, *words):
    with pytest.raises(DataError) as caught:
        XdViolence(root).read()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_the_class_table_is_that_of_the_papers():
    table = XdViolence.classes
    assert table.names == ("Abuse", "Car_accident", "Explosion", "Fighting", "Normal", "Riot", "Shooting")
    assert [table.id(code) for code in ("B5", "B6", "G", "B1", "A", "B4", "B2")] == list(range(7))
    assert (table.normal, table.words[1], table.id("car accident")) == (4, "car accident", 1)


def test_labels_come_from_names_and_truth_from_both_files(tmp_path):
    dataset = XdViolence(make_root(tmp_path))
    dataset.prepare()
    train, test = dataset.videos("train"), dataset.videos("test")
    assert [(v.name, v.labels, v.frames) for v in train] == [
        (TRAIN[0], ("Fighting",), None),
        (TRAIN[1], ("Explosion",), None),
        (TRAIN[2], ("Normal",), None),
    ]
    assert [(v.name, v.labels, v.frames) for v in test] == [
        (TEST[0], ("Riot",), 40),
        (TEST[1], ("Shooting", "Explosion"), 40),
        (TEST[2], ("Normal",), 40),
    ]
    assert [[(s.label, s.start, s.end) for s in v.segments] for v in test] == [
        [("Riot", 0, 10), ("Riot", 20, 25)],
        [("Explosion", 30, 36), ("Shooting", 5, 13), ("Explosion", 10, 13)],
        [],
    ]
    assert all(v.binary is None for v in (*train, *test))
    assert [dataset.is_single(v) for v in (*train, *test)] == [True, True, True, True, False, True]
    assert len(dataset.problems) == 1
    assert "list/xd.csv, line 5: odd label 'G', read as Explosion" in dataset.problems[0]


@pytest.mark.parametrize(
    ("test", "subset", "notes"),
    [
        (TEST, "all", []),
        (TEST, "single-anomaly", ["subset single-anomaly: 2 of 3 test videos"]),
        ([TEST[0], TEST[2]], "all", ["incomplete: 2 of 3 test videos"]),
        ([TEST[0], TEST[2]], "single-anomaly", []),
        ([*TEST, "v=ee__#1_label_A"], "all", ["incomplete: other lists, 4 test videos instead of 3"]),
        (TEST[:2], "single-anomaly", ["incomplete: 1 of 2 test videos", "subset single-anomaly: 1 of 2 test videos"]),
    ],
)
def test_a_copy_without_videos_of_several_anomalies_is_complete_where_these_are_left_out(
    tmp_path, monkeypatch, test, subset, notes
):
    monkeypatch.setattr(XdViolence, "expected", {"train": 3, "test": 3})
    monkeypatch.setattr(XdViolence, "single_anomaly", {"train": 3, "test": 2})
    dataset = XdViolence(make_root(tmp_path, **{"list/xd_test.csv": vadclip_list(test)}))
    assert participants(dataset, Protocol(name="p", subset=subset)).notes == notes


def test_each_protocol_has_its_boundaries(tmp_path):
    dataset = XdViolence(make_root(tmp_path))
    spans = {
        b: [(s.start, s.end) for s in dataset.videos("test", b)[0].segments]
        for b in ("native", "anomalyclip", "vadclip")
    }
    assert spans == {
        "native": [(0, 10), (20, 25)],
        "anomalyclip": [(0, 10), (20, 25)],
        "vadclip": [(0, 9), (20, 24)],
    }


def test_binary_truth_is_kept_where_it_differs_from_the_classes(tmp_path):
    changed = [CLASSES[0], "v=cc__#1_label_B2-G-0 G 31 35 B2 5 12"]
    first, second, normal = XdViolence(make_root(tmp_path, **{"annotations_multiclasses.txt": changed})).videos("test")
    assert first.binary is None and normal.binary is None
    assert second.binary == ((5, 13), (30, 36))
    assert [(s.start, s.end) for s in second.segments] == [(31, 36), (5, 13)]


def test_no_frame_binary_truth_is_kept_too(tmp_path):
    lines = ["v=bb__#1_label_B4-0-0 -1 -1", BINARY[1]]
    dataset = XdViolence(make_root(tmp_path, **{"annotations.txt": lines}))
    assert dataset.videos("test")[0].binary == ()
    assert any("no interval" in p for p in dataset.problems)


def test_a_suffix_behind_the_label_is_no_part_of_a_name_and_dots_within_it_are(tmp_path):
    names = ["Film.mp4.2001__#00-01_label_B4-0-0", "Bad.Boys.1995__#00-02_label_B2-0-0", "v=dd__#1_label_A"]
    truths = {
        "annotations.txt": [f"{names[0]}.mp4 3 5", f"{names[1]} 7 7"],
        "annotations_multiclasses.txt": [f"{names[0]}.mp4 B4 3 5", f"{names[1]}.mp4 B2 7 7"],
        "list/xd_test.csv": vadclip_list(names),
        "xd_tframes.txt": [f"{name}@40" for name in names],
    }
    dataset = XdViolence(make_root(tmp_path, **truths))
    videos = {v.name: v for v in dataset.videos("test")}
    assert list(videos) == names
    assert [[(s.label, s.start, s.end) for s in videos[n].segments] for n in names] == [
        [("Riot", 3, 6)],
        [("Shooting", 7, 8)],
        [],
    ]
    assert all(v.binary is None for v in videos.values())
    assert all("not in the test list" not in p for p in dataset.problems)


def test_an_interval_past_the_end_is_cut_and_noted(tmp_path):
    counts = [f"{TEST[0]}@23", f"{TEST[1]}@36", f"{TEST[2]}@1"]
    dataset = XdViolence(make_root(tmp_path, **{"xd_tframes.txt": counts}))
    assert [(s.start, s.end) for s in dataset.videos("test")[0].segments] == [(0, 10), (20, 23)]
    cut = [p for p in dataset.problems if "ends past its 23 frames" in p]
    assert [p.split(": ")[0].rsplit("/", 1)[1] for p in cut] == [
        "annotations_multiclasses.txt, line 1",
        "annotations.txt, line 1",
    ]


def test_without_lists_the_folders_tell_the_split(tmp_path):
    root = make_root(tmp_path, **{"list/xd.csv": None, "list/xd_test.csv": None})
    for folder, names in {"1-1004": TRAIN[:1], "1005-2004": TRAIN[1:], "videos": TEST}.items():
        (root / folder).mkdir()
        for name in names:
            (root / folder / f"{name}.mp4").touch()
    dataset = XdViolence(root)
    dataset.prepare()
    assert {v.name for v in dataset.videos("train")} == set(TRAIN)
    assert {v.name for v in dataset.videos("test")} == set(TEST)
    assert all(v.path.name == f"{v.name}.mp4" for s in ("train", "test") for v in dataset.videos(s))


def test_both_splits_in_one_folder_are_refused(tmp_path):
    root = make_root(tmp_path, **{"list/xd.csv": None, "list/xd_test.csv": None})
    for name in TRAIN + TEST:
        (root / f"{name}.mp4").touch()
    refused(root, "train and test videos share a folder", "VadCLIP's csv lists")


def test_neither_lists_nor_videos_are_refused(tmp_path):
    root = make_root(tmp_path, **{"list/xd.csv": None, "list/xd_test.csv": None})
    refused(root, "neither lists nor videos", "the one with 'test' in its name")


def test_a_video_of_the_list_without_a_file_is_noted(tmp_path):
    root = make_root(tmp_path)
    (root / f"{TEST[2]}.mp4").touch()
    dataset = XdViolence(root)
    assert [v.path and v.path.name for v in dataset.videos("test")] == [None, None, f"{TEST[2]}.mp4"]
    assert any("2 of 3 test videos have no file" in p and "xd_test.csv, line 2" in p for p in dataset.problems)


def test_anomalyclip_reads_its_own_lists_and_temporal_annotation(tmp_path):
    lists = {
        "Annotations/Anomaly_Train_Abnormal.txt": [f"train/{TRAIN[0]} 0 99 3"],
        "Annotations/Anomaly_Train_Normal.txt": [f"train/{TRAIN[2]} 0 99 4"],
        "Annotations/Anomaly_Test.txt": [f"test/{TEST[0]} 2 41 5", f"test/{TEST[2]} 2 41 4"],
        "Annotations/Temporal_Anomaly_Annotation_for_Testing_Videos.txt": [f"{TEST[0]}.mp4 Riot 3 6 -1 -1"],
    }
    dataset = XdViolence(make_root(tmp_path, **lists))
    assert [v.name for v in dataset.videos("train", "anomalyclip")] == [TRAIN[0], TRAIN[2]]
    assert [v.name for v in dataset.videos("train")] == TRAIN
    riot, normal = dataset.videos("test", "anomalyclip")
    assert [(s.label, s.start, s.end) for s in riot.segments] == [("Riot", 1, 5)]
    assert (riot.binary, normal.segments) == (None, ())


@pytest.mark.parametrize(
    ("file", "lines", "words"),
    [
        ("annotations.txt", None, ["annotations.txt not found", "the data set's page"]),
        ("annotations_multiclasses.txt", None, ["annotations_multiclasses.txt not found"]),
        ("annotations.txt", BINARY[:1], ["annotations.txt: expected a line for 'v=cc__#1_label_B2-G-0'"]),
        ("annotations.txt", [*BINARY, "v=dd__#1_label_A 3 4"], ["annotations.txt, line 3", "is normal by"]),
        ("annotations.txt", [*BINARY, BINARY[0]], ["annotations.txt, line 3", "has a line already"]),
        ("annotations.txt", [*BINARY, "nothing 3 4"], ["annotations.txt, line 3", "'_label_' and codes"]),
        ("annotations.txt", [*BINARY, "a_label_ 3 4"], ["annotations.txt, line 3", "'_label_' and codes"]),
        ("annotations.txt", [*BINARY, "a_label_"], ["annotations.txt, line 3", "'_label_' and codes"]),
        ("annotations.txt", [*BINARY, "_label_" * 90_000], ["annotations.txt, line 3", "'_label_' and codes"]),
        ("annotations.txt", [*BINARY, "a_label_G 3 " + "7" * 5000], ["annotations.txt, line 3", "nine digits"]),
        ("annotations_multiclasses.txt", [*CLASSES, "a_label_G G 3 " + "7" * 5000], ["line 3", "nine digits"]),
        ("xd_tframes.txt", [f"{TEST[0]}@" + "7" * 5000], ["xd_tframes.txt, line 1", "nine digits"]),
        ("xd_tframes.txt", [f"{TEST[0]}@22"], ["line 1", "20 24", "ends more than 2 frames past its 22 frames"]),
        ("annotations.txt", [BINARY[0] + " 7", BINARY[1]], ["annotations.txt, line 1", "expected pairs"]),
        ("annotations.txt", [BINARY[0] + " 40 41", BINARY[1]], ["line 1", "40 41", "starts past its 40 frames"]),
        ("annotations_multiclasses.txt", [*CLASSES, "a_label_A B4 1"], ["line 3", "'code first last' groups"]),
        (
            "annotations_multiclasses.txt",
            [CLASSES[0].replace("B4 20", "B3 20"), CLASSES[1]],
            ["annotations_multiclasses.txt, line 1", "unknown class 'B3'"],
        ),
        ("list/xd.csv", vadclip_list(TRAIN)[1:], ["xd.csv, line 1", "expected the header 'path,label'"]),
        ("list/xd.csv", [""], ["xd.csv: the list is empty"]),
        ("list/xd.csv", ["path,label"], ["xd.csv: the list is empty"]),
        ("list/xd.csv", ["path,label", "/x/../a_label_A__0.npy,A"], ["xd.csv, line 2", "'..'"]),
        ("list/xd.csv", ["path,label", "/x/a__0.npy,A"], ["xd.csv, line 2", "ends in '_label_'"]),
        ("list/xd.csv", ["path,label", "/x/a_label_A__0.npy,B1-0-0"], ["line 2", "labelled 'B1-0-0'"]),
        ("list/xd.csv", ["path,label", "/x/a_label_B7-0-0__0.npy,B7-0-0"], ["line 2", "unknown class 'B7'"]),
        ("list/xd.csv", ["path,label", "/x/a_label_A-B1-0__0.npy,A-B1-0"], ["line 2", "A or codes of violence"]),
        ("list/xd.csv", ["path,label", "/x/a_label_0-0-0__0.npy,0-0-0"], ["line 2", "A or codes of violence"]),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, file, lines, words):
    refused(make_root(tmp_path, **{file: lines}), *words)


PIECES = st.sampled_from(["7" * 5000, "9" * 9, " 1 2", " G 1 2", " -1 -1", "a_label_G", "_label_", "@", " ", "é\u2028"])


@given(st.sampled_from(sorted(EVERY_FILE)), st.lists(PIECES, max_size=7).map("".join))
def test_any_line_is_read_or_refused_in_one_line(tmp_path_factory, file, line):
    root = make_root(tmp_path_factory.mktemp("root"), **{file: [*EVERY_FILE[file], line]})
    try:
        XdViolence(root).read()
    except DataError as error:
        assert file in str(error) and len(str(error).splitlines()) == 1


def test_a_text_list_must_stay_in_the_root(tmp_path):
    lists = {
        "Anomaly_Test.txt": [f"/elsewhere/{TEST[0]} 0 9 5"],
        "Anomaly_Train_Abnormal.txt": [f"../{TRAIN[0]} 0 9 3"],
    }
    with pytest.raises(DataError, match=r"Anomaly_Test\.txt, line 1: .*outside the data root"):
        XdViolence(make_root(tmp_path, **lists)).videos("test")
    with pytest.raises(DataError, match=r"Anomaly_Train_Abnormal\.txt, line 1: .*must not contain"):
        XdViolence(tmp_path).videos("train", "anomalyclip")


@pytest.fixture
def real(test_data, tmp_path):
    """The real files under names and in the form that users have them in."""
    source = test_data / "xdviolence"
    for name in ("annotations.txt", "annotations_multiclasses.txt", "uws4vad_xdv_tframes.txt"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    for split in ("train", "test"):
        with (source / f"vadclip_{split}_videos.csv").open(encoding="utf-8") as file:
            rows = [
                (f"/home/someone/{r['video']}__{c}.npy", r["label"]) for r in csv.DictReader(file) for c in r["crops"]
            ]
        with (tmp_path / f"xd_{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("path", "label"), *rows])
    return XdViolence(tmp_path)


def test_the_real_lists_have_the_documented_videos(real):
    train, test = real.videos("train"), real.videos("test")
    assert {"train": len(train), "test": len(test)} == real.expected
    assert [sum(real.is_normal(v) for v in videos) for videos in (train, test)] == [2049, 300]
    assert [sum(real.is_single(v) for v in videos) for videos in (train, test)] == [3711, 753]
    assert real.single_anomaly == {"train": 3711, "test": 753}
    having = Counter(label for v in test for label in v.labels)
    assert [having[c] for c in ("Fighting", "Car_accident", "Shooting", "Explosion", "Riot", "Abuse")] == [
        126,
        106,
        104,
        103,
        101,
        11,
    ]
    odd = [p for p in real.problems if "odd label" in p]
    assert sorted(p.split("odd label ")[1] for p in odd) == ["'B1', read as Fighting", "'G', read as Explosion"]


def test_the_real_native_truth_has_the_documented_counts(real):
    test = real.videos("test")
    assert sum(v.frames for v in test) == 2_335_801
    assert sum(int(frames_of(binary_of(v), v.frames).sum()) for v in test) == 539_562
    assert sum(any(start == 0 for start, _ in binary_of(v)) for v in test) == 88
    assert Counter(s.label for v in test for s in v.segments) == {
        "Car_accident": 494,
        "Fighting": 245,
        "Shooting": 214,
        "Riot": 154,
        "Explosion": 150,
        "Abuse": 15,
    }
    differing = [v for v in test if v.binary is not None]
    assert [v.name for v in differing] == ["v=38GQ9L2meyE__#1_label_B6-0-0"]
    cut = [p for p in real.problems if "ends past" in p]
    assert len(cut) == 1 and "4511 4650" in cut[0] and "annotations_multiclasses.txt" in cut[0]
    assert any("'Ip.Man.2008__#01-40-37_01-42-07_label_B4-0-0' has a segment of Fighting" in p for p in real.problems)


def test_the_real_vadclip_truths_differ_by_the_documented_frames(real):
    test = real.videos("test", "vadclip")
    assert sum(len(v.segments) for v in test) == 1272
    differing = {
        v.name: int((frames_of(merged(v.segments), 10**4) ^ frames_of(v.binary, 10**4)).sum())
        for v in test
        if v.binary is not None
    }
    assert (len(differing), sum(differing.values())) == (5, 143)
    assert differing["v=38GQ9L2meyE__#1_label_B6-0-0"] == 139


def test_the_real_anomalyclip_truth_follows_its_rule(real, test_data):
    videos = {v.name: v for v in real.videos("test", "anomalyclip")}
    for line in (test_data / "xdviolence" / "annotations.txt").read_text().splitlines():
        name, *numbers = line.split()
        video = videos[name.removesuffix(".mp4")]
        frame = np.arange(video.frames)
        rule = np.zeros(video.frames, bool)
        for first, last in zip(numbers[::2], numbers[1::2], strict=True):
            rule |= (int(first) <= frame) & (frame <= int(last))
        assert (frames_of(binary_of(video), video.frames) == rule).all()


def test_the_real_names_with_a_suffix_keep_their_violent_frames(real, test_data):
    """Fourteen lines of each file carry it; left there, their videos would count as normal without a word."""
    lines = [
        (test_data / "xdviolence" / file).read_text(encoding="utf-8").splitlines()
        for file in ("annotations.txt", "annotations_multiclasses.txt")
    ]
    carrying = [{line.split(".mp4 ")[0] for line in own if ".mp4 " in line} for own in lines]
    assert carrying[0] == carrying[1] and len(carrying[0]) == 14
    videos = [v for v in real.videos("test") if v.name in carrying[0]]
    assert len(videos) == 14
    assert (sum(v.frames for v in videos), sum(end - start for v in videos for start, end in binary_of(v))) == (
        25_600,
        8_555,
    )
    assert all(v.segments for v in videos)
