"""A CLIP of some thousand weights."""

import open_clip
import torch

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"layers": 1, "width": 64, "patch_size": 16, "image_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
    "quick_gelu": True,
}


def tiny_model(seed=0, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return open_clip.CLIP(**(TINY | changes)).eval()
