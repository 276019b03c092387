"""A small copy of each data set."""

import pytest

from small_copies import LAYOUTS


@pytest.fixture(params=LAYOUTS, ids=lambda kind: kind.__name__.lower())
def kind(request):
    return request.param


@pytest.fixture
def root(tmp_path, kind):
    folder = tmp_path / "data root"
    folder.mkdir()
    kind.build(folder)
    return folder
