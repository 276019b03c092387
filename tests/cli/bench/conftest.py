"""Shared pieces of the tests of ``vadbench bench``."""

import pytest

from places import PLUGIN


@pytest.fixture
def write(tmp_path):
    """Write a benchmark file, or another by its name; its path."""

    def call(text, name="mine.toml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return call


@pytest.fixture
def bench(vadbench, tmp_path):
    """``vadbench bench`` in this process: what it printed as JSON, or as text, and its notes."""

    def call(file, *arguments, status=0, as_json=True):
        base = ["bench", file, "--plugin", PLUGIN, "--out", tmp_path / "runs", "--device", "cpu"]
        found = vadbench(*base, *(["--json"] if as_json else []), *arguments, status=status)
        return (found.json if as_json and found.out else found.out), found.err

    return call
