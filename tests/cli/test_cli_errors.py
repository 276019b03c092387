"""Bad input: one clear line, exit status 2, nothing half-written."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from command_line import succeed
from places import PLUGIN
from vadbench.cli import cli, main, require_single
from vadbench.data.media import write_video
from vadbench.features.store import FeatureStore, StoreWriter

pytestmark = pytest.mark.usefixtures("tiny_at_hand")


@pytest.fixture
def tiny(tmp_path):
    """Arguments of a run on the tiny data set."""
    return ["run", "--plugin", PLUGIN, "--clip", "small", "--clip-weights", "random:0", "--out", tmp_path / "runs"]


def other_clip(arguments):
    """The same arguments under another CLIP."""
    return ["random:1" if argument == "random:0" else argument for argument in arguments]


@pytest.fixture(scope="module")
def extracted(prepare, tmp_path_factory):
    """Features of the tiny data set, made once."""
    store = tmp_path_factory.mktemp("features") / "store"
    arguments = ["extract", "--plugin", PLUGIN, "-d", "tiny", "--clip", "small", "--clip-weights", "random:0"]
    prepare(*arguments, "--stride", "1", "--out", store)
    return store


@pytest.fixture
def tiny_store(extracted, tmp_path):
    """A feature store of the tiny data set, to spoil."""
    return shutil.copytree(extracted, tmp_path / "store")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "-m", "anomalyclop", "-d", "synthetic"], "unknown method 'anomalyclop'; did you mean 'anomalyclip'?"),
        (["run", "-m", "random", "-d", "syntetic"], "unknown dataset 'syntetic'; did you mean 'synthetic'?"),
        (["run", "-m", "random"], "run needs --method and --dataset"),
        (["run", "-m", "random", "-d", "synthetic", "--protocol", "nativ"], "did you mean 'native'"),
        (["run", "-m", "random", "-d", "synthetic", "--seeds", "2-0"], "expected 0, 0-2 or 0,3,5"),
        (["run", "-m", "zero-shot", "-d", "synthetic", "--set", "temprature=1"], "did you mean 'temperature'"),
        (
            ["run", "-m", "zero-shot", "-d", "synthetic", "--set", "temperature=warm"],
            "setting 'temperature' from --set",
        ),
        (["run", "-m", "zero-shot", "-d", "synthetic", "--config", "absent.toml"], "cannot read absent.toml as TOML"),
        (["run", "-m", "random", "-d", "ucsdped2"], "no data root for ucsdped2: give --data-root"),
        (["run", "-m", "random", "-d", "ucsdped2", "--data-root", "absent"], "expected there: the 28 clips"),
        (["run", "--from", "nothing"], "no single run called 'nothing'"),
        (["run", "-m", "random", "-d", "synthetic", "--plugin", "/"], "expected a Python file, found a folder: /"),
        (["runn"], "No such command 'runn'"),
        (["score", "v.mp4", "--run", "X", "--method", "Y"], "found both (X and Y); leave one out"),
        (["score", "v.mp4"], "score needs --run with a finished run, or --method"),
        (["show", "method", "zeroshot"], "did you mean 'zero-shot'"),
        (["show", "method", "anomalyclip", "--dataset", "ucf-crime"], "did you mean 'ucfcrime'"),
        (["show", "run", "abc"], "no single run called 'abc'"),
        (["extract", "--out", "x"], "either PATHS or --dataset"),
        (["extract", "videos", "--truth", "mine.json", "--out", "x"], "name it with --dataset, or leave --truth out"),
        (["extract", "absent.mp4", "--out", "x"], "no such file or folder: absent.mp4"),
        (["extract", "a", "--out", "x", "--shard", "4/4"], "expected i/n"),
        (["log", "abc"], "no single run called 'abc'"),
        (["run", "--from", ""], "no single run called ''"),
        (["run", "-m", "anomalyclip", "-d", "synthetic", "--set", "recipe=5"], "setting 'recipe"),
        (["run", "-m", "anomalyclip", "-d", "synthetic", "--set", "recipe.epochs=true"], "must not be true or false"),
        (["run", "-m", "anomalyclip", "-d", "synthetic", "--set", "recipe.batch_size=5"], "must be even"),
        (["run", "-m", "anomalyclip", "-d", "synthetic", "--set", "recipe.learning_rate=inf"], "finite number"),
        (["run", "-m", "anomalyclip", "-d", "synthetic", "--set", "recipe.betas=[2,3]"], "less than 1"),
        (["run", "-m", "random", "-d", "synthetic", "--seeds", "99999999999999"], "seeds up to 999999"),
        (["run", "-m", "random", "-d", "synthetic", "--out", "/proc/x"], "cannot write /proc/x"),
        (["run", "-m", "random", "-d", "synthetic", "--out", "x" * 300], "cannot write x"),
        (
            ["run", "-m", "a", "--method", "b", "-d", "c"],
            "--method takes one value, found 2; give it once",
        ),
        (["data", "check", "a", "--data-root", "b", "--data-root", "b"], "once; see vadbench data check --help"),
        (
            ["run", "-m", "zero-shot", "-d", "synthetic", "--set", "temperature.x.y=1"],
            " (vadbench show method NAME)",
        ),
        (
            ["score", "v.mp4", "-m", "zero-shot", "--threshold", "0.5", "--threshold", "0.6"],
            "--threshold takes one value",
        ),
        (
            ["run", "-m", "random", "-d", "synthetic", "--plugin", "absent.py"],
            "vadbench: cannot load --plugin absent.py: no such file: absent.py",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(refused, monkeypatch, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused(*arguments)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def _commands(context, path=()):
    """All commands, those of installed plugins included, each with the words that call it."""
    group = context.command
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(click.Context(command, context), (*path, name))
        else:
            yield command, [*path, name]


def test_no_command_takes_the_last_of_two_values_without_a_word():
    context = click.Context(cli)
    for command, words in _commands(context):
        for option in (p for p in command.params if isinstance(p, click.Option) and not p.is_flag):
            arguments = [*words, *[option.opts[0], *["x"] * option.nargs] * 2]
            if option.multiple:
                require_single(cli, context, arguments)
            else:
                with pytest.raises(click.UsageError, match=f"{option.opts[0]} takes one value, found 2; give it once"):
                    require_single(cli, context, arguments)


def test_debug_shows_where_it_came_from():
    from vadbench.base.errors import UnknownNameError

    with pytest.raises(UnknownNameError):
        main(["run", "-m", "x", "-d", "synthetic", "--debug"])


@pytest.mark.parametrize("place", range(3))
def test_debug_is_taken_at_any_place(place):
    from vadbench.base.errors import UnknownNameError

    command = ["run", "-m", "x", "-d", "synthetic"]
    command.insert((0, 1, 5)[place], "--debug")
    with pytest.raises(UnknownNameError):
        main(command)


def test_debug_before_a_group_of_commands():
    from vadbench.base.errors import FeatureError

    for command in (["--debug", "features", "info", "absent"], ["features", "--debug", "info", "absent"]):
        with pytest.raises(FeatureError):
            main(command)


def test_cuda_asked_for_and_absent(refused, monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    line = refused("run", "-m", "random", "-d", "synthetic", "--device", "cuda", "--out", tmp_path)
    assert "finds no usable GPU" in line


@pytest.mark.parametrize("kind", ["text", "corrupt", "truncated", "empty"])
def test_a_damaged_video_is_named(refused, tmp_path, kind):
    path = tmp_path / "videos" / "bad.mp4"
    path.parent.mkdir()
    write_video(path, (np.full((48, 64, 3), t, np.uint8) for t in range(60)), fps=10)
    content = path.read_bytes()
    damaged = {
        "text": b"not a video at all\n" * 100,
        "corrupt": content[:1000] + bytes(400) + content[1400:],
        "truncated": content[: len(content) // 2],
        "empty": b"",
    }
    path.write_bytes(damaged[kind])
    store = tmp_path / "store"
    line = refused("extract", path, "--clip", "small", "--clip-weights", "random:0", "--out", store)
    assert "bad.mp4" in line
    assert FeatureStore(store).names == ()


def test_features_with_nan_are_refused(refused, tiny, tiny_store):
    (rows,) = tiny_store.glob("rows-*.bin")
    values = np.memmap(rows, np.float32, "r+")
    values[100] = np.nan
    values.flush()
    assert "train-0" in (line := refused(*tiny, "-m", "linear", "-d", "tiny", "--features", tiny_store)), line


def test_features_of_another_clip_are_refused(refused, tiny, tiny_store):
    line = refused(*other_clip(tiny), "-m", "linear", "-d", "tiny", "--features", tiny_store)
    assert "--clip" in line and str(tiny_store) in line


def test_features_of_the_wrong_width_are_refused(refused, tiny, tiny_store):
    path = tiny_store / "fingerprint.json"
    path.write_text(path.read_text().replace('"dim": ', '"dim": 1'))
    assert str(tiny_store) in refused(*tiny, "-m", "linear", "-d", "tiny", "--features", tiny_store)


def test_features_of_other_videos_are_refused(refused, tiny, tiny_store):
    (index,) = tiny_store.glob("index-*.jsonl")
    index.write_text(index.read_text().replace('"source": "', '"source": "f'))
    line = refused(*tiny, "-m", "linear", "-d", "tiny", "--features", tiny_store)
    assert "were not made from" in line and "train-0.mp4" in line


@pytest.mark.parametrize(
    ("test", "train", "words"),
    [
        (0, 8, "has no test videos"),
        (6, 0, "has no train videos"),
        (6, 1, "trained on batches of normal and abnormal videos"),
    ],
)
def test_a_split_without_videos_is_refused(refused, tiny, monkeypatch, test, train, words):
    monkeypatch.setenv("TINY_TRAIN", str(train))
    monkeypatch.setenv("TINY_TEST", str(test))
    assert words in refused(*tiny, "-m", "linear", "-d", "tiny")


def test_a_video_of_another_length_is_refused_before_training(refused, tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("TINY_STATED", "35")
    line = refused(*tiny, "-m", "linear", "-d", "tiny")
    assert "test-0: the data set states 35 frames, found 30" in line
    assert not list((tmp_path / "runs").rglob("training*"))


def test_a_segment_past_the_end_of_its_video_is_refused(refused, tiny, monkeypatch):
    monkeypatch.setenv("TINY_END", "33")
    assert "segment [10, 33) is past its 30 frames" in refused(*tiny, "-m", "linear", "-d", "tiny")


def test_features_that_lack_a_video_are_refused(refused, tiny, tiny_store):
    (index,) = tiny_store.glob("index-*.jsonl")
    index.write_text("".join(index.read_text().splitlines(keepends=True)[:-1]))
    line = refused(*tiny, "-m", "linear", "-d", "tiny", "--features", tiny_store)
    assert "1 of 14 videos lack features in" in line and "'test-5'" in line and "--allow-incomplete" in line


def test_features_coarser_than_asked_are_refused(refused, tiny, tmp_path):
    store = tmp_path / "coarse"
    succeed("extract", "--plugin", PLUGIN, "-d", "tiny", *tiny[3:7], "--stride", 4, "--out", store)
    line = refused(*tiny, "-m", "linear", "-d", "tiny", "--features", store)
    assert "wants a row every frame " in line and "one every 4" in line


def test_a_checkpoint_is_not_scored_on_other_features(refused, tiny, tmp_path):
    succeed(*tiny, "-m", "linear", "-d", "tiny")
    (info,) = (tmp_path / "runs").rglob("checkpoint.json")
    line = refused(*other_clip(tiny), "--from", info.parent)
    assert "used the CLIP small random:0 with sha256" in line and "name it with --clip and --clip-weights" in line
    clip = ["--clip", "small", "--clip-weights", "random:0", "--device", "cpu"]
    extract = ["extract", "--plugin", PLUGIN, "-d", "tiny", *clip, "--stride", 1, "--dtype", "float16"]
    succeed(*extract, "--out", tmp_path / "halves")
    line = refused(*tiny, "--from", info.parent, "--features", tmp_path / "halves")
    assert "another fingerprint" in line and "float16 there" in line


def test_a_damaged_checkpoint_is_refused(refused, tiny, tmp_path):
    succeed(*tiny, "-m", "linear", "-d", "tiny")
    (weights,) = (tmp_path / "runs").rglob("checkpoint.safetensors")
    weights.write_bytes(weights.read_bytes()[:50])
    (weights.parent / "result.json").unlink()
    assert str(weights) in refused(*tiny, "-m", "linear", "-d", "tiny")


def test_no_permission_to_write(refused, tiny):
    # A place where not even root may make a folder.
    line = refused(*tiny[:-1], "/sys/vadbench", "-m", "linear", "-d", "tiny")
    assert line.startswith("vadbench: cannot write /sys/vadbench") and "choose another folder" in line


def test_a_checkpoint_of_another_version_is_not_scored(refused, tiny, tmp_path):
    succeed(*tiny, "-m", "linear", "-d", "tiny")
    (info,) = (tmp_path / "runs").rglob("checkpoint.json")
    content = info.read_text()
    info.write_text(content.replace('"version": "1', '"version": "0'))
    assert "made with version 0" in refused(*tiny, "--from", info.parent)
    info.write_text(content.replace('"normal": 0', '"normal": 9'))
    assert "normal must be the id of one of 2 classes" in refused(*tiny, "--from", info.parent)
    info.write_text(content)
    assert "leave --seeds out" in refused(*tiny, "--from", info.parent, "--seeds", "5")
    assert "leave out --set" in refused(*tiny, "--from", info.parent, "--set", "width=3")


@pytest.mark.parametrize("file", ["test-0.mp4", "rows-0", "training", "checkpoint", "scores", "result"])
def test_a_full_disk_loses_nothing_and_the_next_call_goes_on(
    refused, tiny, tmp_path, tmp_path_factory, monkeypatch, file
):
    """The disk is full from when the first file of a stage is written."""
    monkeypatch.setenv("VADBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    real = os.fsync
    is_full = False

    def full(descriptor):
        nonlocal is_full
        is_full |= Path(f"/proc/self/fd/{descriptor}").readlink().name.lstrip(".").startswith(file)
        if is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    line = refused(*tiny, "-m", "linear", "-d", "tiny")
    assert "disk is full" in line and "again" in line
    monkeypatch.setattr(os, "fsync", real)
    leftovers = [p for p in tmp_path.rglob("*") if p.is_file() and p.name.startswith(".") and p.name != ".lock"]
    assert not leftovers
    succeed(*tiny, "-m", "linear", "-d", "tiny")


def test_a_process_prints_the_line_and_exits_with_2():
    command = [sys.executable, "-m", "vadbench", "run", "-m", "x", "-d", "synthetic"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("vadbench: unknown method 'x'")
    assert found.stderr.count("\n") == 1


def test_a_store_in_use_is_refused(refused, tiny_store):
    with StoreWriter(tiny_store, FeatureStore(tiny_store).fingerprint):
        line = refused(
            "extract", "--plugin", PLUGIN, "-d", "tiny", "--clip", "small", "--clip-weights", "random:0",
            "--stride", 1, "--out", tiny_store,
        )  # fmt: skip
    assert str(tiny_store) in line and "process" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--seeds", "abc"), "expected 0, 0-2 or 0,3,5"),
        (("run", "--device", "gpu"), "'gpu' is not one of 'auto', 'cpu', 'cuda'; see vadbench run --help"),
        (("run", "--bogus"), "No such option '--bogus'"),
        (("show", "method"), "Missing argument 'NAME'; see vadbench show --help"),
        (("nosuch",), "No such command 'nosuch'"),
        (("bench", "quick", "extra"), "unexpected extra argument (extra)"),
    ],
)
def test_wrong_usage_is_one_line(refused, arguments, words):
    line = refused(*arguments)
    assert line.startswith("vadbench: ") and words in line
