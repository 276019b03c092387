"""Videos that the tests of the Python interface score."""

import pytest


@pytest.fixture
def clips(tiny_cache):
    return [tiny_cache / "datasets" / "tiny" / f"test-{i}.mp4" for i in range(2)]
