"""bfloat16 on a GPU: CUDA casts by lists of its own, and what is compared or stored stays float32."""

import numpy as np
import pytest
import torch

from method_settings import variants
from vadbench.base.arithmetic import arithmetic
from vadbench.clip import load_clip
from vadbench.plugins.registry import installed
from vadbench.testing.tested_method import everything
from vadbench.training.loop import autocast
from vadbench.training.prefetching import BatchLoader
from vadbench.training.views import BatchPlan

TRAINED = [n for n in sorted(installed().specs("method")) if installed().method_config(n)().trains]
GPU = torch.device("cuda")
COARSE = 0.05
"""Difference of a loss term in bfloat16 from that in float32, as a share, that rounding makes."""


def cases():
    for name in TRAINED:
        for changed, config in variants(name).items():
            marks = [] if changed == "defaults" else [pytest.mark.slow]
            yield pytest.param(name, config, id=f"{name}-{changed}", marks=marks)


@pytest.mark.parametrize(("name", "config"), list(cases()))
def test_losses_and_scores_are_finite_float32_and_finely_graded(name, config, subject, autocast_gpu):
    own = subject(name, config)
    method = own.build(0, device=GPU)
    with torch.no_grad():
        # Zeros would say nothing of types that are too coarse.
        for parameter in method.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape).to(GPU))
    method.prepare(own.data)
    plan = BatchPlan(own.data.videos, own.classes.normal, own.recipe, 0)
    with BatchLoader(method, plan) as loader:
        batch = next(iter(loader.epoch(0)))
    with torch.no_grad(), arithmetic("bf16", GPU), autocast("bf16", GPU):
        method.train()
        terms = method.loss(batch)
        method.eval()
        (video,) = own.videos((300,))
        rows = {n: s.read() for n, s in video.streams.items()}
        placed = video.with_line(
            type(next(iter(video.streams.values())))(
                lambda: torch.from_numpy(next(iter(rows.values()))).to(GPU), video.row_count, video.stride
            )
        )
        (scores,) = method.score([placed])
    for term, value in flat(terms).items():
        assert value.dtype == torch.float32 and torch.isfinite(value).all().item(), term
    for what, value in everything(scores).items():
        assert value.dtype == torch.float32 and torch.isfinite(value).all().item(), what
    graded = len(np.unique(scores.anomaly.cpu().numpy()))
    # A bfloat16 between 0.5 and 1 is one of 128.
    assert graded > 150 or graded >= 0.5 * distinct_on_cpu(own, video), graded


def distinct_on_cpu(own, video):
    (scores,) = own.score(own.build(0), [video])
    return len(np.unique(scores.anomaly.numpy()))


def flat(terms):
    return {k: v for name, t in terms.items() for k, v in (t.items() if isinstance(t, dict) else [(name, t)])}


def test_products_are_made_in_bfloat16_where_that_is_asked_for(subject, autocast_gpu):
    """Otherwise the tests here would hold of a method that never leaves float32."""
    own = subject("vadclip")
    method = own.build(0, device=GPU).eval()
    (video,) = own.videos((40,))
    own.config = own.config.model_copy(update={"recipe": own.config.recipe.model_copy(update={"precision": "bf16"})})
    with autocast("bf16", GPU):
        own.score(method, [video])
    if autocast_gpu is not None:
        made = {name for (name, _, out) in autocast_gpu.dtypes if out == "bfloat16"}
        assert {"addmm", "mm"} & made, autocast_gpu.dtypes


@pytest.mark.parametrize("how", ["bf16", "fp16"])
def test_images_are_encoded_in_few_bits_with_the_direction_of_fp32(how, autocast_gpu):
    clip = load_clip(device=GPU)
    frames = torch.randint(0, 255, (4, 3, clip.image_size, clip.image_size), dtype=torch.uint8)
    whole, coarse = (clip.encode_images(frames, arithmetic).cpu() for arithmetic in ("fp32", how))
    assert coarse.dtype == torch.float32
    cosine = torch.cosine_similarity(whole, coarse)
    assert float(cosine.min()) > 0.999 and not torch.equal(whole, coarse)
