"""A CLIP of some thousand weights."""

import json

import pytest
import torch
from safetensors.torch import save_file

from tiny_clip import TINY, tiny_model
from vadbench.clip import loading


@pytest.fixture(scope="module")
def tiny():
    return tiny_model()


@pytest.fixture
def small_assets(monkeypatch, tmp_path):
    """A small CLIP as it is shipped: float16, with the rows of two tokens alone."""
    model = tiny_model(seed=3, quick_gelu=False, embed_dim=64).half()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    rows = state.pop("token_embedding.weight")[[5, 49407]].contiguous()
    config = TINY | {"embed_dim": 64, "quick_gelu": False}
    asset = config | {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "token_seed": 11, "note": ""}
    (tmp_path / "small_clip.json").write_text(json.dumps(asset))
    vocabulary = {"token_embedding.ids": torch.tensor([5, 49407]), "token_embedding.rows": rows}
    save_file(state | vocabulary, tmp_path / "small_clip.safetensors")
    monkeypatch.setattr(loading, "ASSETS", tmp_path)
    return rows
