"""Import of the authors' released checkpoints: names of keys, and checks that CLIP and classes are the same."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vadbench.base.errors import CheckpointError, listed
from vadbench_anomalyclip.config import AnomalyClipConfig
from vadbench_anomalyclip.prompts import TextDirections

_BLOCKS = "temporal_model.axial_attn.layers.blocks"
_HALF_PRECISION = 2e-3
"""Relative difference allowed between two copies of CLIP, one of which may have been stored as float16."""


def reference_names(config: AnomalyClipConfig) -> dict[str, str]:
    """Return the authors' tensor names (spec 7) by ours, for the configuration they released.

    Raises:
        CheckpointError: the configuration is an ablation whose weights were never released.
    """
    wanted = {
        "directions": "coop",
        "text_encoder": "finetune_projection",
        "likelihood": "selector",
        "temporal": "axial",
    }
    other = [f"{name}={value}" for name, value in wanted.items() if getattr(config, name) != value]
    if other:
        raise CheckpointError(f"released checkpoints are of the final model; set {', '.join(other)} to import one")
    names = {
        "directions.ctx": "prompt_learner.ctx",
        "directions.text_projection": "text_encoder.text_projection",
        "selector.logit_scale": "selector_model.logit_scale",
        "temporal.body.segment_position": "temporal_model.axial_attn.pos_emb.param_0",
        "temporal.body.row_position": "temporal_model.axial_attn.pos_emb.param_1",
    }
    for leaf in ("running_mean", "running_var", "num_batches_tracked"):
        names[f"selector.bn.{leaf}"] = f"selector_model.bn_layer.{leaf}"
    for ours, theirs in (
        ("projection", "projection"),
        ("norm", "classifier.layer_norm"),
        ("linear", "classifier.linear"),
    ):
        for leaf in ("weight", "bias"):
            names[f"temporal.{ours}.{leaf}"] = f"temporal_model.{theirs}.{leaf}"
    attention = {f"{part}.weight": f"fn.fn.{part}.weight" for part in ("to_q", "to_kv", "to_out")}
    attention |= {"to_out.bias": "fn.fn.to_out.bias", "norm.weight": "fn.norm.weight", "norm.bias": "fn.norm.bias"}
    feed = {"norm.weight": "0.g", "norm.bias": "0.b", "widen.weight": "1.weight", "widen.bias": "1.bias"}
    feed |= {"narrow.weight": "3.weight", "narrow.bias": "3.bias"}
    for i in range(config.depth):
        for module, block, side, leaves in (
            ("over_segments", 2 * i, "f", attention),
            ("over_rows", 2 * i, "g", attention),
            ("feed_first", 2 * i + 1, "f", feed),
            ("feed_second", 2 * i + 1, "g", feed),
        ):
            for ours, theirs in leaves.items():
                names[f"temporal.body.{module}.{i}.{ours}"] = f"{_BLOCKS}.{block}.{side}.net.{theirs}"
    return names


def to_ours(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], directions: TextDirections, config: AnomalyClipConfig
) -> dict[str, Tensor]:
    """Return the authors' tensors under our names and in our shapes.

    The text tower in the checkpoint must be this task's, and its prompts must be of this task's classes. The image
    tower is not checked, as features have a fingerprint.

    Args:
        state: the authors' ``state_dict``, with or without the ``net.`` prefix.
        own: the method's ``state_dict``, for its shapes.

    Raises:
        CheckpointError: keys or shapes differ, or it was made with another CLIP or other classes.
    """
    found = {key.removeprefix("net."): value for key, value in state.items()}
    found = {key: value for key, value in found.items() if not key.startswith("image_encoder.")}
    names = reference_names(config)
    frozen = _frozen(directions)
    expected = set(names.values()) | set(frozen)
    wrong = sorted([f"missing {k}" for k in expected - set(found)] + [f"unexpected {k}" for k in set(found) - expected])
    for key, value in frozen.items():
        if key in found and found[key].shape != value.shape:
            wrong.append(f"{key} is {tuple(found[key].shape)}, expected {tuple(value.shape)}")
    tensors = {name: found[key] for name, key in names.items() if key in found}
    for name, value in tensors.items():
        if name.endswith("_position"):
            tensors[name] = value.movedim(1, -1)
        elif ".feed_" in name and ".norm." in name:
            tensors[name] = value.flatten()
        if tensors[name].shape != own[name].shape:
            wrong.append(f"{names[name]} is {tuple(value.shape)}, which does not fit {tuple(own[name].shape)}")
    if wrong:
        raise CheckpointError(f"not a checkpoint of this AnomalyCLIP configuration: {listed(wrong, 5, '; ')}")
    for key, value in frozen.items():
        if not torch.allclose(found[key].cpu(), value.cpu(), rtol=_HALF_PRECISION, atol=1e-4):
            raise CheckpointError(
                f"the checkpoint's {key} is not that of this CLIP and these classes; use features of the CLIP it was"
                " trained with, the authors' class names in their order, and prompt_words=name where these differ"
            )
    return tensors


def _frozen(directions: TextDirections) -> dict[str, Tensor]:
    """Return the tensors of CLIP's text side that a checkpoint repeats, under the authors' names."""
    text = directions.task.text
    tower = text.state_dict()
    rows = text.embed(directions.tokens)
    frozen = {
        f"text_encoder.{k}": v for k, v in tower.items() if k not in ("text_projection", "token_embedding.weight")
    }
    return frozen | {
        "token_embedding.weight": tower["token_embedding.weight"],
        "prompt_learner.token_prefix": rows[:, :1],
        "prompt_learner.token_suffix": rows[:, 1 + directions.n_ctx :],
    }
