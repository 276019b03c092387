import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from vadbench_avenue.dataset import Avenue
from vadbench_avenue.masks import read_mask

from roots.avenue import LABELS, LENGTHS, MASKS, label_array, make_root, save_masks
from vadbench.base.errors import DataError, UnknownNameError
from vadbench.data.media import write_video
from vadbench.testing import dataset_checks

FOLDER = "ground_truth_demo/testing_label_mask"


def refused(call, *words):
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in words:
        assert word in message


def under(root, truth="frame-labels"):
    dataset = Avenue(root)
    dataset.adopt(dataset.truth(truth))
    return dataset


def runs(videos):
    return {int(v.name.removeprefix("Test_")): list(v.runs) for v in videos}


def test_one_class_training_and_no_metric_of_classes():
    assert (Avenue.classes.names, Avenue.classes.normal, Avenue.by_class) == (("Anomaly", "Normal"), 1, False)
    assert (Avenue.frame_rate, dict(Avenue.expected)) == (25, {"train": 16, "test": 21})


def test_the_masks_are_the_ground_truth(tmp_path):
    dataset = Avenue(make_root(tmp_path, labels="json"))
    dataset.prepare()
    found = dataset.read()
    train, test = found.videos["train"], found.videos["test"]
    assert found.problems == []
    assert [v.name for v in train] == [f"Train_{n:02d}" for n in range(1, 17)]
    assert all(v.labels == ("Normal",) and not v.runs for v in train)
    assert train[3].path == tmp_path / "training_videos" / "04.avi"
    assert [v.name for v in test] == [f"Test_{n:02d}" for n in range(1, 22)]
    assert test[3].path == tmp_path / "testing_videos" / "04.avi"
    assert [v.frames for v in test] == list(LENGTHS.values())
    assert runs(test) == MASKS and all(v.labels == ("Anomaly",) for v in test)


@pytest.mark.parametrize("form", ["json", "npy"])
@pytest.mark.parametrize("masks", [True, False])
def test_labels_of_frames_are_a_variant_that_needs_no_masks(tmp_path, form, masks):
    root = make_root(tmp_path, masks, form)
    if form == "npy" and not masks:
        for n, frames in LENGTHS.items():
            path = root / "testing_videos" / f"{n:02d}.avi"
            path.unlink()
            write_video(path.with_suffix(".mp4"), (np.zeros((16, 16, 3), np.uint8) for _ in range(frames)), 25)
    dataset = under(root)
    test = dataset.read_split("test")
    assert runs(test) == LABELS != MASKS
    assert [v.frames for v in test] == list(LENGTHS.values())
    assert dataset.other_truth.name == "frame-labels" and dataset.by_class is False
    assert dataset.read().problems == []


def test_without_masks_one_line_says_what_to_do(tmp_path):
    root = make_root(tmp_path, masks=False)
    refused(lambda: Avenue(root).videos("test"), "no masks testing_label_mask/1_label.mat", "--truth frame-labels")
    refused(lambda: Avenue(root).truth("frame-labels"), "neither frame_labels.json nor frame_labels_avenue.npy")
    assert len(Avenue(root).videos("train")) == 16
    np.save(root / "frame_labels_avenue.npy", label_array())
    for path in (root / "testing_videos").iterdir():
        path.unlink()
    refused(lambda: Avenue(root).truth("frame-labels"), "where Test_01 ends", "add them, or frame_labels.json")
    (root / "testing_videos" / "01.avi").touch()
    refused(lambda: Avenue(root).truth("frame-labels"), "01.avi: not a readable video")


def test_another_name_of_a_ground_truth_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'frame-labels'"):
        Avenue(tmp_path).truth("frame-label")


def test_folders_of_frames_and_missing_videos(tmp_path):
    for folder in ("training/frames/02", "testing/frames/02"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "0001.jpg").touch()
    dataset = Avenue(tmp_path)
    train = dataset.videos("train")
    assert [v.path for v in train if v.path] == [tmp_path / "training/frames/02"]
    assert len(dataset.problems) == 1 and "15 of 16 train videos have no file" in dataset.problems[0]
    dataset.videos("train")
    assert len(dataset.problems) == 1
    with_labels = under(make_root(tmp_path / "more", False, "json"))
    assert with_labels.videos("test")[1].path == tmp_path / "more" / "testing_videos" / "02.avi"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ([21, [[3, 22]]], ["frame_labels.json, '01'", "run [3, 22) must be within its 21 frames"]),
        ([21, [[5, 5]]], ["run [5, 5)"]),
        ([21, [[-1, 5]]], ["run [-1, 5)"]),
        ([0, []], ["from 1 to 10000000, found 0"]),
        ([99_999_999, []], ["from 1 to 10000000, found 99999999"]),
        ([21], ["expected [frames, [[start, end], ...]]"]),
        (None, ["expected [frames, [[start, end], ...]]"]),
        ([21, [[1.5, 3]]], ["a whole number"]),
        ([21, [[1, 3, 5]]], ["expected [frames, [[start, end], ...]]"]),
    ],
)
def test_a_damaged_entry_of_the_labels_is_named(tmp_path, entry, words):
    path = make_root(tmp_path, False, "json") / "frame_labels.json"
    content = json.loads(path.read_text())
    content["videos"]["01"] = entry
    path.write_text(json.dumps(content))
    refused(lambda: Avenue(tmp_path).truth("frame-labels"), "frame_labels.json", *words)


def test_labels_of_other_videos_are_refused(tmp_path):
    root = make_root(tmp_path, False, "json")
    (root / "frame_labels.json").write_text('{"videos": {"01": [21, []]}}')
    refused(lambda: Avenue(root).truth("frame-labels"), 'expected "videos" with the test videos 01 to 21')
    (root / "frame_labels.json").write_text("[1]")
    refused(lambda: Avenue(root).truth("frame-labels"), 'expected "videos"')


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (label_array()[:, :-1], ["a label for each of 651 frames", "found 650"]),
        (label_array() * 2, ["one 0 or 1 a frame"]),
        (np.stack([label_array()[0]] * 2), ["one 0 or 1 a frame", "(2, 651)"]),
    ],
)
def test_a_damaged_array_of_labels_is_named(tmp_path, array, words):
    root = make_root(tmp_path)
    np.save(root / "frame_labels_avenue.npy", array)
    refused(lambda: Avenue(root).truth("frame-labels"), "frame_labels_avenue.npy", *words)


def test_an_array_of_objects_is_never_read(tmp_path):
    root = make_root(tmp_path)
    np.save(root / "frame_labels_avenue.npy", np.array([{}], object), allow_pickle=True)
    refused(lambda: Avenue(root).truth("frame-labels"), "frame_labels_avenue.npy", "object")


@given(
    st.lists(st.booleans(), min_size=1, max_size=30),
    st.sampled_from([np.uint8, np.int16, np.float32, np.float64, np.bool_]),
    st.booleans(),
    st.sampled_from([(1, 1), (2, 2), (3, 5), (8, 8)]),
)
@settings(max_examples=60, deadline=None)
def test_masks_of_any_form_that_scipy_writes(tmp_path_factory, flags, dtype, compressed, size):
    path = tmp_path_factory.mktemp("mask") / "1_label.mat"
    edges = [t for t in range(len(flags) + 1) if (t < len(flags) and flags[t]) != (t > 0 and flags[t - 1])]
    expected = tuple(zip(edges[::2], edges[1::2], strict=True))
    before = {"about": "a text", "numbers": np.arange(5.0)}
    save_masks(path, len(flags), expected, size, dtype, compressed, **before)
    assert read_mask(path) == (len(flags), expected)


def test_a_frame_of_the_official_size_and_a_pixel_in_its_last_corner(tmp_path):
    images = np.empty((1, 3), object)
    for t in range(3):
        images[0, t] = np.zeros((360, 640), np.uint8)
    images[0, 1][-1, -1] = 1
    for compressed in (True, False):
        savemat(tmp_path / "1_label.mat", {"volLabel": images}, do_compression=compressed)
        assert read_mask(tmp_path / "1_label.mat") == (3, ((1, 2),))


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


def matrix(kind, body, size=None):
    return struct.pack("<II", 14, len(body) if size is None else size) + body


def described(kind, dimensions, name):
    shape = struct.pack(f"<{len(dimensions)}i", *dimensions)
    name += b"\0" * (-len(name) % 8)
    parts = [struct.pack("<IIII", 6, 8, kind, 0), struct.pack("<II", 5, len(shape)) + shape]
    return b"".join([*parts, struct.pack("<II", 1, len(name.rstrip(b"\0"))) + name])


def written(path, *elements):
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"".join(elements))


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("keep", [0, 60, 130, 200, -9])
def test_a_mask_that_is_cut_short_is_named(tmp_path, compressed, keep):
    path = tmp_path / "1_label.mat"
    save_masks(path, 9, [(2, 5)], (90, 100), compressed=compressed)
    cut(path, keep)
    refused(lambda: read_mask(path), str(path), "fetch it again")


def test_damaged_bytes_are_named_or_read_as_masks(tmp_path):
    path = tmp_path / "1_label.mat"
    save_masks(path, 9, [(2, 5)], compressed=False)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in random.integers(126, len(whole), 3):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_mask(path)
        except DataError as error:
            assert str(path) in str(error) and len(str(error).splitlines()) == 1


def test_other_files_are_refused_by_what_they_are(tmp_path):
    path = tmp_path / "1_label.mat"
    refused(lambda: read_mask(path), "cannot read")
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(600))
    refused(lambda: read_mask(path), "saved in version 7.3; save it with -v7")
    path.write_bytes(b"\x80\x04 a pickle".ljust(600))
    refused(lambda: read_mask(path), "a MATLAB file with the images")
    savemat(path, {"other": np.zeros((3, 3))})
    refused(lambda: read_mask(path), "no such variable")
    savemat(path, {"volLabel": np.zeros((3, 3))})
    refused(lambda: read_mask(path), "found an array of kind 6, not of cells")
    images = np.empty((1, 2), object)
    images[0, 0], images[0, 1] = np.zeros((2, 2)), {"a": 1}
    savemat(path, {"volLabel": images})
    refused(lambda: read_mask(path), "frame 1 is an array of kind 2, not of numbers")


def test_a_small_file_cannot_ask_for_much(tmp_path):
    path = tmp_path / "1_label.mat"
    written(path, matrix(14, described(1, (2**30, 2**30), b"volLabel")))
    refused(lambda: read_mask(path), "found 1152921504606846976 images")
    written(path, matrix(14, described(1, (-1, 1), b"volLabel")))
    refused(lambda: read_mask(path), "found -1 images")
    written(path, matrix(14, struct.pack("<IIII", 6, 8, 1, 0) + struct.pack("<II", 5, 2**32 - 16)))
    refused(lambda: read_mask(path), "found a name or dimensions of 4294967280 bytes")
    # 256 images of 4 GB each, by their word; the file has none of it.
    image = described(9, (2**16, 2**16), b"") + struct.pack("<II", 2, 2**32 - 8)
    body = described(1, (1, 256), b"volLabel") + matrix(14, image, 2**32 - 8)
    packed = zlib.compress(matrix(14, body, 2**32 - 8))
    written(path, struct.pack("<II", 15, len(packed)) + packed)
    refused(lambda: read_mask(path), "it ends early")


def test_a_missing_mask_among_others_is_named(tmp_path):
    root = make_root(tmp_path)
    (root / FOLDER / "7_label.mat").unlink()
    refused(lambda: Avenue(root).videos("test"), "7_label.mat", "fetch it again")


@pytest.mark.parametrize(("masks", "truth"), [(True, ""), (False, "frame-labels")])
def test_the_checks_of_data_sets_pass(tmp_path, masks, truth):
    root = make_root(tmp_path, masks, "json")
    results = {c.name: c.result() for c in dataset_checks(Avenue, data_root=root, truth=truth)}
    assert {r.name: r.found for r in results.values() if r.status != "passed"} == {}
    assert results["truths"].found == "frame-labels: 21 of 21 test videos have segments"


def test_the_labels_in_circulation_have_the_counts_of_the_specification(tmp_path, test_data):
    source = test_data / "more" / "avenue" / "frame_labels.json"
    if not source.is_file():
        pytest.skip(f"no {source}; set VADBENCH_TEST_DATA to the folder that has it")
    (tmp_path / source.name).write_bytes(source.read_bytes())
    test = under(tmp_path).read_split("test")
    expected = json.loads((source.parents[1] / "expected.json").read_text())["avenue"]
    positive = sum(end - start for v in test for start, end in v.runs)
    assert (len(test), sum(v.frames for v in test), positive) == tuple(expected.values()) == (21, 15_324, 3_867)
