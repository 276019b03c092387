"""Random generators: one for each purpose and place, none of them shared."""

import hashlib
import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from vadbench.base.seeds import Purpose, generator, torch_draws

NUMBERS = st.integers(0, 2**31)


def first(*arguments):
    return generator(*arguments).integers(2**63)


def test_each_purpose_seed_and_place_has_its_own_stream():
    places = [(1, e, p) for e, p in itertools.product(range(6), range(6))]
    keys = [(purpose, seed, *place) for purpose in Purpose for seed in range(4) for place in places]
    assert len({first(*key) for key in keys}) == len(keys)
    assert len({first(purpose, 0) for purpose in Purpose}) == len(Purpose)
    assert all(purpose > 0 for purpose in Purpose)


@given(st.sampled_from(Purpose), NUMBERS, st.lists(NUMBERS, max_size=3))
def test_the_words_are_those_of_the_documentation(purpose, seed, place):
    expected = np.random.default_rng([int(purpose), seed, *place]).integers(2**63)
    assert first(purpose, seed, *place) == expected


@given(st.text())
def test_text_enters_by_its_sha256_and_not_by_pythons_hash(name):
    words = np.frombuffer(hashlib.sha256(name.encode("utf-8")).digest(), "<u4").tolist()
    assert first(Purpose.SCORE, 1, name) == np.random.default_rng([int(Purpose.SCORE), 1, *words]).integers(2**63)


def test_torchs_generator_is_restored():
    device = torch.device("cpu")
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with torch_draws(device, Purpose.LOOK, 0, 1):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with torch_draws(device, Purpose.LOOK, 0, 1):
        assert torch.equal(torch.rand(3), inside)
    with torch_draws(device, Purpose.LOOK, 0, 2):
        assert not torch.equal(torch.rand(3), inside)
