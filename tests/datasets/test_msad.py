import json
import shutil
from collections import Counter

import numpy as np
import pytest
from vadbench_msad.dataset import Msad

from roots.msad import (
    ANNOTATION,
    ANNOTATION_FILE,
    FORMS,
    FRAMES,
    ROWS,
    RUNS,
    TEST,
    TEST_ABNORMAL,
    TEST_NORMAL,
    TRAIN,
    TRAIN_ABNORMAL,
    TRAIN_NORMAL,
    lists,
    make_root,
    remove,
    short,
    write_features,
    write_videos,
)
from vadbench.base.errors import DataError, UnknownNameError
from vadbench.data.annotations.truth_files import read_truth
from vadbench.harness.given_features import GivenFeatures, open_of_videos
from vadbench.harness.rules import open_dataset, under_truth
from vadbench.inspect import inspect
from vadbench.scoring.alignment import align
from vadbench.scoring.protocol import NATIVE
from vadbench.scoring.video_scores import VideoScores

ONE_CLASS = "one-class"
CLASSES = (
    "Assault Explosion Fighting Fire Normal Object_falling People_falling Robbery Shooting Traffic_accident Vandalism"
    " Water_incident"
)
LIST, TEST_LIST = "list/msad-i3d.list", "list/msad-i3d-test.list"


def opened(root, partition=""):
    dataset = Msad(root)
    dataset.divide(partition)
    return dataset


def refused(root, *words, partition=""):
    with pytest.raises(DataError) as caught:
        opened(root, partition).read()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in words:
        assert word in message


def names(videos):
    return [v.name for v in videos]


def frames_of(runs, total):
    truth = np.zeros(total, bool)
    for start, end in runs:
        truth[start:end] = True
    return truth


def test_the_class_table_has_eleven_classes_and_prompt_words():
    table = Msad.classes
    assert table.names == tuple(CLASSES.split()) and table.names[table.normal] == "Normal"
    assert table.words == tuple(name.lower().replace("_", " ") for name in table.names)
    assert [table.id(n) for n in ("traffic accident", "Traffic accident", "traffic_accident", "normal")] == [9, 9, 9, 4]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_lists_gives_the_same_videos(tmp_path, form):
    dataset = opened(make_root(tmp_path, form))
    dataset.prepare()
    found = dataset.read()
    assert names(found.videos["train"]) == TRAIN and names(found.videos["test"]) == TEST
    assert [v.labels for v in found.videos["train"]] == [("Assault",), ("Traffic_accident",), *[("Normal",)] * 3]
    assert [v.labels for v in found.videos["test"]] == [
        ("Assault",), ("Fire",), ("People_falling",), ("Normal",), ("Normal",),
    ]  # fmt: skip
    for videos in found.videos.values():
        assert {v.name: v.frames for v in videos} == {v.name: FRAMES[v.name] for v in videos}
    assert {v.name: v.runs for v in found.videos["test"] if v.runs} == {n: (RUNS[n],) for n in TEST_ABNORMAL}
    assert not any(v.segments for v in found.videos["train"])
    assert [(s.label, s.start, s.end) for v in found.videos["test"] for s in v.segments] == [
        ("Assault", 40, 60),
        ("Fire", 0, 64),
        ("People_falling", 90, 94),
    ]


def test_the_scenario_is_annotated_or_in_the_name_or_unknown(tmp_path):
    found = opened(make_root(tmp_path)).read().videos
    assert [v.scenario for v in found["train"]] == ["shop", "road", "shop", "street_highview", "highway"]
    assert [v.scenario for v in found["test"]] == ["office", "street_highview", "shop", "", ""]


@pytest.mark.parametrize("form", FORMS)
def test_one_class_trains_on_normal_videos_and_tests_on_every_abnormal_one(tmp_path, form):
    dataset = opened(make_root(tmp_path, form), ONE_CLASS)
    found = dataset.read().videos
    assert dataset.sizes == {"train": 360, "test": 360} and dataset.splits == ("train", "test")
    assert names(found["train"]) == TRAIN_NORMAL
    assert names(found["test"]) == TEST + TRAIN_ABNORMAL
    assert {v.name: v.runs for v in found["test"] if v.runs} == {n: (run,) for n, run in RUNS.items()}
    dataset.divide("")
    assert names(dataset.videos("test")) == TEST


def test_an_unknown_division_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="one-class"):
        opened(make_root(tmp_path), "oneclass")


def test_vadclip_reads_the_numbers_as_half_open(tmp_path):
    videos = {v.name: v for v in opened(make_root(tmp_path), ONE_CLASS).videos("test", "vadclip")}
    assert {n: v.runs for n, v in videos.items() if v.runs} == {
        n: ((first, last),) for n, (_, _, first, last) in ANNOTATION.items() if first < last
    }
    dataset = opened(make_root(tmp_path))
    assert dataset.videos("test", "anomalyclip") == dataset.videos("test")


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        ("frames.json", [json.dumps({short(n): frames for n, frames in FRAMES.items()})]),
        ("lists/msad_frames.txt", [f"{n} {frames}" for n, frames in FRAMES.items()]),
        ("normal_frames.txt", [f"{n}.mp4@{frames}" for n, frames in FRAMES.items()]),
    ],
)
def test_frame_counts_of_normal_videos_come_from_a_file(tmp_path, file, lines):
    dataset = opened(make_root(tmp_path, **{"frames.json": None, file: lines}))
    found = dataset.read()
    assert {v.name: v.frames for videos in found.videos.values() for v in videos} == FRAMES
    assert found.problems == []


def test_without_such_a_file_normal_videos_state_no_length(tmp_path):
    found = opened(make_root(tmp_path, **{"frames.json": None})).read().videos
    assert {v.name: v.frames for v in found["test"]} == {
        **{n: FRAMES[n] for n in TEST_ABNORMAL},
        **dict.fromkeys(TEST_NORMAL),
    }


def test_the_annotation_comes_before_another_count(tmp_path):
    other = json.dumps(FRAMES | {"Assault_911": 103, "Fire_912": 65})
    found = opened(make_root(tmp_path, **{"frames.json": [other]})).read()
    assert {v.name: v.frames for v in found.videos["test"]} == {n: FRAMES[n] for n in TEST}
    assert found.problems == [
        "2 frame counts of abnormal videos are not those of anomaly_annotation.csv, which is followed; the first is"
        " 103 of 'Assault_911', 100 there"
    ]


def test_the_lists_of_two_encoders_may_lie_together(tmp_path):
    root = make_root(tmp_path, **lists("swin"))
    assert opened(root).read().problems == []
    path = root / "list" / "msad-swin-test.list"
    path.write_text("\n".join(lists("swin")["list/msad-swin-test.list"][1:]))
    refused(root, "msad-i3d-test.list", "msad-swin-test.list name different test videos", "'Assault_911'; keep one")


def test_shortened_csv_lists_are_reported_and_never_preferred(tmp_path):
    found = opened(make_root(tmp_path, "csv")).read()
    assert [p for p in found.problems if "MSAD_test.csv: a shortened list in circulation, 5 of 240 test" in p]
    assert [p for p in found.problems if "MSAD_train.csv: a shortened list in circulation, 5 of 480 train" in p]
    fewer = {name: lines[:-2] for name, lines in lists("csv").items()}
    found = opened(make_root(tmp_path, "i3d", **fewer)).read()
    assert names(found.videos["test"]) == TEST and found.problems == []


@pytest.mark.parametrize("named", [lambda name: name, short], ids=["full", "short"])
@pytest.mark.parametrize("pictures", [False, True], ids=["videos", "frames"])
def test_videos_are_found_in_any_folder_by_either_name(tmp_path, named, pictures):
    root = make_root(tmp_path)
    write_videos(root / "test_frames" if pictures else root / "all_videos", named, pictures)
    found = opened(root, ONE_CLASS).read()
    paths = {v.name: v.path for videos in found.videos.values() for v in videos}
    assert {name: path.stem for name, path in paths.items()} == {name: named(name) for name in FRAMES}
    assert all(path.is_dir() is pictures for path in paths.values())
    assert found.problems == []
    # The check looks for leftovers on its own account.
    assert pictures or inspect(opened(root)).counts["extra"] == 0


@pytest.mark.parametrize("name", ["{}", "{}_i3d", "{}_swin", "short"])
def test_features_are_found_in_any_folder_by_either_name(tmp_path, name):
    root = make_root(tmp_path / "root")
    folder = write_features(tmp_path / "features", "{}_i3d" if name == "short" else name, crops=10, width=8)
    if name == "short":
        for path in list(folder.rglob("MSAD_normal_*.npy")):
            path.rename(path.with_name(short(path.name.removesuffix("_i3d.npy")) + "_i3d.npy"))
        assert list(folder.rglob("highway903_i3d.npy"))
    videos = [v for of_split in opened(root).read().videos.values() for v in of_split]
    source = open_of_videos(GivenFeatures(folder), videos)
    assert set(source.names) == set(FRAMES) and source.extra == [] and source.layout == "rows-crops"
    report = inspect(opened(root), GivenFeatures(folder))
    assert report.counts["missing"] == report.counts["extra"] == 0


def scores_of(rows):
    """Scores of videos with so many rows."""
    rng = np.random.default_rng(3)
    return [VideoScores(n, 16 * count, rng.random(count, dtype=np.float32), None) for n, count in rows.items()]


def published(root, rows):
    """The data set under the published truth, and its truth in every frame as the alignment has it, by video."""
    dataset = open_dataset(Msad, root, truth="published")
    rules = under_truth(NATIVE.rules, dataset)
    assert (rules.truth, rules.tail) == ("published", "rows")
    videos = {v.name: v for v in dataset.read_split("test")}
    aligned = align(scores_of(rows), videos, 16, dataset.classes, rules)
    # One score a frame: the row that has it tells the frame, and positives of rows of one frame are 0 or 1.
    fine = align(scores_of({n: 16 * count for n, count in rows.items()}), videos, 1, dataset.classes, rules)
    assert (aligned.total, aligned.positives.sum()) == (fine.total, fine.positives.sum())
    return dataset, {name: fine.positives[fine.video == i] for i, name in enumerate(fine.names)}, aligned


def test_the_published_truth_is_cut_at_the_rows_of_the_features(tmp_path):
    rows = {n: FRAMES[n] // 16 for n in TEST} | {"MSAD_normal_testing_902": 2}
    dataset, found, aligned = published(make_root(tmp_path), rows)
    for name in TEST:
        runs = [RUNS[name]] if name in RUNS else []
        np.testing.assert_array_equal(found[name], frames_of(runs, 10_000)[: 16 * rows[name]])
    # 91 to 94 of 94 frames: five rows end before it, and the video has no anomalous frame left.
    assert not found["People_falling_913"].any() and found["Fire_912"].all()
    assert aligned.total == 16 * sum(rows.values()) and aligned.positives.sum() == 20 + 64
    (note,) = dataset.problems
    assert "depend on the features" in note and "143,920 frames, 33,160 of them anomalous" in note


def test_what_the_published_truth_needs(tmp_path):
    root = make_root(tmp_path)
    with pytest.raises(UnknownNameError, match="published"):
        open_dataset(Msad, root, truth="publisht")
    with pytest.raises(DataError, match="240 videos of msad's own division; leave out --partition one-class"):
        open_dataset(Msad, root, ONE_CLASS, "published")
    remove(root, ANNOTATION_FILE)
    with pytest.raises(DataError, match=r"anomaly_annotation\.csv not found"):
        open_dataset(Msad, root, truth="published")


def test_another_truth_takes_the_place_of_the_annotation(tmp_path):
    root = make_root(tmp_path / "root", **{ANNOTATION_FILE: None})
    refused(root, "anomaly_annotation.csv not found")
    entries = {n: {"frames": FRAMES[n], "segments": [[None, 5, 9]] if n in TEST_ABNORMAL else []} for n in TEST}
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"videos": entries}))
    dataset = open_dataset(Msad, root, truth=str(path))
    found = dataset.read().videos
    assert {v.name: v.runs for v in found["test"] if v.runs} == dict.fromkeys(TEST_ABNORMAL, ((5, 9),))
    assert [v.labels for v in found["test"]][:2] == [("Assault",), ("Fire",)]


def test_fractions_are_read_by_the_convention_of_the_data_set(tmp_path):
    root = make_root(tmp_path / "root")
    spans = [
        {
            "path": f"f/{n}.npy",
            "video_path": f"v/{n}.mp4",
            "class_name": n.rsplit("_", 1)[0] if n in ANNOTATION else "Normal",
            "descriptions": None,
            "anomaly_span": [[first / frames, last / frames] for _, frames, first, last in [ANNOTATION[n]]]
            if n in ANNOTATION
            else [],
        }
        for n in TEST
    ]
    path = tmp_path / "msad_test_anno.json"
    path.write_text(json.dumps(spans))
    found = open_dataset(Msad, root, truth=str(path)).read().videos["test"]
    assert {v.name: v.runs for v in found if v.runs} == {n: (RUNS[n],) for n in TEST_ABNORMAL}


def test_training_videos_without_a_line_are_noted(tmp_path):
    found = opened(make_root(tmp_path, **{ANNOTATION_FILE: ROWS[:1] + ROWS[2:]})).read()
    assert [v.frames for v in found.videos["train"] if v.name == "Assault_901"] == [FRAMES["Assault_901"]]
    (problem,) = found.problems
    assert "no line for 1 abnormal training videos, the first is 'Assault_901'" in problem


@pytest.mark.parametrize(
    ("file", "lines", "words"),
    [
        (ANNOTATION_FILE, None, ["anomaly_annotation.csv not found", "expected there: the authors' lists"]),
        (ANNOTATION_FILE, [""], ["anomaly_annotation.csv: the list is empty"]),
        (ANNOTATION_FILE, ROWS[:1], ["anomaly_annotation.csv: expected a row for each abnormal video"]),
        (ANNOTATION_FILE, ROWS[1:], ["anomaly_annotation.csv, line 1", "expected the header"]),
        (ANNOTATION_FILE, [*ROWS, "Fire_920,shop,90,1"], ["csv, line 7", "'name,scenario,frames,first,last'"]),
        (ANNOTATION_FILE, [*ROWS, "Fire_920,shop,90,1,2,3"], ["csv, line 7", "'name,scenario,frames,first,last'"]),
        (ANNOTATION_FILE, [*ROWS, "Fire_920,shop,90,,2"], ["csv, line 7", "'name,scenario,frames,first,last'"]),
        (ANNOTATION_FILE, [*ROWS, 'Fire_920,"shop'], ["csv, line 7", "not a row of a csv file"]),
        (ANNOTATION_FILE, [*ROWS, "Fire_920,shop,90,one,2"], ["csv, line 7", "expected a whole number"]),
        (ANNOTATION_FILE, [*ROWS, "Fire_920,shop,90,0,2"], ["csv, line 7", "1 <= first <= last", "found 0 2 of 90"]),
        (ANNOTATION_FILE, [*ROWS, "Fire_920,shop,90,3,2"], ["csv, line 7", "1 <= first <= last", "found 3 2 of 90"]),
        (ANNOTATION_FILE, [*ROWS, "Fire_920,shop,99999999,3,4"], ["csv, line 7", "of 99999999"]),
        (ANNOTATION_FILE, [*ROWS, "Fire_920,shop," + "7" * 5000 + ",3,4"], ["csv, line 7", "nine digits"]),
        (ANNOTATION_FILE, [*ROWS, "Fire_920,schop,90,3,4"], ["csv, line 7", "'schop'", "did you mean 'shop'"]),
        (ANNOTATION_FILE, [*ROWS, ROWS[3]], ["csv, line 7: 'Fire_912' has a line already", "line 4; keep one"]),
        (ANNOTATION_FILE, [*ROWS[:3], *ROWS[4:]], ["csv: expected a line for 'Fire_912'", "-test.list, line 2"]),
        (ANNOTATION_FILE, [*ROWS, f"{TEST_NORMAL[0]},shop,50,3,4"], ["csv, line 7", "is normal by", "line 4"]),
        (ANNOTATION_FILE, [*ROWS, f"{TRAIN_NORMAL[0]},shop,48,3,4"], ["csv, line 7", "is normal by", "line 3"]),
        (ANNOTATION_FILE, [*ROWS[:2], "Assault_911,shop,100,41,103", *ROWS[3:]], ["csv, line 3", "ends more than 2"]),
        (TEST_LIST, None, ["no test list", "expected there: the authors' lists"]),
        (TEST_LIST, [""], ["msad-i3d-test.list: the list is empty"]),
        (TEST_LIST, ["x/Assault_911_i3d.npy", "x/../Fire_912_i3d.npy"], ["list, line 2", "'..'"]),
        (TEST_LIST, ["x/Assault_911_i3d.npy", "y/Assault_911_swin.npy"], ["list, line 2", "listed already", "line 1"]),
        (TEST_LIST, ["x/Arson_911_i3d.npy"], ["list, line 1", "unknown class 'Arson'"]),
        (TEST_LIST, ["x/Asault_911_i3d.npy"], ["list, line 1", "did you mean 'Assault'"]),
        (TEST_LIST, ["x/MSAD_normal_garden3_i3d.npy"], ["list, line 1", "such as Assault_2, MSAD_normal_testing_1 or"]),
        (TEST_LIST, ["x/gt-MSAD-WS.npy"], ["list, line 1", "such as Assault_2", "found 'gt-MSAD-WS'"]),
        (LIST, None, ["no train list"]),
        (LIST, ["x/shop901_i3d.npy", "x/MSAD_normal_shop901_i3d.npy"], ["list, line 2", "listed already", "line 1"]),
        (LIST, ["x/Assault_911.npy 3 4", "x/shop901.npy"], ["list, line 1", "expected a path alone"]),
        ("frames.json", ["{"], ["frames.json: expected JSON"]),
        ("frames.json", ["[3]"], ["frames.json: expected an object {name: frames}"]),
        ("frames.json", ['{"frames": {}}'], ["frames.json: expected an object {name: frames}"]),
        ("frames.json", ['{"Assault_911": 0}'], ["frames.json, 'Assault_911'", "number of frames from 1"]),
        ("frames.json", ['{"Assault_911": "many"}'], ["frames.json, 'Assault_911'", "whole number"]),
        ("frames.json", ['{"Assault_911": 99999999}'], ["frames.json, 'Assault_911'", "found 99999999"]),
        ("more_frames.txt", ["Assault_911 none"], ["more_frames.txt, line 1", "number of frames"]),
    ],
)  # fmt: skip
def test_bad_files_are_refused_in_one_line(tmp_path, file, lines, words):
    refused(make_root(tmp_path, **{file: lines}), *words)


def test_a_csv_list_that_contradicts_a_name_is_refused(tmp_path):
    rows = ["path,label", "/d/Assault_911__0.npy,Fighting"]
    refused(make_root(tmp_path, "csv", **{"MSAD_test.csv": rows}), "MSAD_test.csv, line 2", "'Fighting'", "contradicts")


def test_the_check_counts_each_division(tmp_path):
    root = make_root(tmp_path)
    own, other = inspect(opened(root)), inspect(opened(root, ONE_CLASS))
    assert (own.splits["train"].abnormal.expected, own.splits["test"].positive_frames) == (2, 20 + 64 + 4)
    assert (other.splits["train"].abnormal.expected, other.splits["test"].positive_frames) == (0, 20 + 64 + 4 + 20 + 1)
    assert [r.splits["test"].videos.expected for r in (own, other)] == [240, 360]


@pytest.fixture
def real(test_data, tmp_path):
    source = test_data / "more" / "msad"
    if not source.is_dir():
        pytest.skip(f"no lists of MSAD at {source}")
    for name in ("anomaly_annotation.csv", "frames.json", "msad-i3d.list", "msad-i3d-test.list"):
        shutil.copyfile(source / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def counts(test_data):
    return json.loads((test_data / "more" / "expected.json").read_text())["msad"]


def totals(videos):
    return {"frames": sum(v.frames for v in videos), "positive": sum(e - s for v in videos for s, e in v.runs)}


def kinds(dataset, videos):
    normal = sum(map(dataset.is_normal, videos))
    return {"normal": normal, "abnormal": len(videos) - normal}


@pytest.mark.parametrize("encoder", ["i3d", "swin"])
def test_the_real_lists_have_the_documented_videos(real, counts, test_data, encoder):
    remove(real, "msad-i3d.list", "msad-i3d-test.list")
    for name in (f"msad-{encoder}.list", f"msad-{encoder}-test.list"):
        shutil.copyfile(test_data / "more" / "msad" / name, real / name)
    dataset = opened(real)
    own = dataset.read()
    assert {split: len(videos) for split, videos in own.videos.items()} == Msad.expected and own.problems == []
    assert {split: kinds(dataset, videos) for split, videos in own.videos.items()} == {
        split: counts[split] for split in ("train", "test")
    }
    other = opened(real, ONE_CLASS).read()
    assert {split: len(videos) for split, videos in other.videos.items()} == dict(Msad.partitions[ONE_CLASS].expected)
    assert kinds(dataset, other.videos["test"]) == counts["test_protocol_i"]
    assert kinds(dataset, other.videos["train"]) == {"normal": 360, "abnormal": 0}
    of_class = Counter(v.labels[0] for v in own.videos["test"]), Counter(v.labels[0] for v in other.videos["test"])
    assert {n: (of_class[0][n], of_class[1][n]) for n in CLASSES.split() if n != "Normal"} == {
        "People_falling": (22, 43), "Traffic_accident": (20, 39), "Robbery": (14, 29), "Fire": (12, 25),
        "Object_falling": (10, 22), "Shooting": (9, 17), "Assault": (8, 15), "Explosion": (8, 15), "Fighting": (6, 13),
        "Vandalism": (6, 12), "Water_incident": (5, 10),
    }  # fmt: skip


def test_the_real_scenarios_are_the_documented_ones(real):
    found = opened(real, ONE_CLASS).read().videos
    abnormal = Counter(v.scenario for v in found["test"] if v.segments)
    assert abnormal == {
        "frontdoor": 73, "shop": 39, "office": 37, "sidewalk": 22, "road": 16, "restaurant": 12, "street_highview": 10,
        "warehouse": 10, "parkinglot": 7, "mall": 4, "train": 4, "park": 3, "pedestrian_street": 3,
    }  # fmt: skip
    assert {v.scenario for v in found["test"] if not v.segments} == {""}
    assert {v.scenario for v in found["train"]} == set(abnormal) | {"highway"}


def test_the_real_truth_has_the_documented_frames(real, counts):
    own = opened(real).videos("test")
    every = opened(real, ONE_CLASS).videos("test")
    assert totals(own) == counts["native"]
    assert totals(every) == counts["native_protocol_i"]
    abnormal = [sum(v.frames for v in videos if v.segments) for videos in (own, every)]
    assert dict(zip(("test", "all"), abnormal, strict=True)) == counts["abnormal_frames"]
    positive = Counter()
    for v in own:
        for s in v.segments:
            positive[s.label] += s.end - s.start
    assert positive == counts["test_positive_by_class"]
    assert sum(v.runs == ((0, v.frames),) for v in own) == 23
    half_open = [totals(opened(real, p).videos("test", "vadclip"))["positive"] for p in ("", ONE_CLASS)]
    assert dict(zip(("positive", "positive_protocol_i"), half_open, strict=True)) == counts["half_open_reading"]


def test_the_published_array_is_reproduced_in_every_frame(real, counts, test_data):
    array = json.loads((test_data / "more" / "msad" / "gt_msad_ws.json").read_text())
    _, found, aligned = published(real, {name: length // 16 for name, length, _ in array["videos"]})
    assert len(found) == 240
    for name, length, runs in array["videos"]:
        np.testing.assert_array_equal(found[name], frames_of(runs, length), err_msg=name)
    assert {"frames": aligned.total, "positive": aligned.positives.sum()} == counts["published"]
    assert {"frames": array["frames"], "positive": array["positive"]} == counts["published"]
    lost = [n for n, labels in found.items() if not labels.any() and not n.startswith("MSAD_normal")]
    assert [n.rsplit("_", 1)[0] for n in lost] == ["Explosion"] and aligned.abnormal.sum() == 119
    native = {v.name: totals([v])["positive"] for v in opened(real).videos("test")}
    assert sum(found[n].sum() < native[n] for n in found) == 68


def test_the_real_lengths_cut_to_rows_are_not_the_published_array(real):
    _, found, aligned = published(real, {v.name: v.frames // 16 for v in opened(real).videos("test")})
    assert (aligned.total, aligned.positives.sum(), len(found)) == (144_352, 33_160, 240)


@pytest.mark.parametrize("with_annotation", [True, False])
def test_the_real_fractions_give_the_native_frames(real, counts, test_data, with_annotation):
    if not with_annotation:
        remove(real, ANNOTATION_FILE)
    path = test_data / "more" / "spans" / "msad_test_anno.json"
    videos = open_dataset(Msad, real, truth=str(path)).read().videos["test"]
    assert totals(videos) == counts["native"]
    assert read_truth(path).videos.keys() == {v.name for v in videos}
