"""A class is one class by whichever of its names it is given: its official one or an alias."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.base.errors import UnknownNameError
from vadbench.dataset import ClassTable, Dataset, Segment, Video, VideoClass
from vadbench.harness.participants import participants
from vadbench.harness.watched_videos import hold_out
from vadbench.inspect import inspect
from vadbench.scoring.alignment import class_positives_per_row
from vadbench.scoring.protocol import protocol

TABLE = ClassTable(
    (VideoClass("Normal", aliases=("A", "none")), VideoClass("Riot", aliases=("G",)), VideoClass("Fire")), normal=0
)


class Named(Dataset):
    """Videos with the labels that a test gives, in both splits under other names."""

    name = "named"
    classes = TABLE
    files = "nothing"

    def __init__(self, root, labels):
        super().__init__(root)
        self.labels = labels
        self.expected = {"train": len(labels), "test": len(labels)}

    def videos(self, split, boundaries="native"):
        return [Video(f"{split}{i}", labels) for i, labels in enumerate(self.labels)]


LABELS = [
    ("Normal",),
    ("A",),
    ("none", "Normal"),
    ("Riot",),
    ("G",),
    ("Riot", "G"),
    ("Riot", "Fire"),
    ("Fire", "G", "Riot"),
]


def test_a_video_carries_a_class_once_by_whichever_names(tmp_path):
    dataset = Named(tmp_path, LABELS)
    videos = dataset.videos("test")
    assert [dataset.is_normal(v) for v in videos] == [True] * 3 + [False] * 5
    assert [dataset.is_single(v) for v in videos] == [True] * 6 + [False] * 2
    assert TABLE.ids(("Fire", "G", "Riot")) == (2, 1)
    with pytest.raises(UnknownNameError, match="unknown class 'Flood'"):
        dataset.is_normal(Video("v", ("Flood",)))


def test_the_single_anomaly_subset_has_the_videos_of_one_class_by_several_names(tmp_path):
    dataset = Named(tmp_path, LABELS)
    kept = participants(dataset, protocol("anomalyclip").rules).videos
    assert [v.name for v in kept["test"]] == [f"test{i}" for i in range(6)]


def test_looking_at_a_data_set_counts_classes_by_whichever_names(tmp_path):
    report = inspect(Named(tmp_path, LABELS))
    counted = report.splits["test"]
    assert {name: tally.expected for name, tally in counted.classes.items()} == {"Normal": 3, "Riot": 5, "Fire": 2}
    assert (counted.normal.expected, counted.abnormal.expected) == (3, 5)


def test_the_same_share_of_a_class_is_held_out_by_whichever_names(tmp_path):
    """Ten riots are ten riots: of five called so and five by the alias two are held out, the same as of ten."""

    def held(alias):
        labels = [("Normal",)] * 10 + [("Riot",)] * 5 + [(alias,)] * 5
        dataset = Named(tmp_path, labels)
        return [v.name for v in hold_out(dataset, dataset.videos("train"), seed=0)[1]]

    assert held("G") == held("Riot") and len(held("G")) == 4


@given(
    spans=st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 20), st.sampled_from(["Riot", "G", "Fire"])), max_size=6
    ),
    stride=st.integers(1, 8),
)
def test_frames_inside_a_class_are_counted_once_by_whichever_names(spans, stride):
    """Against frames read one by one."""
    frames, rows = 48, -(-48 // stride)
    video = Video("v", ("Riot",), segments=tuple(Segment(name, a, a + n) for a, n, name in spans))
    literal = np.zeros((rows, 3), int)
    for f in range(frames):
        inside = {{"G": "Riot"}.get(g.label, g.label) for g in video.segments if g.start <= f < g.end}
        literal[min(f // stride, rows - 1)] += [not inside, "Riot" in inside, "Fire" in inside]
    assert class_positives_per_row(video, TABLE, rows, stride, frames).tolist() == literal.tolist()
    official = replace(video, segments=tuple(replace(g, label=TABLE.names[TABLE.id(g.label)]) for g in video.segments))
    assert class_positives_per_row(official, TABLE, rows, stride, frames).tolist() == literal.tolist()
