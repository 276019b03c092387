"""Text features that are kept while nothing trains, and words set among learned vectors."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from vadbench.clip import load_clip
from vadbench.nn.prompts import CachedText, placed_words


class Text(CachedText):
    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(3))

    def compute(self):
        return torch.arange(6.0).view(2, 3) + self.shift


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.text = Text()


@pytest.fixture
def outer():
    return Outer().eval()


def test_features_are_kept_in_evaluation_alone(outer):
    with torch.inference_mode():
        kept = outer.text.text_features()
        assert outer.text.text_features() is kept
        assert outer.train().text.text_features() is not kept
    trained = outer.text.text_features()
    trained.sum().backward()
    assert outer.text.shift.grad.tolist() == [2, 2, 2]


def test_gradients_flow_in_evaluation_too(outer):
    with torch.inference_mode():
        kept = outer.text.text_features()
    for times in (1, 2):
        outer.text.text_features().sum().backward()
        assert outer.text.shift.grad.tolist() == [2 * times] * 3
    with torch.inference_mode():
        assert outer.text.text_features() is kept


@pytest.mark.parametrize("how", ["training", "loading"])
def test_new_weights_give_new_features(outer, how):
    with torch.inference_mode():
        before = outer.text.text_features().clone()
    if how == "training":
        outer.train()
        with torch.no_grad():
            outer.text.shift += 1
        outer.eval()
    else:
        outer.load_state_dict({"text.shift": torch.ones(3)})
    with torch.inference_mode():
        assert torch.equal(outer.text.text_features(), before + 1)


def test_features_are_no_part_of_the_state_and_go_where_the_module_goes(outer):
    with torch.inference_mode():
        outer.text.text_features()
    assert set(outer.state_dict()) == {"text.shift"}
    with torch.inference_mode():
        assert outer.double().text.text_features().dtype == torch.float64
    copied = copy.deepcopy(outer)
    copied.load_state_dict({"text.shift": torch.ones(3, dtype=torch.float64)})
    with torch.inference_mode():
        assert copied.text.text_features()[0, 0] == 1 and outer.text.text_features()[0, 0] == 0


@pytest.mark.parametrize("before, behind", [(0, 0), (2, 3), (4, 0), (0, 1)])
def test_words_stand_behind_their_vectors_and_before_the_others(before, behind):
    tokens = load_clip().text.tokenize(["fire", "a person who fell down"])
    placed = placed_words(tokens, before, behind)
    for row, own in enumerate(tokens.tolist()):
        start, *words, end = own[: own.index(max(own)) + 1]
        prompt = [start, *[0] * before, *words, *[0] * behind, end]
        assert placed.ends[row] == len(prompt) - 1
        rest = placed.tokens.shape[1] - len(prompt)
        assert placed.tokens[row].tolist() == prompt + [0] * rest
        assert placed.taken[row].tolist() == [t > 0 for t in prompt] + [False] * rest
    assert placed.tokens.shape[1] == int(placed.ends.max()) + 1
