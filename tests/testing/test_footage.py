"""The videos that the checks make up, and the trainings that they break off."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from vadbench.base.method_config import MethodConfig, Recipe, Rows
from vadbench.base.needs import Needs
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import TrainingData
from vadbench.method import Method, Scores, Task
from vadbench.testing.footage import Footage
from vadbench.testing.rehearsal import Interruption, Rehearsal
from vadbench.testing.tested_method import drawn_anchors

TABLE = ClassTable((VideoClass("Fire"), VideoClass("Normal")), normal=1)


class Config(MethodConfig):
    rows: Rows = Rows(stride=6)
    said: Needs = Needs()
    recipe: Recipe = Recipe(epochs=3, batch_size=4)

    def needs(self):
        return self.said


def footage(bag=False, **needs):
    config = Config(rows=Rows(stride=6, crops="bag" if bag else "one"), said=Needs(**needs))
    streams = config.said.streams
    return Footage(config, TABLE, {name: drawn_anchors(2, 8 * (i + 1), i) for i, name in enumerate(streams)})


def test_streams_have_widths_and_spacings_of_their_own_over_the_same_time():
    video = footage(streams=("clip", "audio", "third")).video(20, 0, seed=1)
    assert video.row_count == 20 and video.frame_count == 20 * 6 - 2
    assert video.rows.shape == (20, 8)
    assert [video.stream(name).spacing for name in ("audio", "third")] == [9, pytest.approx(2.4)]
    assert video.stream("audio").rows.shape == (14, 16) and video.stream("third").rows.shape == (50, 24)
    # The middle third is near the class's anchor in each, the rest near the normal one.
    for name, width in (("clip", 8), ("audio", 16)):
        anchors, rows = drawn_anchors(2, width, int(name == "audio")), video.stream(name).rows
        nearest = (rows @ anchors.T).argmax(1)
        third = len(nearest) // 3
        assert set(nearest[: third - 1]) == {1} and set(nearest[third + 1 : 2 * third - 1]) == {0}


def test_a_bag_has_crops_and_the_truth_is_an_oracles_alone():
    assert footage(bag=True).video(5, 0, 1).rows.shape == (3, 5, 8)
    assert footage().video(9, 0, 1).truth is None
    oracle = footage(streams=(), supervision="oracle").video(9, 0, 1)
    assert oracle.truth.runs == ((17, 34),) and not oracle.streams
    assert footage(streams=(), supervision="oracle").video(9, 1, 1).truth.runs == ()


def test_frames_are_those_of_a_real_file_and_end_where_the_video_does():
    made = footage(streams=(), frames=True)
    video = made.video(4, 0, seed=1)
    frames = list(video.frames())
    assert [f.number for f in frames] == list(range(22)) and frames[0].picture.shape == (48, 64, 3)
    cut = made.cut(video, 2)
    assert cut.row_count == 2 and [f.number for f in cut.frames()] == list(range(12))
    assert "frames" in made.read


def test_a_cut_leaves_of_other_streams_what_began_before_it():
    made = footage(streams=("clip", "audio"))
    video = made.video(20, 0, seed=1)
    cut = made.cut(video, 4)
    np.testing.assert_array_equal(cut.rows, video.rows[:4])
    # Rows of 9 frames in 24: the third reaches past the cut.
    assert cut.stream("audio").count == 3
    # So a row's nearest is the same as in the whole.
    np.testing.assert_array_equal(cut.nearest("audio", np.arange(4)), video.nearest("audio", np.arange(4)))


def test_videos_can_be_sent_to_another_process():
    video = footage(streams=("clip", "audio")).video(5, 0, 1)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(video)).rows, video.rows)


class Small(Method):
    Config = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = torch.nn.Linear(8, 1)

    def view(self, video, rng):
        return {"x": video.rows[rng.integers(video.row_count, size=2)]}

    def loss(self, batch):
        return {"size": self.layer(batch.views["x"]).square().mean()}

    def score(self, videos):
        return [Scores(self.layer(v.rows)[:, 0].sigmoid()) for v in videos]


def rehearsed(folder, stop=None):
    torch.manual_seed(0)
    method = Small(Config(), Task(TABLE, 8, torch.device("cpu"), lambda: None))
    made = footage()
    samples = [
        made.sample(replace(made.video(9, i % 2, i), name=f"v{i}"), [("Fire", "Normal")[i % 2]]) for i in range(8)
    ]
    rehearsal = Rehearsal(method, 0, folder, "fp32", stop)
    method.fit(TrainingData(samples, TABLE), rehearsal)
    return rehearsal


def test_a_rehearsal_notes_its_stages_and_stops_where_it_is_told(tmp_path):
    whole = rehearsed(tmp_path / "whole")
    assert [(s.name, s.steps) for s in whole.stages] == [("main", 6)] and whole.terms == {"size": ()}
    assert whole.epochs == 3
    with pytest.raises(Interruption, match="stage main, step 4"):
        rehearsed(tmp_path / "stopped", ("main", 4))
