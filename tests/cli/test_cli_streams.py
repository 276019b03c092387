"""``vadbench run`` on several streams of features, from end to end."""

import json
from pathlib import Path

import numpy as np
import pytest

from places import KINDS, PLUGIN
from vadbench.data.media import write_video

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
VIDEOS = [f"train-{i}" for i in range(8)] + [f"test-{i}" for i in range(6)]
"""Each of 30 frames, 10 in a second; those of even numbers have an anomaly from frame 10 to 20."""
SMALL = ("--set", "rows.stride=2", "--set", "recipe.batch_size=4")
BOTH = ("--set", 'streams=["clip", "audio"]')


def sound(folder, width=128, rows=6, telling=True, kind="_vggish"):
    """Noise, louder where the anomalies are."""
    folder.mkdir()
    for i, name in enumerate(VIDEOS):
        made = np.random.default_rng(i).standard_normal((rows, width), dtype="f4")
        if telling and name[-1] in "0246":
            made[rows // 3 : 2 * rows // 3] += 2
        np.save(folder / f"{name}_{kind}.npy", made)
    return folder


@pytest.fixture
def audio(tmp_path):
    return sound(tmp_path / "audio")


@pytest.fixture
def run(vadbench, tmp_path):
    """``vadbench run`` on the tiny data set: its record, or what it said."""

    def call(*arguments, method="two-streams", status=0, out="runs"):
        base = ["run", "--plugin", PLUGIN, "--plugin", KINDS / "two_streams.py", "--device", "cpu", "--json"]
        base += ["--out", tmp_path / out, *(() if "--from" in arguments else ("-m", method))]
        base += () if "-d" in arguments else ("-d", "tiny")
        found = vadbench(*base, *arguments, status=status)
        return found.json[0] if status == 0 else found.err.strip().splitlines()[-1]

    return call


def test_a_method_of_two_streams_learns_from_the_second(run, audio):
    record = run("--features", f"audio={audio}", "--set", "recipe.epochs=20")
    assert record["metrics"]["AUC"]["value"] > 0.9
    assert record["streams"]["audio"]["dim"] == 128
    assert record["streams"]["audio"]["spacing"] == "5f"
    assert record["clip"]["model"] == "small"
    assert (
        "stream 'audio': audio, of unknown origin, 128 wide, a row every 5 frames (inferred from the lengths of the"
        " videos)"
    ) in record["notes"]
    assert str(audio) not in json.dumps(record["notes"])
    info = json.loads((Path(record["folder"]) / "checkpoint.json").read_text())
    assert info["streams"] == record["streams"]
    # A finished run is returned.
    again = run("--features", f"audio={audio}", "--set", "recipe.epochs=20")
    assert again["created"] == record["created"] and again["key"] == record["key"]


def test_mil_learns_from_sound_what_the_pictures_do_not_show(run, tmp_path):
    blank = sound(tmp_path / "blank", width=16, rows=30, telling=False, kind="i3d")
    learn = (*SMALL, *BOTH, "--set", "recipe.learning_rate=0.001", "--features", f"clip={blank}")
    deaf = run(*learn, "--features", f"audio={sound(tmp_path / 'noise', telling=False)}", method="mil")
    hearing = run(*learn, "--features", f"audio={sound(tmp_path / 'audio')}", method="mil")
    assert deaf["metrics"]["AUC"]["value"] < 0.75 and hearing["metrics"]["AUC"]["value"] > 0.9
    assert deaf["key"] != hearing["key"]


def test_what_a_stream_is_belongs_to_the_key_and_nothing_else_does(run, audio, tmp_path):
    first = run("--features", f"audio={audio}")
    copied = tmp_path / "elsewhere"
    audio.rename(copied)
    assert run("--features", f"audio={copied}", "--spacing", "audio=5f")["key"] == first["key"]
    others = [
        run("--features", f"audio={copied}", "--spacing", "audio=5.5f"),
        run("--features", f"audio={copied}", "--spacing", "audio=0.5s"),
        run("--features", f"audio={sound(tmp_path / 'wide', width=5)}"),
    ]
    assert len({first["key"], *(r["key"] for r in others)}) == 4
    values = np.load(copied / "test-1__vggish.npy")
    np.save(copied / "test-1__vggish.npy", values + 1)
    # Another test video: the same training, evaluated anew.
    changed = run("--features", f"audio={copied}")
    assert changed["key"] == first["key"] and changed["evaluation"] != first["evaluation"]


def test_a_run_on_one_stream_has_the_key_and_the_record_that_it_had(run):
    record = run(*SMALL, method="mil")
    assert record["streams"] == {}
    assert run(*SMALL, "--set", 'streams=["clip"]', method="mil")["key"] == record["key"]


def test_an_interrupted_run_ends_with_the_same_bits(run, audio, monkeypatch):
    settings = ("--features", f"audio={audio}", "--set", "recipe.epochs=6")
    whole = run(*settings, out="whole")
    calls, right = [], np.random.default_rng

    def stops(*arguments):
        calls.append(arguments)
        if len(calls) == 60:
            raise KeyboardInterrupt
        return right(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("numpy.random.default_rng", stops)
        run(*settings, status=None)
    assert len(calls) >= 60
    resumed = run(*settings)
    read = [(Path(r["folder"]) / "checkpoint.safetensors").read_bytes() for r in (whole, resumed)]
    assert read[0] == read[1] and whole["metrics"] == resumed["metrics"]


def test_a_training_is_evaluated_on_the_same_streams_of_another_data_set(run, audio, tmp_path):
    trained = run("--features", f"audio={audio}", "--spacing", "audio=0.5s")
    beside = ("--from", trained["folder"], "-d", "other")
    found = run(*beside, "--features", f"audio={audio}", "--spacing", "audio=0.5s")
    assert found["metrics"]["AUC"] == trained["metrics"]["AUC"]
    assert "give features of audio (--features audio=DIR)" in run(*beside, status=2)
    wide = sound(tmp_path / "wide", width=5)
    assert "used other features of stream 'audio' (dim: 128 there, 5 here)" in run(
        *beside, "--features", f"audio={wide}", status=2
    )
    line = run(*beside, "--features", f"audio={audio}", "--spacing", "audio=0.45s", status=2)
    assert "(spacing: 0.5s there, 0.45s here)" in line


def test_own_videos_have_no_second_stream(run, vadbench, audio, tmp_path):
    write_video(tmp_path / "any.mp4", [np.zeros((48, 64, 3), np.uint8)] * 4, fps=10)
    trained = run("--features", f"audio={audio}", "--set", "recipe.epochs=1")
    plugins = ("--plugin", KINDS / "two_streams.py", "--plugin", PLUGIN)
    line = vadbench("score", tmp_path / "any.mp4", "--run", trained["folder"], *plugins, status=2).err
    assert line == (
        "vadbench: 'two-streams' cannot run on these videos: it reads the streams clip, audio with these settings,"
        " found clip; use another method\n"
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            (),
            "it reads the streams clip, audio with these settings, found clip; give features of audio (--features",
        ),
        (
            ("--features", "audio=AUDIO", "--features", "adio=x"),
            "did you mean 'audio'?; leave out --features adio=",
        ),
        (("--features", "a", "--features", "b"), "both give the first stream; name the other stream"),
        (
            ("--features", "audio=a", "--features", "audio=b"),
            "audio=a and --features audio=b are of one stream; leave one out",
        ),
        (("--features", "audio=AUDIO", "--spacing", "audio=5"), "such as 24f or 0.96s, found '5'"),
        (
            ("--features", "audio=AUDIO", "--spacing", "audio=9f"),
            "expected 4 rows of stream 'audio', one every 9",
        ),
        (("--features", "audio=nowhere"), "cannot list nowhere: No such file"),
    ],
)
def test_mistakes_are_one_line(run, audio, arguments, complaint):
    line = run(*(a.replace("AUDIO", str(audio)) for a in arguments), status=2)
    assert complaint in line


def test_features_of_any_encoder_do_where_no_text_is_used_and_then_no_clip_is_part_of_the_run(run, tmp_path):
    i3d = sound(tmp_path / "i3d", width=200, rows=30, kind="i3d")
    record = run("--features", i3d, "--set", "rows.stride=2", method="linear")
    assert record["clip"] == {} and record["fingerprint"]["dim"] == 200
    info = json.loads((Path(record["folder"]) / "checkpoint.json").read_text())
    assert info["clip"] is None and info["dim"] == 200
    assert not any("CLIP" in note for note in record["notes"])
    found = run("--from", record["folder"], "-d", "other", "--features", i3d)
    assert found["clip"] == {} and found["metrics"]["AUC"] == record["metrics"]["AUC"]
    named = run("--features", i3d, "--clip", "small", method="linear", status=2)
    assert "are 200 wide, those of CLIP small 64; name the one they come from" in named
    assert "are 200 wide, those of CLIP small 64" in run("--features", i3d, method="texts", status=2)
