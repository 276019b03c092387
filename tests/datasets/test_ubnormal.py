import json
from collections import Counter

import numpy as np
import pytest
from vadbench_ubnormal.dataset import UbNormal
from vadbench_ubnormal.tracks import read_tracks

from roots.ubnormal import ABNORMAL, NORMAL, PLOVAD_LIST, RUNS, TEST_FRAMES, TRACKS, make_root, tracks_file, write_clip
from vadbench.base.errors import DataError, UnknownNameError
from vadbench.base.ground_truth import LengthShare, Truth, VideoTruth
from vadbench.data.annotations.truth_files import read_truth
from vadbench.inspect import inspect

SPLITS = {"train": "training", "validation": "validation", "test": "test"}
FIRST, FIRE = ABNORMAL["test"][0], ABNORMAL["test"][2]
LIST = "scripts/abnormal_test_video_names.txt"


def refused(root, *words, partition=""):
    dataset = UbNormal(root)
    dataset.divide(partition)
    with pytest.raises(DataError) as caught:
        dataset.read()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in words:
        assert word in message


def names(videos):
    return [v.name for v in videos]


def test_there_is_one_abnormal_class_and_no_metric_of_classes(tmp_path):
    table = UbNormal.classes
    assert (table.names, table.normal, UbNormal.by_class) == (("Abnormal", "Normal"), 1, False)
    dataset = UbNormal(make_root(tmp_path))
    dataset.read()
    assert dataset.by_class is False


def test_readers_of_results_are_told_that_the_set_is_open_and_where_it_is_not():
    assert all("\n" not in remark for remark in UbNormal.remarks)
    said = " ".join(UbNormal.remarks)
    for words in ("open set", "'having a seizure' and 'laying down'", "'having a seizure' and 'jumping'", "no classes"):
        assert words in said


@pytest.mark.parametrize("lists", ["scripts", "."])
def test_the_lists_give_the_splits_and_the_tracks_the_frames(tmp_path, lists):
    dataset = UbNormal(make_root(tmp_path, lists))
    dataset.prepare()
    found = dataset.read()
    assert dataset.splits == ("train", "validation", "test") and found.problems == []
    for split, word in SPLITS.items():
        videos = found.videos[split]
        assert names(videos) == ABNORMAL[word] + NORMAL[word]
        assert [v.labels for v in videos] == [("Abnormal",)] * len(ABNORMAL[word]) + [("Normal",)] * len(NORMAL[word])
        assert {v.name: v.runs for v in videos if v.runs} == {n: RUNS[n] for n in names(videos) if n in RUNS}
        assert all(v.frames is None and v.path is None and v.binary is None for v in videos)
    # Training knows labels of videos alone, though a file of tracks is there.
    assert not any(v.segments for v in found.videos["train"])
    assert [(s.label, s.start, s.end) for s in found.videos["test"][1].segments] == [
        ("Abnormal", 0, 1),
        ("Abnormal", 10, 26),
        ("Abnormal", 40, 48),
    ]


def test_the_scenario_is_the_scene(tmp_path):
    found = UbNormal(make_root(tmp_path)).read().videos
    assert [v.scenario for v in found["train"]] == ["scene 3", "scene 8", "scene 1", "scene 17", "scene 9"]
    assert [v.scenario for v in found["test"]] == ["scene 1", "scene 8", "scene 27", "scene 18", "scene 4"]


def test_one_line_is_one_track(tmp_path):
    dataset = UbNormal(make_root(tmp_path, **{tracks_file(FIRST): ["7,3,9"]}))
    assert dataset.videos("test")[0].runs == ((3, 10),)


def test_all_boundaries_are_the_authors_own(tmp_path):
    dataset = UbNormal(make_root(tmp_path))
    assert dataset.videos("test", "vadclip") == dataset.videos("test", "anomalyclip") == dataset.videos("test")


def test_videos_of_the_archive_are_found_beside_their_annotation(tmp_path):
    root = make_root(tmp_path)
    for name, suffix in ((FIRST, ".mp4"), (FIRE, ".avi")):
        folder = (root / tracks_file(name)).parent
        (folder.parent / f"{name}{suffix}").touch()
        for i in range(3):
            (folder / f"{name}_{i:04d}_gt.png").touch()
    dataset = UbNormal(root)
    found = {v.name: v.path and v.path.relative_to(root).as_posix() for v in dataset.videos("test")}
    assert found == {n: None for n in TEST_FRAMES} | {FIRST: f"Scene1/{FIRST}.mp4", FIRE: f"Scene27/{FIRE}.avi"}
    assert any("3 of 5 test videos have no file" in p for p in dataset.problems)


@pytest.mark.parametrize("form", ["{0}@{1}", "test/abnormal/{0}.mp4 {1}"])
def test_frame_counts_come_from_a_file_where_there_is_one(tmp_path, form):
    counts = [form.format(name, frames) for name, frames in TEST_FRAMES.items()]
    test = UbNormal(make_root(tmp_path, **{"ubnormal_frames.txt": counts})).videos("test")
    assert {v.name: v.frames for v in test} == TEST_FRAMES


def test_a_track_past_the_end_is_cut_and_noted(tmp_path):
    dataset = UbNormal(make_root(tmp_path, **{"frames.txt": [f"{FIRE}@48"]}))
    assert dataset.videos("test")[2].runs == ((0, 48),)
    assert [p for p in dataset.problems if f"{FIRE}_tracks.txt, line 1" in p and "past its 48 frames; cut there" in p]


def test_files_of_tracks_may_lie_anywhere_and_links_are_followed(tmp_path):
    root = make_root(tmp_path / "root", **{tracks_file(FIRST): None, tracks_file(FIRE): None})
    (root / "flat").mkdir()
    (root / "flat" / f"{FIRST}_tracks.txt").write_text("1,3,9")
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / f"{FIRE}_tracks.txt").write_text("1,0,49\n")
    (root / "Scene27").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere")
    assert [v.runs for v in UbNormal(root).videos("test")[:3]] == [RUNS[n] for n in ABNORMAL["test"]]


def test_the_archives_file_comes_before_a_pose_methods_of_the_same_name(tmp_path):
    root = make_root(tmp_path)
    (root / "gt").mkdir()
    for name in TEST_FRAMES:
        with (root / "gt" / f"{name}_tracks.txt").open("wb") as file:
            np.save(file, np.ones(50))
    dataset = UbNormal(root)
    with pytest.raises(DataError, match=rf"{NORMAL['test'][0]}_tracks\.txt: .*found a NumPy array"):
        dataset.videos("test")
    for name in NORMAL["test"]:
        (root / "gt" / f"{name}_tracks.txt").unlink()
    assert UbNormal(root).videos("test")[0].runs == RUNS[FIRST]


def test_two_files_of_tracks_for_one_video_are_refused(tmp_path):
    root = make_root(tmp_path, **{f"copy/{tracks_file(FIRST)}": ["1,0,9"]})
    refused(root, f"Scene1/{FIRST}_annotations/{FIRST}_tracks.txt", "copy/Scene1", "are both the tracks", "keep one")


def test_an_empty_file_of_a_normal_video_says_nothing(tmp_path):
    root = make_root(tmp_path, **{tracks_file(NORMAL["test"][0]): []})
    assert not any(v.runs for v in UbNormal(root).videos("test") if v.labels == ("Normal",))


@pytest.mark.parametrize(
    ("file", "lines", "words"),
    [
        (LIST, None, ["abnormal_test_video_names.txt not found", "expected there: the authors' six lists"]),
        ("scripts/normal_validation_video_names.txt", None, ["normal_validation_video_names.txt not found"]),
        (LIST, [], ["abnormal_test_video_names.txt: the list is empty"]),
        (LIST, [FIRST, "normal_scene_4_scenario_9"], [f"{LIST}, line 2", "a name such as abnormal_scene_2_scenario_1"]),
        (LIST, [FIRST, "abnormal_scene_x_scenario_9"], [f"{LIST}, line 2", "a name such as"]),
        (LIST, [FIRST, "Abuse001_x264.mp4"], [f"{LIST}, line 2", "a name such as"]),
        (LIST, [FIRST, FIRST], [f"{LIST}, line 2", "is listed already"]),
        (LIST, [ABNORMAL["training"][1]], [f"{LIST}, line 1", "abnormal_training_video_names.txt, line 2"]),
        (LIST, [FIRST, f"../{FIRE}"], [f"{LIST}, line 2", "'..'"]),
        (LIST, [FIRST, f"/x/{FIRE}"], [f"{LIST}, line 2", "outside the data root"]),
        (tracks_file(FIRST), None, ["1 of 3 abnormal test videos have no file of tracks", f"{FIRST}_tracks.txt"]),
        (tracks_file(FIRST), [], [f"{FIRST}_tracks.txt: expected a track", "empty file"]),
        (tracks_file(FIRST), ["1,0,4", "1,9"], [f"{FIRST}_tracks.txt, line 2", "'object,first,last', found '1,9'"]),
        (tracks_file(FIRST), ["1 0 4"], [f"{FIRST}_tracks.txt, line 1", "'object,first,last'"]),
        (tracks_file(FIRST), ["1,0,4,5"], [f"{FIRST}_tracks.txt, line 1", "'object,first,last'"]),
        (tracks_file(FIRST), ["1,0,4", "1,9,8"], [f"{FIRST}_tracks.txt, line 2", "first <= last", "9 8"]),
        (tracks_file(FIRST), ["1,-1,-1"], [f"{FIRST}_tracks.txt, line 1", "first <= last", "-1 -1"]),
        (tracks_file(FIRST), ["1,0,4.5"], [f"{FIRST}_tracks.txt, line 1", "a whole number"]),
        (tracks_file(FIRST), ["x,0,4"], [f"{FIRST}_tracks.txt, line 1", "a whole number", "'x'"]),
        (tracks_file(FIRST), ["1,0," + "7" * 5000], [f"{FIRST}_tracks.txt, line 1", "at most nine digits"]),
        (tracks_file(FIRST), ["1,0,9\0"], [f"{FIRST}_tracks.txt, line 1", "binary data"]),
        (
            tracks_file(NORMAL["test"][1]),
            ["1,3,9"],
            [f"{NORMAL['test'][1]}_tracks.txt, line 1", "is normal by", "normal_test_video_names.txt, line 2"],
        ),
        (tracks_file(ABNORMAL["validation"][1]), None, ["1 of 2 abnormal validation videos", "authors' folders"]),
        (tracks_file(ABNORMAL["validation"][1]), ["1,x,2"], ["5_smoke_tracks.txt, line 1", "a whole number"]),
        ("frames.txt", [f"{FIRST}@33", f"{FIRE}@"], ["frames.txt, line 2", "its number of frames"]),
        ("frames.txt", [f"{FIRE}@47"], [f"{FIRE}_tracks.txt, line 1", "ends more than 2 frames past its 47 frames"]),
        ("frames.txt", [f"{FIRST}@3"], [f"{FIRST}_tracks.txt, line 1", "starts past its 3 frames"]),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, file, lines, words):
    refused(make_root(tmp_path, **{file: lines}), *words)


def test_labels_of_pose_methods_are_refused_in_one_line(tmp_path):
    root = make_root(tmp_path)
    with (root / tracks_file(FIRST)).open("wb") as file:
        np.save(file, np.ones(33))
    refused(root, f"{FIRST}_tracks.txt: expected lines 'object,first,last', found a NumPy array", "0 is anomalous")


def test_without_tracks_the_test_videos_are_refused_and_validation_is_noted(tmp_path):
    root = make_root(tmp_path, **{tracks_file(name): None for name in TRACKS})
    refused(root, "3 of 3 abnormal test videos", "--truth FILE")
    dataset = UbNormal(root)
    assert not any(v.runs for v in dataset.videos("validation"))
    assert dataset.problems == [
        f"no validation video has a file of tracks below {root}; weights are chosen by whole videos"
    ]


def truth_of(runs, frames):
    """A ground truth as a user writes it."""
    return {"videos": {n: {"frames": f, "segments": [[None, *r] for r in runs.get(n, ())]} for n, f in frames.items()}}


def test_another_truth_takes_the_place_of_the_tracks_of_the_test_videos(tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(truth_of({FIRST: [(5, 6)], FIRE: [(0, 50)]}, TEST_FRAMES)))
    root = make_root(tmp_path / "root", **{tracks_file(name): None for name in ABNORMAL["test"]})
    dataset = UbNormal(root)
    dataset.adopt(read_truth(tmp_path / "truth.json"))
    found = dataset.read().videos
    assert {v.name: v.runs for v in found["test"] if v.runs} == {FIRST: ((5, 6),), FIRE: ((0, 50),)}
    assert {v.name: v.frames for v in found["test"]} == TEST_FRAMES
    assert [v.runs for v in found["validation"][:2]] == [RUNS[n] for n in ABNORMAL["validation"]]
    assert dataset.by_class is False


def shares_of(name):
    """The fractions of a test video as LaGoVAD gives them: the last interval lacks its last frame."""
    frames, runs = TEST_FRAMES[name], RUNS.get(name, ())
    return tuple(LengthShare("Abnormal", a / frames, (b - ((a, b) == runs[-1])) / frames) for a, b in runs)


def test_fractions_of_lagovad_lack_the_last_frame_of_a_video(tmp_path):
    dataset = UbNormal(make_root(tmp_path, **{"frames.txt": [f"{n}@{f}" for n, f in TEST_FRAMES.items()]}))
    dataset.adopt(Truth("shares", {n: VideoTruth(shares=shares_of(n)) for n in TEST_FRAMES}))
    assert {v.name: v.runs for v in dataset.read_split("test") if v.runs} == {n: RUNS[n] for n in ABNORMAL["test"]}


def test_fractions_are_of_the_length_of_a_video_file(tmp_path):
    root = make_root(tmp_path)
    truth = Truth("shares", {n: VideoTruth(shares=shares_of(n), where="its file") for n in TEST_FRAMES})
    dataset = UbNormal(root)
    dataset.adopt(truth)
    with pytest.raises(DataError, match="its file: intervals are fractions of the video's length, which is unknown"):
        dataset.read_split("test")
    for name in ABNORMAL["test"]:
        write_clip(root, name)
    dataset = UbNormal(root)
    dataset.adopt(truth)
    assert {v.name: v.runs for v in dataset.read_split("test") if v.runs} == {n: RUNS[n] for n in ABNORMAL["test"]}
    # Otherwise the decoder says how long a video is.
    assert all(v.path and v.frames is None for v in UbNormal(root).videos("test")[:3])
    (root / "Scene27" / f"{FIRE}.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="which is unknown"):
        dataset.read_split("test")


def test_plovad_trains_on_validation_videos_of_its_list(tmp_path):
    dataset = UbNormal(make_root(tmp_path, **{"lists/ub-vit-train.list": PLOVAD_LIST}))
    own = dataset.read().videos
    dataset.divide("plovad")
    assert dataset.sizes == {"train": 304, "validation": 28, "test": 211}
    found = dataset.read().videos
    moved = ABNORMAL["validation"][1]
    assert names(found["train"]) == [*names(own["train"]), moved]
    assert names(found["validation"]) == [n for n in names(own["validation"]) if n != moved]
    assert found["test"] == own["test"]
    # What trains is shown no frames.
    assert not any(v.segments for v in found["train"])
    assert found["validation"][0].runs == RUNS[ABNORMAL["validation"][0]]
    dataset.divide("")
    assert dataset.read().videos == own


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (None, ["ub-vit-train.list not found", "src/list/ubnormal"]),
        ([], ["ub-vit-train.list: the list is empty"]),
        ([*PLOVAD_LIST, f"test/abnormal/{FIRST}.npy"], ["ub-vit-train.list, line 7", f"found '{FIRST}' of the test"]),
        ([*PLOVAD_LIST, "val/abnormal/other.npy"], ["ub-vit-train.list, line 7", "'other' of none of"]),
        ([*PLOVAD_LIST, PLOVAD_LIST[0]], ["ub-vit-train.list, line 7", "is listed already"]),
    ],
)
def test_a_damaged_list_of_plovad_is_refused_in_one_line(tmp_path, lines, words):
    root = make_root(tmp_path, **{"lists/ub-vit-train.list": lines})
    refused(root, *words, partition="plovad")
    UbNormal(root).read()  # the authors' own split does without it


def test_no_other_division_is_offered(tmp_path):
    with pytest.raises(UnknownNameError, match="plovad"):
        UbNormal(tmp_path).divide("federated")


def test_a_root_is_inspected_with_videos(tmp_path):
    root = make_root(tmp_path, **{"ubnormal_frames.txt": [f"{n}@{f}" for n, f in TEST_FRAMES.items()]})
    for name in (n for kind in (ABNORMAL, NORMAL) for listed in kind.values() for n in listed):
        write_clip(root, name)
    report = inspect(UbNormal(root))
    found = {split: (r.videos.found, r.videos.usable, r.positive_frames) for split, r in report.splits.items()}
    assert found == {"train": (5, 5, 0), "validation": (4, 4, 64), "test": (5, 5, 82)}
    assert report.splits["test"].frames_stated == report.splits["test"].frames_found == sum(TEST_FRAMES.values())
    # Nothing is wrong but that a complete copy has more videos.
    assert {p.kind for p in report.problems} == {"count"}


@pytest.fixture(scope="module")
def source(test_data):
    folder = test_data / "more" / "ubnormal"
    if not folder.is_dir():
        pytest.skip(f"no lists of UBnormal at {folder}; set VADBENCH_TEST_DATA to the folder that has them")
    return folder


@pytest.fixture(scope="module")
def spans(source):
    return json.loads((source / "frame_spans.json").read_text())


@pytest.fixture(scope="module")
def root(source, tmp_path_factory):
    """The authors' lists, and the files of tracks that are at hand."""
    folder = tmp_path_factory.mktemp("ubnormal")
    for path in (*source.glob("*_names.txt"), source / "ub-vit-train.list"):
        (folder / path.name).write_bytes(path.read_bytes())
    for name, tracks in json.loads((source / "tracks_train_val.json").read_text())["tracks"].items():
        path = folder / tracks_file(name)
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(",".join(map(str, track)) for track in tracks))
    return folder


@pytest.fixture(scope="module")
def official(root, spans, tmp_path_factory):
    """The listing of the official lists, the test truth coming from a file in vadbench's own form."""
    path = tmp_path_factory.mktemp("truth") / "test.json"
    path.write_text(json.dumps({"videos": {n: _entry(*stated) for n, stated in spans["test"].items()}}))
    dataset = UbNormal(root)
    dataset.adopt(read_truth(path))
    return dataset.read()


def _entry(frames, runs):
    return {"frames": frames, "segments": [[None, *run] for run in runs]}


def mask_of(runs, frames):
    """One value for each frame, set frame by frame."""
    mask = np.zeros(frames, bool)
    for start, end in runs:
        for frame in range(start, end):
            mask[frame] = True
    return mask


def test_the_official_lists_have_the_documented_videos(official):
    kinds = {split: Counter(label for v in videos for label in v.labels) for split, videos in official.videos.items()}
    assert kinds == {
        "train": {"Normal": 186, "Abnormal": 82},
        "validation": {"Normal": 26, "Abnormal": 38},
        "test": {"Normal": 53, "Abnormal": 158},
    }
    assert {split: len(videos) for split, videos in official.videos.items()} == UbNormal.expected
    assert {split: len({v.scenario for v in videos}) for split, videos in official.videos.items()} == {
        "train": 29,
        "validation": 28,
        "test": 29,
    }
    every = [v.name for videos in official.videos.values() for v in videos]
    assert len(set(every)) == 543
    assert sum(name.rsplit("_", 1)[1] in ("fog", "smoke", "fire") for name in every) == 54
    assert official.problems == []


def test_the_official_native_truth_has_the_documented_counts(official, spans):
    test, validation = official.videos["test"], official.videos["validation"]
    assert sum(v.frames for v in test) == 92_640
    assert sum(v.frames for v in test if v.runs) == 69_047
    assert sum(int(mask_of(v.runs, v.frames).sum()) for v in test) == 49_850
    assert sum(len(v.runs) for v in test) == 200
    assert sum(v.runs == ((0, v.frames),) for v in test) == 46
    assert sum(end - start for v in validation for start, end in v.runs) == 13_938
    assert sum(frames for frames, _ in spans["validation"].values()) == 28_175


def test_the_official_tracks_give_the_frames_of_validation(official, spans):
    videos = {v.name: v for v in official.videos["validation"]}
    assert videos.keys() == spans["validation"].keys()
    for name, (frames, runs) in spans["validation"].items():
        assert (mask_of(videos[name].runs, frames) == mask_of(runs, frames)).all(), name
        assert all(end <= frames for _, end in videos[name].runs)


def test_the_official_tracks_give_the_frames_of_training(root, spans):
    lines = positive = 0
    for name, runs in spans["training"].items():
        tracks = read_tracks(root / tracks_file(name))
        frames = max(end for _, end in runs) + 100
        mask = mask_of([(t.first, t.last + 1) for t in tracks], frames)
        assert (mask == mask_of(runs, frames)).all(), name
        lines, positive = lines + len(tracks), positive + int(mask.sum())
    assert (len(spans["training"]), lines, positive) == (82, 195, 25_247)


def test_the_circulating_numbers_are_not_the_native_ones(test_data, spans, root):
    """What the other readings on the page of data sets give, and that LaGoVAD's file is read as native."""
    native = {name: (frames, runs) for name, (frames, runs) in spans["test"].items()}
    assert sum(end - start - 1 for _, runs in native.values() for start, end in runs) == 49_650
    assert sum(-(-frames // 16) * 16 for frames, _ in native.values()) == 95_120
    assert sum(frames // 16 * 16 for frames, _ in native.values()) == 91_744
    assert sum(frames for frames, _ in native.values()) + len(native) == 92_851
    entries = json.loads((test_data / "more" / "spans" / "ubnormal_test_anno.json").read_text())
    truth, plain, longer = {}, 0, 0
    for entry in entries:
        name = entry["video_path"].rsplit("/", 1)[1].removesuffix(".mp4")
        frames = native[name][0]
        shares = tuple(LengthShare(entry["class_name"], *span) for span in entry["anomaly_span"])
        truth[name] = VideoTruth(shares=shares, frames=frames, where=name)
        ends = [(round(start * frames), round(end * frames)) for start, end in entry["anomaly_span"]]
        plain += sum(end - start for start, end in ends)
        longer += sum(end + 1 - start for start, end in ends)
    assert (plain, longer) == (49_692, 49_892)
    dataset = UbNormal(root)
    dataset.adopt(Truth("shares", truth))
    for video in dataset.read_split("test"):
        frames, runs = native[video.name]
        assert (mask_of(video.runs, frames) == mask_of(runs, frames)).all(), video.name


def test_the_official_list_of_plovad_gives_its_304(root, official):
    dataset = UbNormal(root)
    dataset.divide("plovad")
    train, validation = dataset.videos("train"), dataset.videos("validation")
    assert (len(train), len(validation)) == (304, 28)
    assert sum(not dataset.is_normal(v) for v in train) == 82 + 36
    assert sum(dataset.is_normal(v) for v in validation) == 26
    moved = {v.name for v in train} - {v.name for v in official.videos["train"]}
    assert moved <= {v.name for v in official.videos["validation"]} and len(moved) == 36
