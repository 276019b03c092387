import json
from collections import Counter

import numpy as np
import pytest
from vadbench_nwpu.dataset import NwpuCampus

from roots.nwpu import ABNORMAL, LISTS, make_root, stem, truth
from vadbench.base.errors import DataError, UnknownNameError
from vadbench.features.layouts import open_features
from vadbench.harness.extraction_request import ExtractionRequest, open_extraction
from vadbench.harness.rules import open_dataset
from vadbench.plugins.registry import Registry
from vadbench.testing import dataset_checks


@pytest.fixture
def frames(tmp_path):
    return truth(tmp_path / "frames.json")


@pytest.fixture
def root(tmp_path):
    return make_root(tmp_path / "root")


def refused(call, *words):
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in words:
        assert word in message


def names(videos):
    return {v.name for v in videos}


def abnormal(videos):
    return {v.name for v in videos if v.labels == ("Anomaly",)}


TRAIN = {f"Train_{stem(i)}" for i in range(305)}
TEST = {f"Test_{stem(i)}" for i in range(242)}


@pytest.mark.parametrize(("videos", "lists"), [(True, True), (True, False), (False, True)])
def test_the_official_division_is_that_of_the_folders(tmp_path, frames, videos, lists):
    root = make_root(tmp_path / "root", videos, lists)
    dataset = open_dataset(NwpuCampus, root, truth=str(frames))
    found = dataset.read()
    train, test = found.videos["train"], found.videos["test"]
    assert names(train) == TRAIN and len(train) == 305 and not abnormal(train)
    assert names(test) == TEST and len(test) == 242
    assert abnormal(test) == {f"Test_{stem(i)}" for i in ABNORMAL} == {v.name for v in test if v.runs}
    assert {v.frames for v in test} == {30} and dataset.by_class is False
    assert next(v for v in test if v.name == "Test_D000_03").runs == ((3, 15),)
    assert found.problems == []
    for v in (*train, *test):
        side, scene, number = v.name.split("_")
        assert v.path == (root / side / f"{scene}_{number}.avi" if videos else None)
        assert v.scenario == scene


@pytest.mark.parametrize("videos", [True, False])
def test_the_division_of_tdsd_is_that_of_its_lists(tmp_path, frames, videos):
    dataset = open_dataset(NwpuCampus, make_root(tmp_path / "root", videos), "tdsd", str(frames))
    found = dataset.read().videos
    assert {split: len(v) for split, v in found.items()} == dict(dataset.sizes) == {"train": 316, "test": 231}
    assert names(found["train"]) == {f"Train_{stem(i)}" for i in range(149)} | {f"Test_{stem(i)}" for i in range(167)}
    assert abnormal(found["train"]) == {f"Test_{stem(i)}" for i in range(80)}
    assert abnormal(found["test"]) == {f"Test_{stem(i)}" for i in range(167, 211)}
    assert not any(v.segments for v in found["train"])


def test_without_a_ground_truth_one_line_says_that_one_must_be_given(root):
    dataset = NwpuCampus(root)
    assert len(dataset.videos("train")) == 305
    refused(lambda: dataset.videos("test"), "is not public", "--truth FILE", "campusvaa.github.io", "Test_D001_03")


def test_the_official_division_has_124_abnormal_videos(root, tmp_path):
    path = truth(tmp_path / "frames.json", ABNORMAL - {5})
    refused(
        lambda: open_dataset(NwpuCampus, root, truth=str(path)),
        "has 123 anomalous videos",
        "expected 124 among the 242",
        "--partition tdsd",
    )
    # TDSD's test videos alone have fewer.
    dataset = open_dataset(NwpuCampus, root, "tdsd", str(path))
    assert len(abnormal(dataset.read_split("test"))) == 44


def test_a_ground_truth_that_contradicts_the_lists_is_refused(root, tmp_path, frames):
    content = json.loads(frames.read_text())
    content["videos"][f"Train_{stem(200)}"]["segments"] = [[None, 1, 2]]
    frames.write_text(json.dumps(content))
    refused(lambda: open_dataset(NwpuCampus, root, truth=str(frames)), "frames.json", "Train_D020_00 is of the folder")
    # Normal by the list with labels.
    other = truth(tmp_path / "other.json", (ABNORMAL - {5}) | {100})
    dataset = open_dataset(NwpuCampus, root, truth=str(other))
    refused(lambda: dataset.read_split("test"), "Test_D010_00", "normal by the data set")


def test_a_ground_truth_that_lacks_a_video_is_refused(root, frames):
    content = json.loads(frames.read_text())
    del content["videos"]["Test_D010_00"]
    frames.write_text(json.dumps(content))
    dataset = open_dataset(NwpuCampus, root, truth=str(frames))
    refused(lambda: dataset.read_split("test"), "lacks 1 of 242 videos", "Test_D010_00")


def test_folders_of_frames_and_missing_videos(root, frames):
    folder = root / "frames" / "Testing" / "D000_01"
    folder.mkdir(parents=True)
    (folder / "0001.jpg").touch()
    dataset = open_dataset(NwpuCampus, root, truth=str(frames))
    found = {v.name: v.path for v in dataset.videos("test")}
    assert found["Test_D000_01"] == folder and sum(p is not None for p in found.values()) == 1
    assert all(v.path is None for v in dataset.videos("train"))
    assert len(dataset.problems) == 1 and "241 of 242 test videos have no file" in dataset.problems[0]


def test_features_are_found_by_folder_and_name(root, frames, tmp_path):
    dataset = open_dataset(NwpuCampus, root, truth=str(frames))
    both = {v.name for split in ("train", "test") for v in dataset.videos(split) if v.name.endswith("D001_02")}
    assert both == {"Train_D001_02", "Test_D001_02"}
    features = tmp_path / "features"
    features.mkdir()
    for i, name in enumerate(sorted(both)):
        np.save(features / f"{name}.npy", np.full((2, 4), i, np.float32))
    found = open_features(features, both, {}, "vadclip")
    assert {name: found.crop_rows(name, "0")[0, 0] for name in both} == {"Test_D001_02": 0, "Train_D001_02": 1}


def test_features_of_all_videos_are_extracted_with_a_ground_truth(tmp_path, frames):
    root, registry = make_root(tmp_path / "files", videos=True), Registry()
    asked = {"store": tmp_path / "store", "dataset": "nwpu", "data_root": root, "device": "cpu"}
    found = open_extraction(ExtractionRequest(**asked, truth=str(frames)), registry).videos
    assert len(found) == 547 and all(v.path for v in found)
    refused(lambda: open_extraction(ExtractionRequest(**asked), registry), "--truth FILE")


@pytest.mark.parametrize("name", LISTS)
def test_lists_that_are_absent_are_named(tmp_path, name):
    root = make_root(tmp_path / "root")
    (root / name).unlink()
    refused(lambda: NwpuCampus(root).videos("train"), f"no {name} in", "four lists")


def test_without_lists_and_videos_one_line_says_what_is_expected(tmp_path):
    dataset = NwpuCampus(tmp_path)
    refused(lambda: dataset.videos("train"), "no train videos and no lists below", "Train/D001_02.avi")
    dataset.divide("tdsd")
    refused(lambda: dataset.videos("train"), "no trainingSet_train.txt in", "four lists")
    with pytest.raises(UnknownNameError, match="did you mean 'tdsd'"):
        dataset.divide("tdds")


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("trainingSet_train.txt", "D001", "D001_02, found 'D001'"),
        ("trainingSet_train.txt", "../D001_02", "D001_02, found '../D001_02'"),
        ("trainingSet_train.txt", "D001_02 1", "D001_02, found"),
        ("trainingSet_test_label.txt", "D001_02", "D001_02 and a label, 0 or 1, found"),
        ("trainingSet_test_label.txt", "D001_02 2", "D001_02 and a label, 0 or 1, found"),
        ("testingSet_test.txt", "D001_02\0", "found binary data"),
        ("testingSet_train.txt", "D015_00", "Train/D015_00 is listed already"),
        ("testingSet_test.txt", "D000_00", "Test/D000_00 is listed already"),
    ],
)
def test_a_damaged_line_is_named(root, name, line, words):
    lines = (root / name).read_text().split("\n")
    (root / name).write_text("\n".join([*lines[:-1], line]))
    refused(lambda: NwpuCampus(root).videos("train"), f"{name}, line {len(lines)}: ", words)


def test_the_checks_of_data_sets_pass_under_a_ground_truth(tmp_path, frames):
    root = make_root(tmp_path / "root", videos=True)
    results = [c.result() for c in dataset_checks(NwpuCampus, data_root=root, truth=str(frames))]
    assert {r.name: r.found for r in results if r.status != "passed"} == {}
    found = {r.name: r.found for r in results}
    assert found["partitions"] == "tdsd: 316 of 316 train, 231 of 231 test"
    assert found["counts"] == "305 of 305 train videos, 242 of 242 test videos"


def test_the_lists_in_circulation_have_the_counts_of_the_specification(test_data):
    source = test_data / "more" / "nwpu"
    if not source.is_dir():
        pytest.skip(f"no lists of NWPU Campus at {source}; set VADBENCH_TEST_DATA to the folder that has them")
    expected = json.loads((source.parent / "expected.json").read_text())["nwpu"]
    dataset = NwpuCampus(source)
    official = dataset.videos("train")
    dataset.divide("tdsd")
    train = dataset.videos("train")
    sides = Counter(v.name.partition("_")[0] for v in train)
    assert {**sides, "abnormal": len(abnormal(train))} == expected["train"]
    listed = {name: (source / name).read_text().split() for name in ("testingSet_train.txt", "testingSet_test.txt")}
    assert [len(own) for own in listed.values()] == list(expected["test"].values())
    # The official test videos are the other folder of TDSD's lists.
    test = [f"Test_{s}" for s in listed["testingSet_test.txt"]] + [v.name for v in train if v.name.startswith("Test")]
    assert (len(official), len(test), len(train)) == (305, 242, 316)
    shared = {v.name.removeprefix("Train_") for v in official} & {name.removeprefix("Test_") for name in test}
    assert len(shared) == expected["names_in_both_folders"] == 221
    assert len({v.scenario for v in official} | {name.split("_")[1] for name in test}) == 43
