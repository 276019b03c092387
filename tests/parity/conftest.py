"""The devices that the recorded numbers must hold on."""

import pytest

from devices import DEVICES, computing_on


@pytest.fixture(params=DEVICES)
def device(request):
    """Where a test computes."""
    with computing_on(request.param) as place:
        yield place
