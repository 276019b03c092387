"""Import of the authors' released checkpoints: names of keys."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vadbench.base.errors import CheckpointError, listed
from vadbench.base.files import mismatches
from vadbench_urdmu.config import UrDmuConfig


def reference_names(config: UrDmuConfig) -> dict[str, str]:
    """Return the authors' tensor names (spec 1) by ours, for the configuration they released.

    Raises:
        CheckpointError: the configuration is an ablation whose weights were never released.
    """
    wanted = {"memory": "dual", "local": True, "uncertainty": True}
    other = [f"{name}={str(value).lower()}" for name, value in wanted.items() if getattr(config, name) != value]
    if other:
        raise CheckpointError(f"released checkpoints are of the final model; set {', '.join(other)} to import one")
    names = {"abnormal_memory.slots": "Amemory.memory_block", "normal_memory.slots": "Nmemory.memory_block"}
    modules = {
        "embedding.convolution": "embedding.conv_1.0",
        "mean": "encoder_mu.0",
        "log_variance": "encoder_var.0",
        "classifier.hidden": "cls_head.mlp.0",
        "classifier.output": "cls_head.mlp.2",
    }
    for i in range(config.layers):
        ours, theirs = f"transformer.layers.{i}", f"selfatt.layers.{i}"
        names[f"{ours}.attention.inputs.weight"] = f"{theirs}.0.fn.to_qkv.weight"
        modules[f"{ours}.norm_attention"] = f"{theirs}.0.norm"
        modules[f"{ours}.attention.output"] = f"{theirs}.0.fn.to_out.0"
        modules[f"{ours}.norm_mlp"] = f"{theirs}.1.norm"
        modules[f"{ours}.widen"] = f"{theirs}.1.fn.net.0"
        modules[f"{ours}.narrow"] = f"{theirs}.1.fn.net.3"
    for ours, theirs in modules.items():
        names |= {f"{ours}.{leaf}": f"{theirs}.{leaf}" for leaf in ("weight", "bias")}
    return names


def to_ours(state: Mapping[str, Tensor], own: Mapping[str, Tensor], config: UrDmuConfig) -> dict[str, Tensor]:
    """Return the authors' tensors under our names.

    A checkpoint shows neither the number of heads nor the crops and data that it was trained with.

    Args:
        state: the authors' ``state_dict``.
        own: the method's ``state_dict``, for its shapes.

    Raises:
        CheckpointError: keys or shapes differ.
    """
    names = reference_names(config)
    if wrong := mismatches(state, {key: own[name].shape for name, key in names.items()}):
        raise CheckpointError(f"not a checkpoint of this UR-DMU configuration: {listed(wrong, 5, '; ')}")
    return {name: state[key] for name, key in names.items()}
