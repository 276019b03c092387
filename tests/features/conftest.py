"""A tiny CLIP, and small videos to extract."""

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from extraction import LENGTHS
from vadbench.clip import ClipSource, load_clip
from vadbench.data.media import write_video
from vadbench.dataset import Video


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "tiny.safetensors"
    torch.manual_seed(0)
    model = open_clip.CLIP(
        embed_dim=8,
        vision_cfg={"layers": 1, "width": 64, "patch_size": 16, "image_size": 32},
        text_cfg={"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
        quick_gelu=True,
    )
    save_file(model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def clip(weights):
    return load_clip(ClipSource("", str(weights)))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    noise = np.random.default_rng(0)
    made = []
    for i, (name, length) in enumerate(LENGTHS.items()):
        path = folder / f"{name}.mp4"
        write_video(path, noise.integers(0, 255, (length, 48, 40 + 2 * i, 3), np.uint8), fps=25)
        made.append(Video(name, ("x",), path))
    return made


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Landscape and portrait, with an odd and an even number of pixels to spare."""
    folder, noise, made = tmp_path_factory.mktemp("wide"), np.random.default_rng(1), []
    for i, (height, width) in enumerate([(36, 74), (36, 64), (90, 40)]):
        path = folder / f"{i}.mp4"
        write_video(path, noise.integers(0, 255, (7 + 6 * i, height, width, 3), np.uint8), fps=25)
        made.append(Video(path.stem, ("x",), path))
    return made
