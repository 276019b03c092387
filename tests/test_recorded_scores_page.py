"""The page on recorded scores: its commands run in order on an archive made here, and so does its Python."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from vadbench_synthetic.dataset import Synthetic

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "recorded-scores.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with scores of the test videos of ``synthetic``, which rise in anomalous frames."""
    folder = tmp_path_factory.mktemp("user")
    rng, scores = np.random.default_rng(0), {}
    for video in Synthetic(folder).videos("test"):
        inside = np.zeros(video.frames)
        for start, end in video.runs:
            inside[start:end] = 1
        scores[video.name] = (inside[::16] + rng.random(len(inside[::16]))).astype(np.float32) / 2
    np.savez(folder / "scores.npz", **scores)
    return folder


def test_the_commands_of_the_page_do_what_they_say(place):
    commands = [line for block in blocks("") for line in block.splitlines() if line.startswith("vadbench ")]
    assert len(commands) == 3
    environment = os.environ | {"HOME": str(place), "VADBENCH_CACHE": str(place / "cache"), "VADBENCH_MLFLOW": "off"}
    for command in commands:
        words = []
        for word in shlex.split(command)[1:]:
            words += sorted(str(p) for p in place.glob(word)) if "*" in word else [word]
        done = subprocess.run(
            [sys.executable, "-m", "vadbench", *words],
            cwd=place, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "mine" in done.stdout + done.stderr
    assert "<html" in (place / "mine.html").read_text(encoding="utf-8").lower()


def test_its_python_gives_what_it_says(capsys):
    (code,) = blocks("python")
    exec(compile(code, "recorded-scores.md", "exec"), {})
    value, low, within = map(float, capsys.readouterr().out.split())
    assert low < value <= 1
    assert within > 0.9
