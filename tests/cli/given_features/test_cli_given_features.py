"""``vadbench run`` on features that others made, in every layout, under every protocol."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from places import PLUGIN
from ucf_features import ABNORMAL, LENGTHS, SNIPPETS, all_videos, snippets, values, write
from vadbench.records.scores import load_split

pytestmark = pytest.mark.usefixtures("quick_runs")


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
    assert any("frame count of 8 videos unknown" in n for n in found["notes"])


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


def test_the_table_of_an_incomplete_copy_says_so(root, tmp_path, vadbench):
    folder = write(root, "anomalyclip")
    arguments = ["run", "--plugin", PLUGIN, "-m", "linear", "-d", "ucfcrime", "--data-root", root, "--features", folder]
    arguments += ["--clip", "small", "--clip-weights", "random:0", "--device", "cpu", "--out", tmp_path / "runs"]
    assert "linear on ucfcrime (incomplete), protocol native: 8 test videos" in vadbench(*arguments).out
