"""Paths that a user gives: the home folder in them, and what is no regular file where one is meant."""

import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from places import PLUGIN

CLIP = ["--clip", "small", "--clip-weights", "random:0"]
RUN = ["run", "-d", "tiny", "--plugin", PLUGIN, "-m"]


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for t in range(3):
        Image.fromarray(np.full((48, 64, 3), t, np.uint8)).save(folder / f"{t}.png")
    return folder


@pytest.mark.parametrize("form", [["--out", "~/st ore"], ["--out=~/st ore"]])
def test_a_tilde_in_an_argument_is_the_home_folder(vadbench, frames, monkeypatch, tmp_path, form):
    monkeypatch.chdir(tmp_path)
    os.rename(frames, Path(os.environ["HOME"]) / "frames")
    vadbench("extract", "~/frames", *CLIP, *form)
    assert (Path(os.environ["HOME"]) / "st ore").is_dir() and not list(tmp_path.iterdir())


@pytest.mark.usefixtures("tiny_at_hand")
@pytest.mark.parametrize(
    "command",
    [[*RUN, "random", "--features", "clip=~/none"], ["bench", "vadclip", "--data-root", "ucfcrime=~/none"]],
    ids=lambda command: command[0],
)
def test_a_tilde_behind_a_name_is_the_home_folder(refused, command):
    assert f"{os.environ['HOME']}/none" in refused(*command)


def test_a_tilde_elsewhere_is_a_letter(vadbench, frames, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    vadbench("extract", frames, *CLIP, "--out", "./~/store~")
    assert (tmp_path / "~" / "store~").is_dir()


def test_the_home_of_a_user_that_does_not_exist_is_not_made(vadbench, refused, frames, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert "~no-such-user/store" in (said := refused("extract", frames, *CLIP, "--out", "~no-such-user/store"))
    assert "no such user" in said and not (tmp_path / "~no-such-user").exists()


@pytest.mark.parametrize("way", ["variable", "file", "option"])
def test_a_bank_is_found_in_the_home_folder(refused, monkeypatch, tmp_path, way):
    """However the setting is given; it is refused for what is in it, so it was found."""
    (Path(os.environ["HOME"]) / "bank.toml").write_text('normal = ["a street"]\n')
    (tmp_path / "own.toml").write_text('descriptions = "~/bank.toml"\n')
    if way == "variable":
        monkeypatch.setenv("VADBENCH_SET__DESCRIPTIONS", "~/bank.toml")
    given = {"variable": [], "file": ["--config", tmp_path / "own.toml"], "option": ["--descriptions", "~/bank.toml"]}
    assert "bank.toml: " in refused(*RUN, "descriptions-frame", *given[way])


@pytest.fixture
def pipe(tmp_path):
    """A pipe, by the suffix it shall have; whoever waits for it is let go after a while."""
    held = []

    def make(suffix):
        path = tmp_path / f"odd{suffix}"
        os.mkfifo(path)
        held.append(os.open(path, os.O_RDWR))
        return path

    def let_go():
        while held:
            os.close(held.pop())

    timer = threading.Timer(20, let_go)
    timer.start()
    yield make
    timer.cancel()
    let_go()


NO_FILE = r"expected a regular file, found a pipe|no (such )?file"


@pytest.mark.parametrize(
    ("suffix", "command"),
    [
        (".mp4", ["extract", "ODD", *CLIP, "--out", "store"]),
        (".mp4", ["score", "ODD", "-m", "zero-shot", "-d", "ucfcrime"]),
        (".mkv", ["score", "ODD", "--follow", "-m", "zero-shot", "-d", "ucfcrime"]),
        (".csv", ["extract", "frames", *CLIP, "--regions", "ODD", "--out", "store"]),
        (".parquet", ["extract", "frames", *CLIP, "--regions", "ODD", "--out", "store"]),
        (".pt", ["extract", "frames", "--clip-weights", "ODD", "--out", "store"]),
        (".safetensors", ["extract", "frames", "--clip-weights", "ODD", "--out", "store"]),
        (".pth", ["import-checkpoint", "ODD", "-m", "vadclip", "-d", "ucfcrime"]),
        (".toml", [*RUN, "zero-shot", "--config", "ODD"]),
        (".toml", [*RUN, "descriptions-frame", "--descriptions", "ODD"]),
        (".toml", ["descriptions", "check", "ODD"]),
        (".toml", ["bench", "ODD"]),
        (".json", ["evaluate", "--scores", "frames", "--truth", "ODD"]),
        (".npy", ["import-scores", "ODD", "--name", "x", "-d", "tiny", "--plugin", PLUGIN]),
        (".py", ["list", "methods", "--plugin", "ODD"]),
    ],
)
@pytest.mark.usefixtures("frames", "tiny_at_hand")
def test_a_pipe_is_refused_and_not_waited_for(refused, pipe, monkeypatch, tmp_path, suffix, command):
    path = pipe(suffix)
    monkeypatch.chdir(tmp_path)
    said = refused(*(path if word == "ODD" else word for word in command))
    assert path.name in said and re.search(NO_FILE, said)


def test_a_device_is_refused_and_not_read_for_ever(refused):
    said = refused(*RUN, "zero-shot", "--config", "/dev/zero")
    assert "/dev/zero" in said and "expected a regular file, found a device" in said
