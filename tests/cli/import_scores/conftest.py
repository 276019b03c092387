"""Shared pieces of the tests of ``vadbench import-scores``."""

import numpy as np
import pytest

from filmed_plugin import drawn
from imported_scores import written
from places import FILMED


@pytest.fixture(autouse=True)
def place(request, quick_runs, monkeypatch, tmp_path):
    """A folder to stand in; pictures are not painted."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def save(tmp_path):
    """Write scores as one archive; its path."""

    def call(scores=None, name="scores.npz"):
        np.savez(tmp_path / name, **(drawn() if scores is None else scores))
        return tmp_path / name

    return call


@pytest.fixture
def load(vadbench, out):
    """Import scores and return the record with its folder, or the one line where they must be refused."""

    def call(path, *arguments, name="mine", dataset="filmed", status=0):
        command = ("import-scores", "--name", name, "-d", dataset, "--plugin", FILMED, "--out", out)
        found = vadbench(*command, *arguments, *([path] if path is not None else []), "--json", status=status)
        if status == 0:
            return found.json
        lines = [s for s in found.err.splitlines() if s]
        assert len(lines) == 1 and not found.out, found
        return lines[0]

    return call


@pytest.fixture
def refused(load, out):
    """Import what must be refused: its one line; nothing may be written."""

    def call(path, *arguments, **options):
        before = written(out)
        line = load(path, *arguments, status=2, **options)
        assert written(out) == before and (before or not out.exists())
        return line

    return call
