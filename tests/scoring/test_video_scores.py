"""What a method gives beside its scores: checked, and joined over crops, regions and windows."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vadbench.base.errors import PluginError
from vadbench.inputs import VideoInput
from vadbench.method import Remarks, Scores
from vadbench.scoring.checks import checked
from vadbench.scoring.video_scores import VideoScores, joined_crops, joined_windows, require_one_form

METHOD = SimpleNamespace(task=SimpleNamespace(classes=["Normal", "Fire"]))
VIDEO = VideoInput.of_rows(np.zeros((3, 4), np.float32), "v", stride=10)


def found(**more):
    return checked(METHOD, VIDEO, Scores(torch.zeros(3), **more))


def spans(remarks):
    """Remarks as tuples."""
    columns = zip(remarks.first, remarks.end, remarks.which, strict=True)
    return [(int(first), int(end), remarks.texts[which]) for first, end, which in columns]


def said(*spans):
    return Remarks(*(np.array([s[i] for s in spans]) for i in (0, 1)), np.arange(len(spans)), [s[2] for s in spans])


def test_all_that_a_method_gives_is_kept():
    kept = found(
        extras={"motion": torch.tensor([1.0, 2, 3])},
        video={"one": torch.tensor([0.25, 0.75]), "many": torch.tensor([0.5, 0.5])},
        costs={"calls": 2, "dollars": 0.5},
        remarks=said((0, 3, "a man"), (1, 2, "runs")),
    )
    assert kept.extras["motion"].tolist() == [1, 2, 3]
    assert {rule: values.tolist() for rule, values in kept.video.items()} == {"one": [0.25, 0.75], "many": [0.5, 0.5]}
    assert kept.costs == {"calls": 2, "dollars": 0.5}
    assert spans(kept.remarks) == [(0, 3, "a man"), (1, 2, "runs")]
    assert found(video=torch.tensor([0.25, 0.75])).video[""].tolist() == [0.25, 0.75]
    assert found().video == {} == found(video={}).video


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"extras": {"a/b": torch.zeros(3)}}, "an extra name has letters"),
        ({"costs": {"": 1}}, "a cost name has letters"),
        ({"video": {"a.b": torch.zeros(2)}}, "a rule name has letters"),
        ({"video": {"": torch.zeros(2)}}, "a rule name has letters"),
        ({"extras": {"motion": torch.zeros(2)}}, r"values of motion of v must be \(3,\), found \(2,\)"),
        ({"extras": {"motion": torch.full((3,), torch.inf)}}, "values of motion of v are not all finite"),
        ({"video": torch.zeros(3)}, r"scores of the video of v must be \(2,\), found \(3,\)"),
        ({"video": {"one": torch.zeros(3)}}, r"scores one of the video of v must be \(2,\)"),
        ({"costs": {"calls": -1}}, "the cost 'calls' of v must be a number from 0 on, found -1"),
        ({"costs": {"calls": float("nan")}}, "must be a number from 0 on, found nan"),
        ({"costs": {"calls": "2"}}, "must be a number from 0 on, found '2'"),
        ({"remarks": said((0, 4, "x"))}, "must be on rows from 0 to 3 and have a text, found rows 0 to 4"),
        ({"remarks": said((1, 1, "x"))}, "found rows 1 to 1"),
        ({"remarks": said((0, 1, "x"), (-1, 1, "y"))}, "remark 1 on v .* found rows -1 to 1"),
        ({"remarks": Remarks(np.array([0]), np.array([1]), np.array([1]), ["x"])}, "text 1 of 1"),
        ({"remarks": Remarks(np.array([0]), np.array([1, 2]), np.array([0]), ["x"])}, "columns first, end and which"),
    ],
)
def test_what_cannot_be_kept_is_refused(more, message):
    with pytest.raises(PluginError, match=message) as error:
        found(**more)
    assert len(str(error.value).splitlines()) == 1


def crop(value, **more):
    return VideoScores("v", 30, np.full(3, value, np.float32), None, **more)


def test_over_crops_values_are_the_mean_costs_add_up_and_remarks_are_the_first_ones():
    two = [
        crop(
            value,
            extras={"motion": np.full(3, 10 * value, np.float32)},
            video={"": np.array([value, 1 - value], np.float32)},
            costs=costs,
            remarks=said((0, 1, f"at {value}")),
        )
        for value, costs in ((0.25, {"calls": 2}), (0.75, {"calls": 3, "tokens": 5}))
    ]
    joined = joined_crops(two, "mean")
    assert joined.anomaly.tolist() == [0.5] * 3 and joined.extras["motion"].tolist() == [5] * 3
    assert joined.video[""].tolist() == [0.5, 0.5]
    assert joined.costs == {"calls": 5, "tokens": 5}
    assert spans(joined.remarks) == [(0, 1, "at 0.25")]
    assert joined_crops(two[:1], "mean") is two[0]


def test_over_regions_everything_is_that_of_the_highest_one():
    low, high = np.array([0.1, 0.9, 0.3], np.float32), np.array([0.2, 0.1, 0.8], np.float32)
    two = [
        VideoScores("v", 30, scores, None, extras={"size": size}, video={"": rule}, costs={"calls": 1})
        for scores, size, rule in (
            (low, np.array([1, 2, 3], np.float32), np.array([1, 0], np.float32)),
            (high, np.array([4, 5, 6], np.float32), np.array([0, 1], np.float32)),
        )
    ]
    joined = joined_crops(two, "max")
    assert joined.anomaly == pytest.approx([0.2, 0.9, 0.8])
    assert joined.extras["size"].tolist() == [4, 2, 6]
    assert joined.video[""].tolist() == [1, 0]  # of the region whose score is the highest, 0.9
    assert joined.costs == {"calls": 2}


def test_over_windows_remarks_are_shifted_and_costs_add_up_also_where_a_window_has_none():
    parts = [
        replace(crop(0.5), extras={"motion": np.arange(3, dtype=np.float32)}, remarks=remarks, costs=costs)
        for remarks, costs in (
            (said((0, 3, "a man")), {"calls": 1}),
            (None, {}),
            (said((1, 2, "a man"), (2, 3, "runs")), {"calls": 2, "tokens": 4}),
        )
    ]
    joined = joined_windows(parts)
    assert spans(joined.remarks) == [(0, 3, "a man"), (7, 8, "a man"), (8, 9, "runs")]
    assert joined.costs == {"calls": 3, "tokens": 4}
    assert joined.extras["motion"].tolist() == [0, 1, 2] * 3
    assert joined_windows([crop(0.5), crop(0.5)]).remarks is None


@pytest.mark.parametrize(
    "other",
    [
        {"extras": {"motion": np.zeros(3, np.float32)}},
        {"video": {"": np.zeros(2, np.float32)}},
        {"branches": {"align": np.zeros(3, np.float32)}},
    ],
)
def test_crops_and_videos_of_one_method_have_the_same_things(other):
    plain, more = crop(0.5), crop(0.5, **other)
    with pytest.raises(PluginError, match="parts of v differ in their class scores, branches, extras"):
        joined_crops([plain, more], "mean")
    with pytest.raises(PluginError, match="v and w differ"):
        require_one_form([plain, plain, replace(more, name="w")])
    require_one_form([plain, crop(0.1, costs={"calls": 1}, remarks=said((0, 1, "x")))])


def test_a_part_has_its_own_rows_of_everything():
    whole = crop(0.5, extras={"motion": np.arange(3, dtype=np.float32)}, remarks=said((0, 2, "a"), (2, 3, "b")))
    part = whole.part(slice(1, 3))
    assert part.extras["motion"].tolist() == [1, 2]
    assert spans(part.remarks) == [(0, 1, "a"), (1, 2, "b")]
