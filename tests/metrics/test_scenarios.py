"""Metrics by scenario: the abnormal videos of one against all normal videos, frame by frame."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from literal_metrics import of_frames
from splits import keep, split
from vadbench.base.errors import RunError
from vadbench.metrics.carriers import FEWEST
from vadbench.metrics.scenarios import by_scenario, of_scenarios
from vadbench.records.folders import read_record
from vadbench.records.scores import load_split
from vadbench.results.rescore import rescore

PLACES = ("park", "mall", "mall", "station")


def in_places(seed=0, videos=40, **changes):
    """Half of the videos abnormal, half of these in the mall; some normal videos are of another scenario."""
    made = split(seed, videos=videos, **changes)
    named = [
        replace(v, scenario=PLACES[i // 2 % 4] if v.runs else "highway" if i % 4 else "")
        for i, v in enumerate(made.videos)
    ]
    return replace(made, videos=named)


def literal(made, chosen):
    """Scores and truth of every frame of the videos that are chosen."""
    found = []
    for own, video in zip(made.scores, made.videos, strict=True):
        place = np.minimum(np.arange(own.frames) // made.stride, len(own.anomaly) - 1)
        inside = np.array([any(a <= f < b for a, b in video.runs) for f in range(own.frames)])
        if chosen(video):
            found.append((own.anomaly[place], inside))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_a_scenario_has_the_auc_of_its_abnormal_videos_among_all_normal_ones(seed):
    made = in_places(seed)
    found = by_scenario(made)
    assert [(name, result.abnormal) for name, result in found.items()] == [("mall", 10), ("park", 5), ("station", 5)]
    for name, result in found.items():
        frames = literal(made, lambda v, name=name: v.scenario == name or not v.runs)
        scores, truth = (np.concatenate(parts) for parts in zip(*frames, strict=True))
        assert result.metrics["AUC"].value == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        assert result.metrics["AUC/within"].value == pytest.approx(of_frames(frames)["AUC/within"], abs=1e-12)


def test_an_interval_needs_five_abnormal_videos_of_the_scenario():
    made = in_places(videos=32)
    found = by_scenario(made)
    assert {name: result.abnormal for name, result in found.items()} == {"mall": 8, "park": 4, "station": 4}
    assert FEWEST == 5
    inside = found["mall"].metrics["AUC"]
    assert inside.low < inside.value < inside.high
    assert found["park"].metrics["AUC"].low is None
    assert found["park"].metrics["AUC"].reason == "no interval: 4 abnormal videos, fewer than 5"


def test_post_processing_counts_here_too():
    made = in_places()
    smoothed = replace(made, rules=made.rules.model_copy(update={"post": "gaussian(2)"}))
    assert by_scenario(smoothed)["mall"].metrics["AUC"] != by_scenario(made)["mall"].metrics["AUC"]
    frames = literal(smoothed, lambda v: v.scenario == "mall" or not v.runs)
    scores, truth = (np.concatenate(parts) for parts in zip(*frames, strict=True))
    assert by_scenario(smoothed)["mall"].metrics["AUC"].value == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


def test_without_scenarios_there_is_nothing():
    assert by_scenario(split(0)) == {}


def test_scenarios_come_back_from_a_scores_file_and_rescore_adds_and_corrects_them(tmp_path):
    made = in_places()
    folder = keep(made, tmp_path)
    assert [v.scenario for v in load_split(folder).videos] == [v.scenario for v in made.videos]
    assert read_record(folder).scenarios == {}  # as a record of an older version
    assert of_scenarios(by_scenario(made)).keys() <= rescore(folder).changed.keys()
    assert read_record(folder).scenarios == by_scenario(made)
    assert not rescore(folder).changed
    path = folder / "result.json"
    record = json.loads(path.read_text())
    record["scenarios"]["park"]["metrics"]["AUC"]["value"] = 0.25
    path.write_text(json.dumps(record))
    assert list(rescore(folder).changed) == ["AUC in park"]
    assert read_record(folder).scenarios == by_scenario(made)


@pytest.mark.parametrize("wrong", [np.array(["park"]), np.zeros(40)], ids=["one of many", "numbers"])
def test_damaged_scenarios_are_refused(tmp_path, wrong):
    folder = keep(in_places(), tmp_path)
    with np.load(folder / "scores.npz") as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(folder / "scores.npz", **(arrays | {"scenarios": wrong}))
    with pytest.raises(RunError, match="'scenarios' must"):
        load_split(folder)
