"""``vadbench run`` on features that others made, in every layout, under every protocol."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from places import PLUGIN
from vadbench.records.scores import load_split

pytestmark = pytest.mark.usefixtures("pictures_left_blank")
DIM = 64
LENGTHS = (1, 15, 16, 17, 47, 48, 49, 200)
"""Frames of the test videos: the short ones and those around a whole number of rows are where layouts differ."""
ABNORMAL = {47: [(10, 20)], 49: [(1, 5), (40, 49)], 200: [(100, 180)]}
"""Their intervals as UCF-Crime writes them: 1-based, both ends inside."""


def video_name(kind, i):
    return f"Abuse{i:03d}_x264" if kind == "Abuse" else f"Normal_Videos_{i:03d}_x264"


def all_videos():
    """Name to frames of both splits."""
    test = [("Abuse" if n in ABNORMAL else "Normal", i, n) for i, n in enumerate(LENGTHS)]
    train = [("Abuse" if i % 2 else "Normal", 100 + i, 150 + 7 * i) for i in range(12)]
    return {video_name(kind, i): n for kind, i, n in test}, {video_name(kind, i): n for kind, i, n in train}


@pytest.fixture
def root(tmp_path):
    """A root in UCF-Crime's form without videos: lists, annotation, frame counts."""
    root = tmp_path / "UCFCrime"
    root.mkdir()
    test, train = all_videos()
    for split, videos in (("Test", test), ("Train", train)):
        lines = [f"{'Abuse' if n.startswith('Abuse') else 'Normal_Videos_event'}/{n}.mp4" for n in videos]
        (root / f"Anomaly_{split}.txt").write_text("\n".join(lines))
        (root / f"{split}_Annotation.txt").write_text("\n".join(f"{n}.mp4 {t}" for n, t in videos.items()))
    lines = []
    for name, frames in test.items():
        numbers = [str(n) for pair in ABNORMAL.get(frames, []) for n in pair]
        numbers += ["-1"] * (4 - len(numbers))
        lines.append(f"{name}.mp4  {'Abuse' if frames in ABNORMAL else 'Normal'}  {'  '.join(numbers)}")
    (root / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text("\n".join(lines))
    return root


def values(name, rows, crop=0):
    """Rows of a video, a little higher in abnormal ones."""
    rng = np.random.default_rng([sum(name.encode()), crop])
    return (rng.standard_normal((rows, DIM)) + name.startswith("Abuse")).astype(np.float32)


def snippets(frames):
    return max(frames // 16, 1)


def write(root, layout, dtype=np.float32):
    """Features of all videos below the root, in a folder that is called like nothing in particular."""
    folder = root / "some features"
    test, train = all_videos()
    for name, frames in (test | train).items():
        place = folder / ("Abuse" if name.startswith("Abuse") else "Normal")
        place.mkdir(parents=True, exist_ok=True)
        if layout == "anomalyclip":
            np.save(place / f"{name}.npy", values(name, frames).astype(dtype))
            continue
        crops = np.stack([values(name, snippets(frames), c) for c in range(10)]).astype(dtype)
        if layout == "vadclip":
            for c in range(10):
                np.save(place / f"{name}__{c}.npy", crops[c])
        elif layout == "rows-crops":
            np.save(place / f"{name}_i3d.npy", crops.swapaxes(0, 1))
        else:
            np.save(place / f"{name}.npy", crops)
    return folder


@pytest.fixture
def run(vadbench, tmp_path, root):
    base = ["run", "--plugin", PLUGIN, "--clip", "small", "--clip-weights", "random:0", "--device", "cpu", "--json"]
    base += ["-d", "ucfcrime", "--data-root", root, "--out", tmp_path / "runs"]

    def call(*arguments, status=0):
        found = vadbench(*base, *(() if "--from" in arguments else ("-m", "linear")), *arguments, status=status)
        return found.json[0] if status == 0 else found.err

    return call


SNIPPETS = ("--set", "rows.stride=16")


def truth(frames, boundaries, length):
    """0 or 1 for each of ``length`` frames, by the reading of the intervals that the specification gives."""
    labels = np.zeros(length, int)
    for first, last in ABNORMAL.get(frames, []):
        start, end = {"native": (first - 1, last), "vadclip": (first, last), "anomalyclip": (first, last + 1)}[
            boundaries
        ]
        labels[start : min(end, length)] = 1
    return labels


@pytest.mark.parametrize(
    ("layout", "protocol"),
    [
        (a, b)
        for a in ("anomalyclip", "vadclip", "rows-crops", "crops-rows")
        for b in ("native", "vadclip", "anomalyclip")
    ],
)
def test_frames_positives_and_auc_follow_the_protocol(run, root, layout, protocol):
    folder = write(root, layout)
    settings = () if layout == "anomalyclip" else SNIPPETS
    crop = () if layout == "anomalyclip" else ("--crop", "3")
    # Two videos of 1 and 15 frames have one row, so that one is longer than they are.
    found = run("--features", folder, "--protocol", protocol, *settings, *crop)
    stride = 1 if layout == "anomalyclip" else 16
    split = load_split(Path(found["folder"]))
    scores, kept_stride = split.scores, split.stride
    assert kept_stride == stride
    test, _ = all_videos()
    labels, ranked = [], []
    for s in scores:
        rows = test[s.name] if stride == 1 else snippets(test[s.name])
        assert len(s.anomaly) == rows
        length = test[s.name] if protocol == "native" else rows * stride
        held = s.anomaly[np.minimum(np.arange(length) // stride, rows - 1)]
        ranked.append(held)
        labels.append(truth(test[s.name], protocol, length))
    labels, ranked = np.concatenate(labels), np.concatenate(ranked)
    assert found["data"]["test"]["frames"] == len(labels)
    assert found["data"]["test"]["positives"] == labels.sum()
    assert found["metrics"]["AUC"]["value"] == pytest.approx(roc_auc_score(labels, ranked), abs=1e-12)
    assert any("of unknown origin" in n for n in found["notes"])
    assert found["fingerprint"]["weights"].startswith("unknown-")


def test_features_in_a_root_without_videos_are_found(run, root):
    write(root, "anomalyclip")
    assert any("of unknown origin" in n for n in run()["notes"])


def test_float16_gives_nearly_the_scores_of_float32(run, root, tmp_path):
    exact = run("--features", write(root, "vadclip"), *SNIPPETS, "--crop", "0")
    rounded = run("--features", write(root, "vadclip", np.float16), *SNIPPETS, "--crop", "0")
    assert rounded["fingerprint"]["dtype"] == "float16"
    assert rounded["key"] != exact["key"]
    assert rounded["metrics"]["AUC"]["value"] == pytest.approx(exact["metrics"]["AUC"]["value"], abs=0.02)


def test_the_crop_decides_what_is_scored_and_not_what_is_trained(run, root):
    folder = write(root, "vadclip")
    found = {c: run("--features", folder, *SNIPPETS, "--crop", c) for c in ("0", "7", "mean")}
    assert len({f["key"] for f in found.values()}) == 1
    assert len({f["folder"] for f in found.values()}) == 3
    assert found["mean"]["protocol"]["crop"] == "mean"


def test_the_mean_over_crops_is_the_mean_of_their_scores(run, root):
    folder = write(root, "rows-crops")
    single = [load_split(Path(run("--features", folder, *SNIPPETS, "--crop", c)["folder"])).scores for c in range(10)]
    mean = load_split(Path(run("--features", folder, *SNIPPETS, "--crop", "mean")["folder"])).scores
    for i, video in enumerate(mean):
        expected = np.mean([scores[i].anomaly.astype(np.float64) for scores in single], axis=0)
        np.testing.assert_allclose(video.anomaly, expected, rtol=1e-6)


def test_the_papers_crop_is_scored_under_its_protocol(run, root):
    found = run("--features", write(root, "vadclip"), *SNIPPETS, "--protocol", "vadclip")
    assert found["protocol"]["crop"] == "5"


def test_every_crop_is_a_sample_where_the_method_says_so(run, root):
    folder = write(root, "vadclip")
    steps = {}
    for which in ("one", "all"):
        found = run("--features", folder, *SNIPPETS, "--crop", "0", "--set", f"rows.crops={which}")
        log = (Path(found["folder"]) / "training.jsonl").read_text().splitlines()
        steps[which] = json.loads(log[0])["steps"]
    # 6 abnormal and 6 normal training videos, two of each in a batch.
    assert steps == {"one": 3, "all": 30}


@pytest.mark.parametrize(("layout", "settings"), [("vadclip", SNIPPETS), ("rows-crops", SNIPPETS)])
def test_crops_without_a_center_must_be_chosen(run, root, layout, settings):
    line = run("--features", write(root, layout), *settings, status=2)
    assert "no crop 'center'" in line and "--crop mean" in line


def test_a_crop_that_is_not_there_is_refused(run, root):
    line = run("--features", write(root, "vadclip"), *SNIPPETS, "--crop", "10", status=2)
    assert "no crop '10'" in line and "found 0, 1, 2" in line


def test_frames_are_guessed_only_where_nobody_knows_them_and_the_result_says_so(run, root):
    folder = write(root, "vadclip")
    (root / "Test_Annotation.txt").unlink()
    found = run("--features", folder, *SNIPPETS, "--crop", "0", "--features-layout", "vadclip")
    # The video of 49 frames has three rows of 16 and an interval that ends with frame 49.
    assert found["data"]["test"]["frames"] == sum(16 * snippets(n) for n in LENGTHS) + 1
    assert found["data"]["test"]["positives"] == 11 + 5 + 10 + 81
    assert any("nobody states how long 8 videos are" in n for n in found["notes"])


def test_rows_of_another_video_are_refused(run, root):
    folder = write(root, "vadclip")
    (path,) = folder.rglob("Abuse007_x264__0.npy")
    for crop in range(10):
        np.save(path.with_name(f"Abuse007_x264__{crop}.npy"), values("x", 20))
    line = run("--features", folder, *SNIPPETS, "--crop", "0", status=2)
    assert "Abuse007_x264: 20 feature rows of 16 frames each do not fit a video of 200 frames" in line


def test_missing_features_stop_the_run_unless_allowed(run, root, tmp_path):
    folder = write(root, "anomalyclip")
    (path,) = folder.rglob("Abuse007_x264.npy")
    path.unlink()
    line = run("--features", folder, status=2)
    assert "1 of 20 videos lack features in" in line and "'Abuse007_x264'" in line and "--allow-incomplete" in line
    assert not list((tmp_path / "runs").rglob("*.json"))
    found = run("--features", folder, "--allow-incomplete")
    assert any(n.startswith("incomplete: 7 of 290 test videos, the others lack features") for n in found["notes"])
    assert found["data"]["test"]["videos"] == 7


def test_damaged_features_stop_the_run_unless_allowed(run, root):
    folder = write(root, "anomalyclip")
    (path,) = folder.rglob("Abuse007_x264.npy")
    array = np.load(path)
    array[150, 3] = np.nan
    np.save(path, array)
    assert "row 150" in run("--features", folder, status=2)
    found = run("--features", folder, "--allow-incomplete")
    assert any("row 150" in n for n in found["notes"])
    assert found["data"]["test"]["videos"] == 7


def test_values_are_looked_at_once_and_again_when_a_file_changes(run, root, monkeypatch):
    from vadbench.features.layouts import NpyFeatures

    monkeypatch.setattr("vadbench.base.files.SETTLED_NS", 0)
    folder = write(root, "anomalyclip")
    looked = []
    check = NpyFeatures.check
    monkeypatch.setattr(NpyFeatures, "check", lambda self, name, rows: looked.append(name) or check(self, name, rows))
    run("--features", folder)
    assert len(looked) == 20
    run("--features", folder)
    assert len(looked) == 20
    (path,) = folder.rglob("Abuse007_x264.npy")
    np.save(path, values("other", 200))
    run("--features", folder)
    assert looked[20:] == ["Abuse007_x264"]


def test_finer_rows_are_pooled_to_what_a_method_wants(run, root):
    found = run("--features", write(root, "anomalyclip"), *SNIPPETS)
    split = load_split(Path(found["folder"]))
    scores, stride = split.scores, split.stride
    assert stride == 16
    assert [len(s.anomaly) for s in scores] == [math.ceil(n / 16) for n in LENGTHS]
    assert found["data"]["test"]["frames"] == sum(LENGTHS)


def test_an_evaluation_elsewhere_may_use_features_of_unknown_origin(run, root, tmp_path):
    first = run("--features", write(root, "anomalyclip"))
    test, _ = all_videos()
    for name, frames in test.items():
        (path,) = (root / "some features").rglob(f"{name}.npy")
        np.save(path, values(name + "again", frames))
    again = run("--from", first["folder"], "--features", root / "some features")
    assert again["evaluation"] != first["evaluation"]


def test_the_layout_needs_features(run):
    assert "give both" in run("--features-layout", "vadclip", status=2)


def test_the_clip_whose_texts_are_used_is_part_of_the_key(run, root):
    folder = write(root, "anomalyclip")
    first = run("--features", folder)
    other = run("--features", folder, "--clip-weights", "random:1")
    assert first["fingerprint"] == other["fingerprint"]
    assert first["key"] != other["key"]
    line = run("--from", first["folder"], "--features", folder, "--clip-weights", "random:1", status=2)
    assert "used the CLIP small random:0" in line


def test_a_crop_of_another_length_is_refused(run, root):
    folder = write(root, "vadclip")
    (path,) = folder.rglob("Abuse007_x264__7.npy")
    np.save(path, values("x", 5))
    line = run("--features", folder, *SNIPPETS, "--crop", "0", status=2)
    assert "'Abuse007_x264' must have as many rows in each crop" in line and "5 in crop 7" in line


def test_what_is_not_trained_on_does_not_change_the_training(run, root):
    folder = write(root, "anomalyclip")
    first = run("--features", folder)
    (path,) = folder.rglob("Abuse007_x264.npy")
    np.save(path, values("other", 200))
    again = run("--features", folder)
    assert again["key"] == first["key"] and again["evaluation"] != first["evaluation"]
    (path,) = folder.rglob("Abuse101_x264.npy")
    np.save(path, values("other", len(np.load(path))))
    assert run("--features", folder)["key"] != first["key"]


def test_anomalyclips_own_lists_say_how_long_videos_are(run, root):
    folder = write(root, "anomalyclip")
    test, train = all_videos()
    for path in root.glob("*_Annotation.txt"):
        path.unlink()
    for split in ("Train", "Test"):
        (root / f"Anomaly_{split}.txt").unlink()
    lists = {"Anomaly_Test": test}
    lists["Anomaly_Train_Abnormal"] = {n: t for n, t in train.items() if n.startswith("Abuse")}
    lists["Anomaly_Train_Normal"] = {n: t for n, t in train.items() if not n.startswith("Abuse")}
    for name, videos in lists.items():
        lines = [
            f"{'Abuse' if n.startswith('Abuse') else 'Normal'}/{n} 0 {t - 1} {0 if n.startswith('Abuse') else 7}"
            for n, t in videos.items()
        ]
        (root / f"{name}.txt").write_text("\n".join(lines))
    found = run("--features", folder, "--protocol", "anomalyclip")
    assert found["data"]["test"]["frames"] == sum(LENGTHS)
    (path,) = folder.rglob("Abuse007_x264.npy")
    np.save(path, values("x", 150))
    line = run("--features", folder, status=2)
    assert "Abuse007_x264: 150 feature rows of 1 frames each do not fit a video of 200 frames" in line


def test_a_damaged_video_beside_features_does_no_harm(run, root):
    folder = write(root, "vadclip")
    (root / "Test_Annotation.txt").unlink()
    (root / "Abuse007_x264.mp4").write_bytes(b"no video")
    assert run("--features", folder, *SNIPPETS, "--crop", "0")["status"] == "finished"


class Attack:
    def __reduce__(self):
        return (Path.touch, (Path("attacked"),))


def one(root):
    """The features of a test video."""
    (path,) = (root / "some features").rglob("Abuse007_x264.npy")
    return path


def empty_list(root):
    (root / "Anomaly_Test.txt").write_text("")


def climbing_list(root):
    with (root / "Anomaly_Train.txt").open("a") as file:
        file.write("\n../outside/Abuse999_x264.mp4\n")


def absolute_list(root):
    with (root / "Anomaly_Train.txt").open("a") as file:
        file.write("\n/etc/Abuse999_x264.mp4\n")


def headless_csv(root):
    (root / "Anomaly_Test.txt").rename(root / "was_a_list.bak")
    (root / "ucf_test.csv").write_text("/home/them/Abuse007_x264__5.npy,Abuse\n")


SPOILT = {
    "pickled object": (lambda r: np.save(one(r), np.array([Attack()]), allow_pickle=True), "pickled Python objects"),
    "text renamed": (lambda r: one(r).write_text("0.1 0.2 0.3"), "is no .npy file"),
    "web page renamed": (lambda r: one(r).write_text("<!DOCTYPE html><title>Quota</title>"), "is no .npy file"),
    "nothing": (lambda r: one(r).write_bytes(b""), "is empty"),
    "no rows": (lambda r: np.save(one(r), np.empty((0, DIM), np.float32)), "holds no rows"),
    "truncated": (lambda r: one(r).write_bytes(one(r).read_bytes()[:-9]), "truncated"),
    "three axes": (lambda r: np.save(one(r), np.zeros((200, 2, DIM), np.float32)), "(200, 2, 64)"),
    "one axis": (lambda r: np.save(one(r), np.zeros(200, np.float32)), "(200,)"),
    "another width": (lambda r: np.save(one(r), np.zeros((200, 32), np.float32)), "(200, 32)"),
    "whole numbers": (lambda r: np.save(one(r), np.zeros((200, DIM), np.int64)), "float16 or float32"),
    "infinity": (lambda r: np.save(one(r), np.full((200, DIM), np.inf, np.float32)), "row 0"),
    "a link outside": (lambda r: (one(r).rename(r.parent / "x.npy"), one_link(r)), "is a link to"),
    "empty list": (empty_list, "the list is empty"),
    "a list that climbs": (climbing_list, "must not contain '..'"),
    "a list of outside paths": (absolute_list, "lies outside the data root"),
    "a csv without its header": (headless_csv, "expected the header 'path,label'"),
}


def one_link(root):
    (root / "some features" / "Abuse" / "Abuse007_x264.npy").symlink_to(root.parent / "x.npy")


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_spoilt_is_refused_in_one_line_and_nothing_is_written(run, root, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    folder = write(root, "anomalyclip")
    spoil, words = SPOILT[what]
    spoil(root)
    error = run("--features", folder, status=2)
    lines = [line for line in error.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1 and words in lines[0]
    named = ("Abuse007_x264", "Anomaly_T", "ucf_test.csv")
    assert any(name in lines[0] for name in named)
    assert not (tmp_path / "attacked").exists()
    assert not [p for p in (tmp_path / "runs").rglob("*") if p.is_file()]


def test_the_table_of_an_incomplete_copy_says_so(root, tmp_path, vadbench):
    folder = write(root, "anomalyclip")
    arguments = ["run", "--plugin", PLUGIN, "-m", "linear", "-d", "ucfcrime", "--data-root", root, "--features", folder]
    arguments += ["--clip", "small", "--clip-weights", "random:0", "--device", "cpu", "--out", tmp_path / "runs"]
    assert "linear on ucfcrime (incomplete), protocol native: 8 test videos" in vadbench(*arguments).out
