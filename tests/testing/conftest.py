"""One copy of ``synthetic`` and its features for all tests here."""

import pytest


@pytest.fixture
def synthetic(away_from_home, monkeypatch, synthetic_cache):
    monkeypatch.setenv("VADBENCH_CACHE", str(synthetic_cache))
