"""Which crops are scored and trained on."""

import pytest

from vadbench.clip import CROPS
from vadbench.errors import FeatureError
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.provision import scored_crops, training_crops


class Crops:
    """As much of a set of features as choosing crops asks for."""

    folder = "features"
    fingerprint = Fingerprint("tiny", "0" * 64, "gelu", "none", stride=4, pooling="mean", dim=8)

    def __init__(self, **crops):
        self._crops = crops

    def crops(self, name):
        return self._crops[name]


NUMBERED = tuple("0123456789")


@pytest.mark.parametrize(
    ("crops", "wanted", "asked", "expected", "noted"),
    [
        (("center",), "center", False, ("center",), False),
        (("center",), "5", False, ("center",), True),
        (("3",), "center", False, ("3",), True),
        (NUMBERED, "5", False, ("5",), False),
        (NUMBERED, "mean", True, NUMBERED, False),
        # The authors' crop 5 says nothing about ours; a user who asks for number 5 gets it.
        (CROPS, "5", False, ("center",), True),
        (CROPS, "5", True, (CROPS[5],), True),
        (CROPS, "top-left", True, ("top-left",), False),
    ],
)
def test_the_crop_that_is_scored(crops, wanted, asked, expected, noted):
    notes = []
    assert scored_crops(Crops(v=crops), ["v"], wanted, asked, notes) == {"v": expected}
    assert bool(notes) == noted


@pytest.mark.parametrize(
    ("crops", "wanted", "asked"),
    [(NUMBERED, "center", False), (NUMBERED, "10", True), (("center",), "5", True), (CROPS, "left", True)],
)
def test_a_crop_that_is_not_there_is_refused(crops, wanted, asked):
    with pytest.raises(FeatureError, match=f"no crop '{wanted}' of 'v' in features, found"):
        scored_crops(Crops(v=crops), ["v"], wanted, asked, [])


def test_a_mean_over_different_crops_is_refused():
    with pytest.raises(FeatureError, match="'a' has 0, 1, 'b' has 0"):
        scored_crops(Crops(a=("0", "1"), b=("0",)), ["a", "b"], "mean", True, [])


def test_training_takes_the_center_the_first_or_all():
    features = Crops(a=CROPS, b=NUMBERED)
    assert training_crops(features, "a", "one") == ("center",)
    assert training_crops(features, "b", "one") == ("0",)
    assert training_crops(features, "b", "all") == NUMBERED
