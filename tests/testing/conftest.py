"""One copy of ``synthetic`` and its features for all tests here: making them takes a minute or two."""

import pytest


@pytest.fixture
def synthetic(away_from_home, monkeypatch, shared_folder):
    monkeypatch.setenv("VADBENCH_CACHE", str(shared_folder / "cache-of-synthetic"))
