"""The arithmetic of the image tower: what a GPU computes in, without casts of the weights in every batch."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from vadbench.clip import load_clip
from vadbench.testing.pretend import pretend

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 3, 64, 64), np.uint8))


@pytest.fixture(scope="module")
def exact():
    return load_clip().encode_images(IMAGES)


@pytest.fixture
def on_gpu():
    """Features of a pretended GPU, and what its second batch asked for."""

    def encode(arithmetic):
        with pretend("cuda") as world:
            clip = load_clip(device="cuda")
            images = IMAGES.pin_memory()
            clip.encode_images(images.to("cuda"), arithmetic)
            world.reset()
            features = clip.encode_images(images.to("cuda", non_blocking=True), arithmetic)
            casts, waits, pageable = world.kernels_of["_to_copy"], world.waits(), world.count("h2d-pageable")
            types = {p.dtype for p in clip.visual.parameters()}
            return features.cpu(), casts, waits, pageable, types

    return encode


@pytest.mark.parametrize(("arithmetic", "casts"), [("fp32", 1), ("tf32", 1), ("bf16", 3)])
def test_a_gpu_casts_pixels_and_features_alone_and_waits_for_nothing(on_gpu, exact, arithmetic, casts):
    features, found, waits, pageable, types = on_gpu(arithmetic)
    assert (found, waits, pageable) == (casts, {}, 0)
    assert features.dtype == torch.float32
    assert types == {torch.float32}, "the tower itself is kept for fp32"
    least = cosine_similarity(features, exact).min()
    if arithmetic == "bf16":
        assert 0.999 < least < 0.999999
    else:
        torch.testing.assert_close(features, exact)


def test_other_reduced_arithmetic_casts_in_every_batch(on_gpu, exact):
    features, casts, *_ = on_gpu("fp16")
    assert casts > 10
    assert cosine_similarity(features, exact).min() > 0.9999


def test_on_a_cpu_tf32_is_fp32_and_bf16_is_autocast(exact):
    clip = load_clip()
    assert torch.equal(clip.encode_images(IMAGES, "tf32"), exact)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (clip.mean, clip.std))
    pixels = ((IMAGES.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(clip.encode_images(IMAGES, "bf16"), clip.visual(pixels).float())
