"""A data set that annotates no classes: every metric of classes says so, before and after reloading."""

from dataclasses import replace

import numpy as np
import pytest

from splits import keep, split
from vadbench.base.errors import RunError
from vadbench.metrics.bootstrap import draw_videos
from vadbench.metrics.measurement import measure, resampled
from vadbench.records.scores import load_split

OF_CLASSES = ("mAUC", "mAP", "mAP@IoU", "mAP@0.1", "mAP@0.5")
REASON = "the data set annotates no classes"


def unclassed(seed=0, rules="native", **changes):
    return replace(split(seed, rules, **changes), by_class=False)


@pytest.mark.parametrize("rules", ["native", "anomalyclip", "vadclip"])
@pytest.mark.parametrize("classes", [False, True], ids=["a method without classes", "a method with classes"])
def test_metrics_of_classes_are_undefined_since_nobody_annotated_them(tmp_path, classes, rules):
    made = unclassed(rules=rules, classes=classes)
    metrics = measure(made)
    assert {key: metrics[key].value for key in OF_CLASSES} == dict.fromkeys(OF_CLASSES)
    assert {metrics[key].reason for key in OF_CLASSES} == {REASON}
    assert not [key for key in metrics if "[" in key]
    assert measure(load_split(keep(made, tmp_path))) == metrics


def test_everything_else_is_measured_as_with_classes():
    with_classes, without = measure(split(0, classes=False)), measure(unclassed(classes=False))
    kept = {key: value for key, value in without.items() if key not in with_classes or value != with_classes[key]}
    assert kept.keys() == {"mAUC", "mAP", "mAP@IoU", *(f"mAP@0.{i}" for i in range(1, 6))}
    assert without["hit"].value is not None, "events need no class"


def test_segments_and_runs_come_back(tmp_path):
    made = unclassed(binary=True)
    read = load_split(keep(made, tmp_path))
    assert not read.by_class
    assert [(v.segments, v.runs) for v in read.videos] == [(v.segments, v.runs) for v in made.videos]


def test_resampled_means_over_classes_are_undefined():
    made = unclassed()
    found = resampled(made, ["AUC", *OF_CLASSES], draw_videos(len(made.videos), 20))
    assert np.isfinite(found["AUC"]).all()
    assert all(np.isnan(found[key]).all() for key in OF_CLASSES if key in found)


def test_a_file_that_says_nothing_of_classes_has_some(tmp_path):
    folder = keep(split(0), tmp_path)
    with np.load(folder / "scores.npz") as file:
        assert "by_class" not in file.files
    assert load_split(folder).by_class


@pytest.mark.parametrize("wrong", [np.zeros(2, bool), np.int64(0)], ids=["two", "a number"])
def test_a_damaged_mark_is_refused(tmp_path, wrong):
    folder = keep(unclassed(), tmp_path)
    with np.load(folder / "scores.npz") as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(folder / "scores.npz", **(arrays | {"by_class": wrong}))
    with pytest.raises(RunError, match="'by_class' must"):
        load_split(folder)
