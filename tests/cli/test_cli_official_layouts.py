"""Every method that comes with vadbench, on files laid out as those of UCF-Crime and XD-Violence are."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import roots.ucfcrime
import roots.xdviolence
from vadbench.plugins.registry import installed
from vadbench.records.scores import load_split

pytestmark = pytest.mark.usefixtures("quick_runs")
DIM = 64
TRAINED_ON = 70
"""Frames of each training video, which the lists do not tell."""
FRAMES = {"ucfcrime": roots.ucfcrime.COUNTS, "xdviolence": dict.fromkeys(roots.xdviolence.TEST, 40)}
ANOMALOUS = {
    # As the annotations of the roots say, from 0 and one past the last: UCF-Crime counts from 1 with both ends inside.
    "ucfcrime": {"RoadAccidents010_x264": [(0, 20), (30, 40)], "Shooting015_x264": [(4, 50)]},
    # XD-Violence counts from 0 with both ends inside.
    "xdviolence": {"v=bb__#1_label_B4-0-0": [(0, 10), (20, 25)], "v=cc__#1_label_B2-G-0": [(30, 36), (5, 13)]},
}


def make(dataset, folder):
    """A root with its lists and annotations, and a row of features a frame, higher where a frame is anomalous."""
    module = getattr(roots, dataset)
    module.make_root(folder)
    features = folder / "features"
    features.mkdir()
    trained = {Path(name).name.removesuffix(".mp4"): TRAINED_ON for name in module.TRAIN}
    for i, (name, frames) in enumerate((trained | FRAMES[dataset]).items()):
        rows = np.random.default_rng(i).standard_normal((frames, DIM)).astype("f4")
        for start, end in ANOMALOUS[dataset].get(name, ()):
            rows[start:end] += 1
        np.save(features / f"{name}.npy", rows)
    return folder


def of_features():
    """Methods that read features, or nothing at all."""
    methods = {name: installed().method(name) for name in sorted(installed().specs("method"))}
    return [name for name, method in methods.items() if method.Config().needs().reads != "frames"]


@pytest.mark.parametrize("dataset", ["ucfcrime", "xdviolence"])
@pytest.mark.parametrize("method", of_features())
def test_a_method_runs_and_its_figure_is_that_of_its_scores(vadbench, tmp_path, dataset, method):
    root = make(dataset, tmp_path / "data")
    needs = installed().method(method).Config().needs()
    arguments = ["-m", method, "-d", dataset, "--data-root", root, "--device", "cpu", "--out", tmp_path / "runs"]
    arguments += ["--clip", "small", "--clip-weights", "random:0"]
    if needs.streams:
        arguments += ["--features", root / "features", "--features-layout", "anomalyclip"]
    if needs.supervision == "weak":
        arguments += ["--set", "recipe.batch_size=2", "--set", "recipe.steps=4"]
    (found,) = vadbench("run", *arguments, "--json").json
    assert found["status"] == "finished"
    split = load_split(Path(found["folder"]))
    assert {s.name: s.frames for s in split.scores} == FRAMES[dataset]
    truth, scores = [], []
    for s in split.scores:
        frame = np.arange(s.frames)
        intervals = ANOMALOUS[dataset].get(s.name, [(0, 0)])
        truth.append(np.any([(start <= frame) & (frame < end) for start, end in intervals], axis=0))
        scores.append(s.anomaly[np.minimum(frame // split.stride, len(s.anomaly) - 1)])
    expected = roc_auc_score(np.concatenate(truth), np.concatenate(scores))
    assert found["metrics"]["AUC"]["value"] == pytest.approx(expected, abs=1e-9)
