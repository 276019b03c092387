"""One copy of ``synthetic`` and its features for all tests here: making them takes a minute or two."""

import pytest


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    # The workers of a parallel run share the folder above theirs.
    return (base.parent if base.name.startswith("popen-") else base) / "cache-of-synthetic"


@pytest.fixture
def synthetic(away_from_home, monkeypatch, shared_cache):
    monkeypatch.setenv("VADBENCH_CACHE", str(shared_cache))
