"""What is known of torch's operations on a GPU: which show memory, which wait, how many kernels they launch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

_aten = torch.ops.aten
_VIEWS = {_aten._unsafe_view.default, _aten.lift_fresh.default, _aten.lift.default, _aten._reshape_alias.default}
_WAITING = {
    _aten._local_scalar_dense.default, _aten.equal.default, _aten.nonzero.default, _aten.masked_select.default,
    _aten._unique2.default, _aten.unique_consecutive.default, _aten.unique_dim.default, _aten.bincount.default,
    _aten.repeat_interleave.Tensor, _aten.is_nonzero.default,
}  # fmt: skip
"""Operations that read values of the device: the shape of the result depends on them, or they are the result."""
INDEXED = {_aten.index.Tensor, _aten._unsafe_index.Tensor}
"""Operations that read the places that other tensors name."""
PUT = {
    _aten.index_put.default, _aten.index_put_.default, _aten._index_put_impl_.default, _aten._unsafe_index_put.default
}  # fmt: skip
"""Operations that write to the places that other tensors name."""
_FREE = {
    "detach", "alias", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_local_scalar_dense"
}  # fmt: skip
_LAUNCHES = {
    "convolution_backward": 3, "native_layer_norm_backward": 3, "native_batch_norm_backward": 2, "topk": 2,
    "sort": 3, "index_put": 3, "_index_put_impl_": 3, "native_batch_norm": 2, "embedding_dense_backward": 3,
    "nonzero": 3, "argsort": 3,
}  # fmt: skip
"""Kernels of operations that launch more than one, as far as known; which ones depends on shapes and versions."""
_PARAMETERS_AT_ONCE = 30
"""Parameters of which one kernel of a fused optimiser takes care, about."""
_NOT_DETERMINISTIC = {
    "nll_loss2d_forward", "nll_loss2d_backward", "histc", "median.dim", "put", "put_", "_ctc_loss_backward",
    "_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward", "adaptive_max_pool2d_backward",
    "avg_pool3d_backward", "fractional_max_pool2d_backward", "fractional_max_pool3d_backward", "max_unpool2d",
    "max_unpool3d", "reflection_pad1d_backward", "reflection_pad2d_backward", "reflection_pad3d_backward",
    "grid_sampler_2d_backward", "grid_sampler_3d_backward", "upsample_linear1d_backward",
    "upsample_bilinear2d_backward", "upsample_bicubic2d_backward", "upsample_trilinear3d_backward",
}  # fmt: skip
"""Operations that raise on a GPU under ``torch.use_deterministic_algorithms``, by the list in its documentation."""


def is_view(func: Any) -> bool:
    """Return True if the outputs of an operation show the memory of its inputs."""
    returns = func._schema.returns
    shows = bool(returns) and all(r.alias_info is not None and not r.alias_info.is_write for r in returns)
    return func in _VIEWS or shows


def name_of(func: Any) -> str:
    """Return the name of an operation, such as ``index_put_``."""
    return str(func._schema.name).removeprefix("aten::")


def waits(func: Any, args: Sequence[Any]) -> bool:
    """Return True if the processor must wait for the device to do an operation."""
    masked = func in INDEXED | PUT and any(i is not None and i.dtype == torch.bool for i in args[1])
    return func in _WAITING or masked


def launches(func: Any, args: Sequence[Any]) -> int:
    """Return the number of kernels of an operation, roughly."""
    name = name_of(func)
    if name in _FREE or is_view(func):
        return 0
    if name.startswith("_fused_adam"):
        return max(1, -(-len(args[0]) // _PARAMETERS_AT_ONCE))
    return _LAUNCHES.get(name, 1)


def require_deterministic(func: Any, args: Sequence[Any]) -> None:
    """Raise if an operation has no deterministic form on a GPU, and torch is told to use no others.

    Raises:
        RuntimeError: so it is.
    """
    if not torch.are_deterministic_algorithms_enabled() or torch.is_deterministic_algorithms_warn_only_enabled():
        return
    name, overload = name_of(func), func._overloadname
    weighted = name == "bincount" and len(args) > 1 and args[1] is not None
    if weighted or name in _NOT_DETERMINISTIC or f"{name}.{overload}" in _NOT_DETERMINISTIC:
        raise RuntimeError(
            f"{name} does not have a deterministic implementation, but you set"
            " 'torch.use_deterministic_algorithms(True)'"
        )


def float_types(tensors: Iterable[torch.Tensor]) -> str:
    """Return the types of the floating-point tensors, as ``float32,bfloat16``."""
    return ",".join(str(t.dtype).removeprefix("torch.") for t in tensors if t.is_floating_point())
