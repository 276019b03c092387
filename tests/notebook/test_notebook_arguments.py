"""Arguments of the Python interface: one stands for a list of one, and wrong ones are refused before any work."""

from pathlib import Path

import numpy as np
import pytest

import vadbench
from places import PLUGIN
from vadbench.base.errors import ConfigError

OPTIONS = {"log": False, "device": "cpu"}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("arguments") / "runs"


@pytest.fixture(scope="module")
def finished(out):
    """Seeds 0 and 1 of a method; one path of a plugin, as a text."""
    return [vadbench.run("random", "tiny", seed=s, out=out, plugins=str(PLUGIN), **OPTIONS) for s in np.arange(2)]


def test_one_name_stands_for_a_list_of_one(finished, out):
    assert vadbench.compare(*finished, metrics="AUC").equals(vadbench.compare(*finished, metrics=["AUC"]))
    board = {"out": out, "plugins": PLUGIN}
    assert str(vadbench.leaderboard("tiny", methods="random", **board)) == str(
        vadbench.leaderboard("tiny", methods=["random"], **board)
    )
    supervision = finished[0].record.supervision
    assert str(vadbench.leaderboard(supervision=supervision, **board)) == str(
        vadbench.leaderboard(supervision=[supervision], **board)
    )
    assert len(finished[0].plot("roc", beside=finished[1]).axes[0].lines) == len(
        finished[0].plot("roc", beside=[str(finished[1].folder)]).axes[0].lines
    )


def test_a_side_is_a_list_of_names_too(finished, out):
    by_key = vadbench.compare([f.record.key for f in finished], finished[0].folder, ["AUC"], out=out)
    assert by_key.equals(vadbench.compare(finished, finished[0], ["AUC"]))
    with pytest.raises(ConfigError, match="b must be at least one run, found none"):
        vadbench.compare(finished, [])


def test_a_finished_run_may_be_loaded_again(finished):
    assert vadbench.load(finished[1]).record == finished[1].record


def test_videos_are_one_list_or_several_arguments(finished, clips, tmp_path):
    options = {"run": finished[0], "out": tmp_path, "device": "cpu", "plugins": PLUGIN}
    for given in ([clips], clips, [[str(clips[0])], clips[1]]):
        assert [r.folder.name for r in vadbench.score(*given, **options)] == ["test-0", "test-1"]


def test_one_quiet_video_says_the_threshold(finished, clips, tmp_path):
    options = {"run": finished[0], "out": tmp_path, "device": "cpu", "plugins": str(PLUGIN)}
    one, several = (
        vadbench.score(clips[1], calibrate=quiet, **options)[0].video.threshold for quiet in (clips[0], [clips[0]])
    )
    assert one == several and one is not None


REFUSED_RUNS = {
    "a seed in letters": ({"seed": "a"}, "seed must be a whole number from 0 to 999999, found 'a'"),
    "a part of a seed": ({"seed": 1.5}, "seed must be a whole number from 0 to 999999, found 1.5"),
    "a seed below 0": ({"seed": -1}, "seed must be a whole number from 0 to 999999, found -1"),
    "a truth as seed": ({"seed": True}, "seed must be a whole number"),
    "settings in a list": ({"settings": ["recipe.epochs=3"]}, "settings must be a dict such as"),
    "a name in numbers": ({"name": 5}, "name must be text, found 5"),
    "a method in numbers": ({"method": 5}, "method must be text, found 5"),
    "data sets in a list": ({"dataset": ["tiny"]}, "dataset must be text, found ['tiny']"),
    "no data set": ({"dataset": None}, "run needs a method and a dataset"),
    "no protocol": ({"protocol": None}, "protocol must be the name of a protocol, found None"),
    "too many workers": ({"workers": 65}, "workers must be a whole number from 0 to 64, found 65"),
    "another device": ({"device": "gpu"}, "device must be auto, cpu or cuda, found 'gpu'"),
    "a switch in words": ({"again": "no"}, "again must be True or False, found 'no'"),
    "no plugin": ({"plugins": 5}, "plugins must be a path or a list of paths, found 5"),
    "a folder in numbers": ({"out": 5}, "out must be a path, found 5"),
    "data in a list": ({"data_root": ["data"]}, "data_root must be a path, found ['data']"),
    "features in a list": ({"features": ["a"]}, "features must be a folder, or a dict"),
    "features of a stream": ({"features": {"audio": 5}}, "features of audio must be a path, found 5"),
    "another layout": ({"features_layout": "rows"}, "features_layout must be store, anomalyclip"),
    "a number for a run": ({"trained": 5}, "trained must be a run, its folder, its key or its label, found 5"),
    "no progress": ({"progress": False}, "progress must be a function, found False"),
}


@pytest.mark.parametrize("wrong, words", REFUSED_RUNS.values(), ids=REFUSED_RUNS)
def test_a_run_of_a_wrong_argument_is_refused_and_writes_nothing(wrong, words, tmp_path):
    given = {"method": "random", "dataset": "tiny", "out": tmp_path / "runs", "plugins": PLUGIN} | OPTIONS | wrong
    with pytest.raises(ConfigError) as error:
        vadbench.run(**given)
    assert words in str(error.value) and len(str(error.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_finished_run_is_no_excuse_for_a_wrong_argument(finished, out):
    with pytest.raises(ConfigError, match="device must be"):
        vadbench.run("random", "tiny", out=out, plugins=PLUGIN, log=False, device="gpu")


def test_an_unknown_setting_is_told_as_python_gives_it(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown setting 'recipe\.epoch' in settings; did you mean"):
        vadbench.run("linear", "tiny", settings={"recipe.epoch": 2}, out=tmp_path, plugins=PLUGIN, **OPTIONS)


REFUSED_SCORES = {
    "no video": ((), {}, "score needs at least one video, found none"),
    "an empty list": (([],), {}, "score needs at least one video, found none"),
    "a number": ((5,), {}, "videos must be a path or a list of paths, found 5"),
    "neither run nor method": (("v.mp4",), {"run": None}, "score needs either a finished run, or a method"),
    "run and method": (("v.mp4",), {"method": "zero-shot"}, "score needs either a finished run, or a method"),
    "a run in numbers": (("v.mp4",), {"run": 5}, "run must be a run, its folder, its key or its label, found 5"),
    "a threshold in words": (("v.mp4",), {"threshold": "high"}, "threshold must be a number, found 'high'"),
    "an endless threshold": (("v.mp4",), {"threshold": np.inf}, "threshold must be a number, found inf"),
    "an end of events above their threshold": (
        ("v.mp4",),
        {"threshold": 0.5, "threshold_end": 0.6},
        "threshold-end",
    ),
    "a length below 0": (("v.mp4",), {"min_length": -1}, "min_length must be seconds, 0 or more, found -1"),
    "no frames a second": (("v.mp4",), {"fps": 0}, "fps must be a number above 0, up to 1000, found 0"),
    "too many of them": (("v.mp4",), {"fps": 1001}, "fps must be a number above 0, up to 1000, found 1001"),
    "another device": (("v.mp4",), {"device": "gpu"}, "device must be auto, cpu or cuda, found 'gpu'"),
    "quiet in numbers": (("v.mp4",), {"calibrate": [5]}, "calibrate must be a path or a list of paths, found 5"),
    "settings in a text": (("v.mp4",), {"settings": "rows.stride=8"}, "settings must be a dict such as"),
    "a bank of none": (("v.mp4",), {"descriptions": ["a fight"]}, "descriptions must be a path, found ['a fight']"),
    "a post of numbers": (("v.mp4",), {"post": 5}, "post must be text, found 5"),
}


@pytest.mark.parametrize("videos, wrong, words", REFUSED_SCORES.values(), ids=REFUSED_SCORES)
def test_scores_of_a_wrong_argument_are_refused_and_nothing_is_written(videos, wrong, words, tmp_path):
    with pytest.raises(ConfigError) as error:
        vadbench.score(*videos, **({"run": "1f0c", "out": tmp_path / "scored"} | wrong))
    assert words in str(error.value) and len(str(error.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


REFUSED_ELSEWHERE = {
    "runs of two folders": (lambda: vadbench.runs(["a", "b"]), "out must be a path"),
    "two runs to load": (lambda: vadbench.load(["a", "b"]), "run must be a run, its folder, its key or its label"),
    "no folder": (lambda: vadbench.load("1f0c", None), "out must be a path, found None"),
    "a side of numbers": (lambda: vadbench.compare(5, "1f0c"), "a must be a run, its folder, its key or its label"),
    "a seed for a run": (lambda: vadbench.compare([0, 1], "1f0c"), "a must be a run, its folder"),
    "a metric of numbers": (lambda: vadbench.compare("1f0c", "ab", 5), "metrics must be a key or a list of keys"),
    "data sets": (lambda: vadbench.leaderboard(["tiny"]), "dataset must be text"),
    "methods of numbers": (lambda: vadbench.leaderboard(methods=[5]), "methods must be a name or a list of names"),
    "a switch in words": (lambda: vadbench.leaderboard(costs="no"), "costs must be True or False, found 'no'"),
}


@pytest.mark.parametrize("call, words", REFUSED_ELSEWHERE.values(), ids=REFUSED_ELSEWHERE)
def test_other_functions_refuse_wrong_arguments(call, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        call()
    assert words in str(error.value) and len(str(error.value).splitlines()) == 1
    assert not list(Path(tmp_path).iterdir())
