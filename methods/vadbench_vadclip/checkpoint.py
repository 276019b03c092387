"""Import of the authors' released checkpoints: names of keys, and checks that the CLIP is the same."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vadbench.base.errors import CheckpointError, listed
from vadbench.base.files import mismatches
from vadbench.method import Task
from vadbench_vadclip.config import VadClipConfig

_CLIP = "clipmodel."
_HALF_PRECISION = 2e-3
"""Relative difference allowed between two copies of CLIP, one of which may have been stored as float16."""


def reference_names(config: VadClipConfig) -> dict[str, str]:
    """Return the authors' tensor names (spec 1.7) by ours, for the configuration they released.

    Raises:
        CheckpointError: the configuration is an ablation whose weights were never released.
    """
    wanted = {"temporal": "local+graph", "branches": "both", "text_prompt": "learned", "visual_prompt": "focus"}
    other = [f"{name}={value}" for name, value in wanted.items() if getattr(config, name) != value]
    if other:
        raise CheckpointError(f"released checkpoints are of the final model; set {', '.join(other)} to import one")
    names = {
        "adapter.positions": "frame_position_embeddings.weight",
        "adapter.graphs.sigma": "disAdj.sigma",
        "align.prompts.embeddings": "text_prompt_embeddings.weight",
    }
    modules = {"adapter.graphs.join": "linear", "coarse.classifier": "classifier"}
    mlps = {"coarse.mlp": "mlp2", "align.mlp": "mlp1"}
    for i in range(config.layers):
        ours, theirs = f"adapter.blocks.{i}", f"temporal.resblocks.{i}"
        names[f"{ours}.attention.inputs.weight"] = f"{theirs}.attn.in_proj_weight"
        names[f"{ours}.attention.inputs.bias"] = f"{theirs}.attn.in_proj_bias"
        modules[f"{ours}.attention.output"] = f"{theirs}.attn.out_proj"
        modules[f"{ours}.norm_attention"] = f"{theirs}.ln_1"
        modules[f"{ours}.norm_mlp"] = f"{theirs}.ln_2"
        mlps[f"{ours}.mlp"] = f"{theirs}.mlp"
    for ours, first in (("similarity", 1), ("distance", 3)):
        for i in range(2):
            names[f"adapter.graphs.{ours}.{i}.weight"] = f"gc{first + i}.weight"
        modules[f"adapter.graphs.{ours}.0.residual"] = f"gc{first}.residual"
    for ours, theirs in mlps.items():
        modules |= {f"{ours}.widen": f"{theirs}.c_fc", f"{ours}.narrow": f"{theirs}.c_proj"}
    for ours, theirs in modules.items():
        names |= {f"{ours}.{leaf}": f"{theirs}.{leaf}" for leaf in ("weight", "bias")}
    return names


def to_ours(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], config: VadClipConfig, task: Task
) -> dict[str, Tensor]:
    """Return the authors' tensors under our names.

    The text tower in the checkpoint must be this task's. The image tower and CLIP's temperature are not checked:
    features have a fingerprint, and the temperature is fixed. A checkpoint has no tensors of classes, so it does not
    show which classes it was trained on, nor their order.

    Args:
        state: the authors' ``state_dict``.
        own: the method's ``state_dict``, for its shapes.

    Raises:
        CheckpointError: keys or shapes differ, or it was made with another CLIP.
    """
    names = reference_names(config)
    clip = {_CLIP + name: value for name, value in task.text.state_dict().items()}
    unread = (f"{_CLIP}visual.", f"{_CLIP}logit_scale")
    found = {key: value for key, value in state.items() if not key.startswith(unread)}
    shapes = {key: own[name].shape for name, key in names.items()} | {key: value.shape for key, value in clip.items()}
    if wrong := mismatches(found, shapes):
        raise CheckpointError(f"not a checkpoint of this VadCLIP configuration: {listed(wrong, 5, '; ')}")
    for key, value in clip.items():
        if not torch.allclose(found[key].cpu().float(), value.cpu(), rtol=_HALF_PRECISION, atol=1e-4):
            raise CheckpointError(
                f"the checkpoint's {key} is not that of this CLIP; use features of the CLIP it was trained with"
            )
    return {name: found[key] for name, key in names.items()}
