"""The rules of an evaluation as a user asks for them: fields of the protocol, divisions and ground truths."""

import json
from pathlib import Path

import pytest

from divided_plugin import Divided, Unclassed
from vadbench.base.errors import ConfigError, DataError, UnknownNameError
from vadbench.data.annotations.truth_files import read_truth
from vadbench.harness.rules import (
    changed_rules,
    divide_assignments,
    find_truth,
    open_dataset,
    recorded_rules,
    splits_of,
    under_truth,
)
from vadbench.scoring.protocol import NATIVE, Protocol

OTHER = {
    "boundaries": "vadclip",
    "tail": "rows",
    "crop": "mean",
    "tolerance": 5,
    "subset": "single-anomaly",
    "selection": "best-on-test",
    "judge": "AP",
    "localization": "vadclip",
    "drop_zeros": True,
    "post": "gaussian(2)",
    "truth": "late",
    "partition": "wide",
}
"""Another value of every field."""


@pytest.fixture
def truth_file(tmp_path):
    """Write a ground truth of the test videos of both divisions, with other entries or other text; its path."""

    def call(name="mine.json", text=None, **entries):
        videos = {}
        for video in [*Divided(tmp_path).videos("test"), *Divided(tmp_path).videos("train")]:
            segments = [[s.label, s.start + 1, s.end + 1] for s in video.segments]
            videos[video.name] = {"frames": video.frames, "segments": segments}
        videos = {k: v for k, v in (videos | entries).items() if v is not None}
        (tmp_path / name).write_text(json.dumps({"videos": videos}) if text is None else text)
        return tmp_path / name

    return call


def rules(*assigned, preset=NATIVE, **options):
    return changed_rules(preset, "divided", divide_assignments(assigned).of_protocol, **options)


def test_every_field_but_the_name_can_be_set():
    assert OTHER.keys() == Protocol.model_fields.keys() - {"name"}
    for field, value in OTHER.items():
        assert getattr(Protocol(name="native"), field) != value
        needed = {"selection": "best-on-test"} if field == "judge" else {}
        found = rules(*(f"protocol.{k}={json.dumps(v)}" for k, v in {**needed, field: value}.items()))
        assert found == Protocol(name="native").model_copy(update={**needed, field: value})
    every = rules(*(f"protocol.{field}={json.dumps(value)}" for field, value in OTHER.items()))
    assert every == Protocol(name="native", **OTHER)


@pytest.mark.parametrize("selection", ["last", "validation"])
def test_a_judge_without_looks_at_test_frames_is_refused(selection):
    with pytest.raises(ConfigError, match=f"protocol.judge has no effect with selection {selection}"):
        rules("protocol.judge=AP", selection=selection)


def test_settings_of_the_method_are_left_as_they_are():
    found = divide_assignments(["width=3", "protocol.crop=mean", "recipe.epochs=1", "protocols=2"])
    assert found.of_method == ["width=3", "recipe.epochs=1", "protocols=2"]
    assert found.of_protocol == {"crop": "mean"}


def test_post_processing_has_one_spelling_and_none_takes_it_away():
    assert rules("protocol.post=gaussian( 2.0 )").post == rules(post="gaussian(2)").post
    assert rules("protocol.post=none").post == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("protocol.truht=late", "the protocol has no field 'truht' to set; did you mean 'truth'?"),
        ("protocol.name=mine", "the protocol has no field 'name' to set"),
        ("protocol.crop.x=1", "the protocol has no field 'crop.x' to set; did you mean 'crop'"),
        ("protocol.crop", "--set expects key=value, found 'protocol.crop'"),
        ("protocol.tolerance=-1", "protocol.tolerance"),
        ("protocol.tail=cut", "protocol.tail"),
        ("protocol.drop_zeros=perhaps", "protocol.drop_zeros"),
        ("protocol.post=gauss(2)", "gauss"),
    ],
)
def test_a_wrong_field_or_value_is_one_line(text, words):
    with pytest.raises((ConfigError, UnknownNameError)) as error:
        rules(text)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("field", ["crop", "subset", "selection", "post", "partition", "truth"])
def test_a_field_is_given_once(field):
    value = OTHER[field]
    with pytest.raises(ConfigError, match=rf"an option and a setting both give protocol\.{field}; leave one out"):
        rules(f"protocol.{field}={json.dumps(value)}", **{field: value})
    assert getattr(rules(**{field: value}), field) == value


# --- data sets -----------------------------------------------------------------------------------------------------


def test_a_data_set_is_opened_in_a_division_and_under_a_ground_truth(tmp_path):
    own, other = open_dataset(Divided, tmp_path), open_dataset(Divided, tmp_path, "wide", "late")
    assert (own.sizes, other.sizes) == ({"train": 10, "test": 16}, {"train": 8, "test": 18})
    for dataset in (own, other):
        for split in dataset.splits:
            assert len(dataset.read_split(split)) == dataset.sizes[split]
    moved = {v.name for v in other.read_split("test")} - {v.name for v in own.read_split("test")}
    assert moved == {"train-0", "train-2"}
    assert [v.runs for v in own.read_split("test")[:2]] == [((10, 20),), ()]
    assert [v.runs for v in other.read_split("test")[:2]] == [((15, 25),), ()]
    assert [v.runs for v in other.read_split("train")[:1]] == [()], "truths are of test videos"
    assert other.read_split("test")[0].scenario == "park"


def test_unknown_divisions_and_truths_are_named_with_what_is_meant(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown partition of divided 'wde'; did you mean 'wide'"):
        open_dataset(Divided, tmp_path, "wde")
    with pytest.raises(UnknownNameError, match="unknown partition of divided 'wde'; did you mean 'wide'"):
        splits_of(Divided, "wde")
    with pytest.raises(UnknownNameError, match="unknown ground truth of divided, or file, 'lat'; did you mean 'late'"):
        open_dataset(Divided, tmp_path, truth="lat")


def test_a_variant_may_demand_a_rule_and_is_recorded_under_its_name(tmp_path):
    for name, tail in (("late", "hold"), ("rows", "rows")):
        asked = rules(truth=name)
        found = under_truth(asked, open_dataset(Divided, tmp_path, truth=name))
        assert (found.truth, found.tail) == (name, tail)
        assert recorded_rules(asked, Divided) == found
    assert under_truth(rules(), open_dataset(Divided, tmp_path)) == recorded_rules(rules(), Divided) == rules()


@pytest.mark.parametrize(
    ("truth", "wish", "tail", "said"),
    [
        ("rows", "hold", "rows", True),
        ("rows", "rows", "rows", False),
        ("late", "zero", "zero", False),
        ("rows", None, "rows", False),
    ],
)
def test_a_rule_that_a_truth_replaces_is_said(tmp_path, truth, wish, tail, said):
    dataset = open_dataset(Divided, tmp_path, truth=truth)
    asked = rules(*([] if wish is None else [f"protocol.tail={wish}"]), truth=truth)
    assert under_truth(asked, dataset, wish).tail == tail
    remark = f"protocol.tail={wish} has no effect: the ground truth {truth} means nothing but with {tail}"
    assert (remark in dataset.read("native").problems) is said


def test_a_file_is_recorded_by_its_name_with_a_digest_of_what_it_says(tmp_path, truth_file):
    path = truth_file()
    asked = rules(truth=str(path))
    name = under_truth(asked, open_dataset(Divided, tmp_path, truth=str(path))).truth
    assert name == recorded_rules(asked, Divided).truth == read_truth(path).name
    stem, _, digest = name.partition("@")
    assert (stem, len(digest)) == ("mine.json", 12)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"more": 1}, indent=3))
    assert read_truth(path).name == name, "the digest is of what is said, not of how"
    other = truth_file(**{"test-0": {"frames": 30, "segments": [["Square", 2, 3]]}})
    assert read_truth(other).name != name


def test_a_variant_goes_before_a_file_of_its_name(tmp_path, truth_file, monkeypatch):
    truth_file("late")
    monkeypatch.chdir(tmp_path)
    assert find_truth(Divided(tmp_path), "late").name == "late"
    assert find_truth(Divided(tmp_path), "./late").name.startswith("late@")


def test_classes_are_unannotated_where_the_truth_leaves_them_out(tmp_path, truth_file):
    named = open_dataset(Divided, tmp_path, truth="late")
    nameless = open_dataset(Divided, tmp_path, truth="nameless")
    of_file = open_dataset(Unclassed, tmp_path, truth=str(truth_file("n.json", **_without_classes(tmp_path))))
    for dataset in (named, nameless, of_file):
        dataset.read()
    assert (named.by_class, nameless.by_class, of_file.by_class) == (True, False, False)
    assert Divided.by_class, "of this instance alone"
    assert nameless.read_split("test")[4].runs == ((10, 20),)


def _without_classes(root):
    return {
        v.name: {"frames": 30, "segments": [[None, s.start, s.end] for s in v.segments[:1]]}
        for split in ("train", "test")
        for v in Divided(root).videos(split)
    }


# --- files that do not fit -----------------------------------------------------------------------------------------

DAMAGED = {
    "a video is lacking": ({"test-3": None}, "lacks 1 of 16 videos, the first is 'test-3'"),
    "other frames": ({"test-3": {"frames": 33, "segments": []}}, "'test-3' has 33 frames there, 30 by the data set"),
    "past the end": (
        {"test-2": {"frames": 30, "segments": [["Square", 10, 34]]}},
        "a segment of 'test-2' ends at frame 34, past its 30 frames",
    ),
    "begins at the end": (
        {"test-2": {"frames": 30, "segments": [["Square", 30, 31]]}},
        "a segment of 'test-2' ends at frame 31, past its 30 frames",
    ),
    "unknown class": (
        {"test-2": {"frames": 30, "segments": [["Sqare", 10, 20]]}},
        "mine.json, 'test-2': unknown class 'Sqare'; did you mean 'Square'",
    ),
    "no class of a normal video": (
        {"test-3": {"frames": 30, "segments": [[None, 10, 20]]}},
        "mine.json, 'test-3': a segment of 'test-3' has no class, and the video is normal by the data set",
    ),
    "backwards": ({"test-2": {"frames": 30, "segments": [["Square", 20, 10]]}}, "mine.json, 'test-2': segment must"),
    "no list": ({"test-2": {"frames": 30}}, "mine.json, 'test-2': expected an entry as in"),
    "no number": ({"test-2": {"frames": 30, "segments": [["Square", "a", 3]]}}, "mine.json, 'test-2'"),
    "no frames": ({"test-2": {"frames": 0, "segments": []}}, "expected a number of frames from 1"),
    "three of four": ({"test-2": {"frames": 30, "segments": [[1, 2, 3]]}}, "expected a segment [class or null"),
}


@pytest.mark.parametrize("entries, words", DAMAGED.values(), ids=DAMAGED)
def test_an_entry_that_does_not_fit_is_one_line_that_names_it(tmp_path, truth_file, entries, words):
    with pytest.raises(DataError) as error:
        open_dataset(Divided, tmp_path, truth=str(truth_file(**entries))).read()
    assert words in str(error.value) and "\n" not in str(error.value) and "mine.json" in str(error.value)


@pytest.mark.parametrize("text", ["{", '{"videos": []}', "[]", '{"videos": {}}', "\x00"])
def test_a_file_of_another_form_is_one_line_that_names_it(tmp_path, truth_file, text):
    with pytest.raises(DataError, match=r"mine\.json") as error:
        open_dataset(Divided, tmp_path, truth=str(truth_file(text=text)))
    assert "\n" not in str(error.value)


def test_videos_that_are_not_tested_may_be_in_the_file(tmp_path, truth_file):
    path = truth_file(elsewhere={"frames": 7, "segments": [["Unheard", 1, 70]]})
    found = open_dataset(Divided, tmp_path, truth=str(path)).read_split("test")
    assert [v.name for v in found] == [v.name for v in Divided(tmp_path).videos("test")]
    assert found[0].runs == ((11, 21),)


def test_a_segment_that_ends_just_past_its_video_is_cut_and_told(tmp_path, truth_file):
    path = truth_file(**{"test-2": {"frames": 30, "segments": [["Square", 10, 33]]}})
    listing = open_dataset(Divided, tmp_path, truth=str(path)).read()
    assert listing.videos["test"][2].runs == ((10, 30),)
    assert listing.problems == [
        f"{path}, 'test-2': a segment of 'test-2' ends at frame 33, past its 30 frames; cut there"
    ]


def test_names_of_no_file_are_no_file(tmp_path):
    with pytest.raises(UnknownNameError):
        find_truth(Divided(tmp_path), str(Path("nowhere.json")))
