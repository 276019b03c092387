"""Fingerprints: every field counts, and nothing else does."""

import dataclasses
import hashlib
import json

import pytest

from vadbench.base.errors import FeatureError
from vadbench.features.fingerprint import Fingerprint

BASE = Fingerprint(
    encoder="ViT-B-16-quickgelu",
    weights="ab" * 32,
    activation="quickgelu",
    preprocessing="short side 224",
    stride=16,
    pooling="middle",
    dim=512,
)
CHANGES = {
    "encoder": "ViT-B-16",
    "weights": "cd" * 32,
    "activation": "gelu",
    "preprocessing": "squash 224",
    "stride": 8,
    "pooling": "first",
    "dim": 768,
    "crops": ("center", "left"),
    "dtype": "float16",
    "normalised": True,
    "decoder": "decord",
    "arithmetic": "bf16",
    "regions": "boxes 0123456789abcdef",
}


def test_every_field_has_a_change_below():
    assert set(CHANGES) == {field.name for field in dataclasses.fields(Fingerprint)}


@pytest.mark.parametrize("name", CHANGES)
def test_every_field_is_in_the_digest_and_shown_as_a_difference(name):
    other = dataclasses.replace(BASE, **{name: CHANGES[name]})
    assert other.digest != BASE.digest
    (line,) = BASE.differences(other)
    assert line.startswith(f"{name}: ")
    assert (other.family == BASE.family) == (name in ("stride", "pooling"))


def test_digest_is_twelve_hex_digits_and_stable():
    # Changing how it is computed would orphan every store on disk.
    text = (
        '{"activation":"quickgelu","arithmetic":"fp32","crops":["center"],"decoder":"pyav","dim":512,'
        '"dtype":"float32","encoder":"ViT-B-16-quickgelu","normalised":false,"pooling":"middle",'
        '"preprocessing":"short side 224",'
        f'"stride":16,"weights":"{"ab" * 32}"}}'
    )
    assert BASE.digest == hashlib.sha256(text.encode()).hexdigest()[:12]
    assert len(BASE.family) == 12
    assert BASE.differences(dataclasses.replace(BASE)) == []


def test_unknown_weights_of_any_digest_are_unknown():
    assert BASE.known
    assert not dataclasses.replace(BASE, weights="unknown").known
    assert not dataclasses.replace(BASE, weights="unknown-0123456789ab").known


def test_round_trip_through_json():
    again = Fingerprint.from_dict(json.loads(json.dumps(BASE.to_dict())))
    assert again == BASE
    assert hash(again) == hash(BASE)


def test_pooling_of_single_frames_makes_no_difference():
    digests = {dataclasses.replace(BASE, stride=1, pooling=p).digest for p in ("first", "middle", "mean")}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"strid": 1}, "did you mean 'stride'"),
        ({"stride": 0}, "at least 1"),
        ({"dim": 0}, "at least 1"),
        ({"crops": []}, "at least 1"),
        ({"pooling": "max"}, "pooling must be one of first, middle, mean, unknown, found 'max'"),
        ({"dtype": "unknown"}, "dtype must be one of float32, float16, found"),
        ({"arithmetic": "int8"}, "arithmetic must be one of fp32, tf32, bf16, fp16, unknown"),
    ],
)
def test_what_makes_no_sense_is_refused(change, reason):
    with pytest.raises(FeatureError, match=reason):
        Fingerprint.from_dict(BASE.to_dict() | change)


def test_a_missing_field_is_named():
    values = BASE.to_dict()
    del values["encoder"]
    with pytest.raises(FeatureError, match="encoder"):
        Fingerprint.from_dict(values)
