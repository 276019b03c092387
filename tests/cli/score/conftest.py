"""Shared pieces of the tests of ``vadbench score``."""

import shutil

import pytest

from command_line import succeed
from scored import TINY


@pytest.fixture(scope="session")
def home(tmp_path_factory, tiny_cache):
    """A cache that these tests share."""
    folder = tmp_path_factory.mktemp("score")
    shutil.copytree(tiny_cache, folder / "cache")
    return folder


@pytest.fixture(autouse=True)
def shared_cache(home, monkeypatch):
    monkeypatch.setenv("VADBENCH_CACHE", str(home / "cache"))


@pytest.fixture(scope="session")
def trained(home, synthetic_cache):
    """Train a method, once, and give its folder."""
    runs = {}

    def train(method="linear", dataset="tiny", *more):
        key = (method, dataset, *more)
        if key not in runs:
            out = home / f"runs{len(runs)}"
            with pytest.MonkeyPatch.context() as patch:
                cache = synthetic_cache if dataset == "synthetic" else home / "cache"
                patch.setenv("VADBENCH_CACHE", str(cache))
                own = [] if dataset == "synthetic" else ["--clip", "small", "--clip-weights", "random:0"]
                succeed("run", *TINY, *own, "-m", method, "-d", dataset, "--out", out, *more)
            (result,) = out.glob("*/*/*/result.json")
            runs[key] = result.parent
        return runs[key]

    return train


@pytest.fixture
def score(vadbench, tmp_path):
    """``vadbench score``: its summaries, and what it says."""

    def run(*arguments, status=0, out=tmp_path / "scored"):
        found = vadbench("score", *TINY, "--json", "--out", out, *arguments, status=status)
        return found.json if found.out else None, found.err

    return run
