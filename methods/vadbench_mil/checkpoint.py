"""Import of the authors' weights of RTFM and CLIP-TSA: names of keys and checks of shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from vadbench.base.errors import CheckpointError, listed
from vadbench.base.files import mismatches
from vadbench_mil.config import ClipTsaConfig, MagnitudeConfig
from vadbench_mil.selection import RATE_UNITS

FRONT_UNITS = 1024
"""Units of the hidden layer that narrows CLIP-TSA's rows."""
_AFFINE = ("weight", "bias")
_NORM = (*_AFFINE, "running_mean", "running_var", "num_batches_tracked")
_LEAVES: Mapping[str, tuple[str, Sequence[str]]] = {
    **{f"temporal.dilated.{i}.convolution": (f"Aggregate.conv_{i + 1}.0", _AFFINE) for i in range(3)},
    **{f"temporal.dilated.{i}.norm": (f"Aggregate.conv_{i + 1}.2", _NORM) for i in range(3)},
    "temporal.reduce": ("Aggregate.conv_4.0", ("weight",)),
    "temporal.fuse.convolution": ("Aggregate.conv_5.0", ("weight",)),
    "temporal.fuse.norm": ("Aggregate.conv_5.2", _NORM),
    "temporal.non_local.value": ("Aggregate.non_local.g", _AFFINE),
    "temporal.non_local.query": ("Aggregate.non_local.theta", _AFFINE),
    "temporal.non_local.key": ("Aggregate.non_local.phi", _AFFINE),
    "temporal.non_local.restore": ("Aggregate.non_local.W.0", _AFFINE),
    "temporal.non_local.norm": ("Aggregate.non_local.W.1", _NORM),
    "head.first": ("fc1", _AFFINE),
    "head.second": ("fc2", _AFFINE),
    "head.last": ("fc3", _AFFINE),
}
"""The authors' modules by ours, with the tensors of each (spec of RTFM, 1.3)."""

_SELECTION = {
    "selection.rate.0": ("hard_attention.scorer.fc1", _AFFINE),
    "selection.rate.2": ("hard_attention.scorer.fc2", _AFFINE),
}
_FRONT = {"front.0": ("mlp.fc1", _AFFINE), "front.2": ("mlp.fc2", _AFFINE)}
"""What CLIP-TSA's network has besides (spec of CLIP-TSA, 2)."""


def rtfm_names(config: MagnitudeConfig) -> dict[str, str]:
    """Return the authors' tensor names by ours, for the network that they released.

    Raises:
        CheckpointError: the settings are of an ablation, whose weights were never released.
    """
    if config.branches != "both":
        raise CheckpointError(f"released checkpoints have both branches, found branches={config.branches}; set 'both'")
    return _by_ours(_LEAVES)


def cliptsa_names(config: ClipTsaConfig, *, front: bool) -> dict[str, str]:
    """Return the authors' tensor names of CLIP-TSA by ours.

    Args:
        config: settings.
        front: whether rows are narrowed first.

    Raises:
        CheckpointError: the settings are of an ablation, whose weights were never released.
    """
    selection = _SELECTION if config.selection.enabled else {}
    return rtfm_names(config) | _by_ours({**selection, **(_FRONT if front else {})})


def unread_shapes(names: Mapping[str, str], dim: int, width: int, narrow: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of what is in every checkpoint of CLIP-TSA and has no place under the settings.

    Args:
        names: of :func:`cliptsa_names`.
        dim: width of a row.
        width: width of the network's rows.
        narrow: width that the layers in front would narrow them to.
    """
    shapes: dict[str, tuple[int, ...]] = {
        "hard_attention.scorer.fc1.weight": (RATE_UNITS, width),
        "hard_attention.scorer.fc1.bias": (RATE_UNITS,),
        "hard_attention.scorer.fc2.weight": (1, RATE_UNITS),
        "hard_attention.scorer.fc2.bias": (1,),
        "mlp.fc1.weight": (FRONT_UNITS, dim),
        "mlp.fc1.bias": (FRONT_UNITS,),
        "mlp.fc2.weight": (narrow, FRONT_UNITS),
        "mlp.fc2.bias": (narrow,),
    }
    return {theirs: shape for theirs, shape in shapes.items() if theirs not in names.values()}


def _by_ours(modules: Mapping[str, tuple[str, Sequence[str]]]) -> dict[str, str]:
    return {f"{ours}.{leaf}": f"{theirs}.{leaf}" for ours, (theirs, leaves) in modules.items() for leaf in leaves}


def to_ours(
    state: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    names: Mapping[str, str],
    unread: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, Tensor]:
    """Return the authors' tensors under our names.

    Args:
        state: the authors' ``state_dict``.
        own: the method's ``state_dict``, for its shapes.
        names: the authors' names by ours.
        unread: shapes by the authors' name of tensors that are in a checkpoint and that the method has no use for.

    Raises:
        CheckpointError: keys or shapes differ; lists them.
    """
    shapes = {theirs: _as_theirs(own[ours]).shape for ours, theirs in names.items()} | dict(unread or {})
    if wrong := mismatches(state, shapes):
        raise CheckpointError(f"not a checkpoint of this configuration: {listed(wrong, 5, '; ')}")
    return {ours: as_ours(state[theirs]) for ours, theirs in names.items()}


def as_ours(tensor: Tensor) -> Tensor:
    """Return a tensor as it is, or the weights of a convolution, ``(outputs, inputs, kernel)``, with the kernel
    first."""
    return tensor.permute(2, 0, 1) if tensor.ndim == 3 else tensor


def _as_theirs(tensor: Tensor) -> Tensor:
    return tensor.permute(1, 2, 0) if tensor.ndim == 3 else tensor
