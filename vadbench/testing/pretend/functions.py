"""Functions of torch that ask the driver, as they are on a pretended device: attention, cross-entropy, streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vadbench.testing.pretend import operations
from vadbench.testing.pretend.tensors import PretendedTensor, values_of
from vadbench.testing.pretend.world import DeviceMixError, World, calling_line, current, is_pinned, pin

_attention_of_the_cpu: Any = F.scaled_dot_product_attention
_cross_entropy_of_the_cpu = F.binary_cross_entropy


class _Attention(torch.autograd.Function):
    """Scaled dot products as one operation, as a GPU has them; torch would ask the driver which kernel to take."""

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any, mask: Any, settings: dict[str, Any]) -> Any:
        world = current()
        assert world is not None
        ctx.save_for_backward(query, key, value, *(() if mask is None else (mask,)))
        ctx.settings = settings
        world.kernel("scaled_dot_product_attention")
        if world.flavour == "cuda":
            types = operations.float_types([query, key, value]), operations.float_types([value])
            with world.lock:
                world.dtypes["scaled_dot_product_attention", *types] += 1
        bare = [values_of(t) for t in (query, key, value)]
        _count_attention(world, query, key, 1)
        return PretendedTensor(_attention_of_the_cpu(*bare, values_of(mask), **settings))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        world = current()
        assert world is not None
        world.kernel("scaled_dot_product_attention_backward", 3)
        query, key, value, *mask = ctx.saved_tensors
        _count_attention(world, query, key, 2.5)
        with torch.enable_grad():
            bare = [values_of(t).detach().requires_grad_() for t in (query, key, value)]
            out = _attention_of_the_cpu(*bare, values_of(mask[0]) if mask else None, **ctx.settings)
        found = torch.autograd.grad(out, bare, values_of(gradients[0]))
        return *(PretendedTensor(t) for t in found), None, None


def _count_attention(world: World, query: Tensor, key: Tensor, times: float) -> None:
    with world.lock:
        world.flops += times * 4 * query.numel() * key.shape[-2]
        world.traffic += times * 2 * (query.numel() + key.numel()) * query.element_size()


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Return what ``torch.nn.functional.scaled_dot_product_attention`` returns, of tensors of any device.

    Raises:
        DeviceMixError: the tensors are of two devices.
        RuntimeError: they are of several types.
    """
    settings = {"dropout_p": dropout_p, "is_causal": is_causal, "scale": scale}
    given = [query, key, value, *([] if attn_mask is None else [attn_mask])]
    if not any(isinstance(t, PretendedTensor) for t in given):
        return _attention_of_the_cpu(query, key, value, attn_mask=attn_mask, enable_gqa=enable_gqa, **settings)
    if not all(isinstance(t, PretendedTensor) for t in given):
        raise DeviceMixError(f"scaled_dot_product_attention over two devices at {calling_line()}")
    if torch.is_autocast_enabled("cuda"):
        kind = torch.get_autocast_dtype("cuda")
        query, key, value = (t.to(kind) for t in (query, key, value))
    if len({t.dtype for t in (query, key, value)}) > 1:
        raise RuntimeError("Expected query, key, and value to have the same dtype")
    return _Attention.apply(query, key, value, attn_mask, settings)


def cross_entropy(self: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Return what ``torch.nn.functional.binary_cross_entropy`` returns.

    Raises:
        RuntimeError: it is asked for under CUDA's autocast.
    """
    if isinstance(self, PretendedTensor) and torch.is_autocast_enabled("cuda"):
        raise RuntimeError("torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast.")
    return _cross_entropy_of_the_cpu(self, *args, **kwargs)


def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """Return a copy of a tensor that counts as page-locked.

    Raises:
        RuntimeError: it is a tensor of the device.
    """
    if isinstance(self, PretendedTensor):
        raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
    return self if is_pinned(self) else pin(self.clone())


def pinned(self: Tensor, device: Any = None) -> bool:
    """Return True if a tensor counts as page-locked."""
    return not isinstance(self, PretendedTensor) and is_pinned(self)


class PretendedEvent:
    """A mark in the work of the device, which is done as soon as it is asked for."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def record(self, stream: Any = None) -> None:
        """Do nothing: what is marked is done."""

    def wait(self, stream: Any = None) -> None:
        """Do nothing: the device waits, not the processor."""

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        """Count a wait of the processor."""
        _wait("Event.synchronize")

    def elapsed_time(self, other: PretendedEvent) -> float:
        return 0.0


class PretendedStream:
    """A queue of work of the device, which is done as soon as it is asked for."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.device = torch.device("cuda:0")
        self.cuda_stream = 0

    def wait_stream(self, stream: Any) -> None:
        """Do nothing: the device waits, not the processor."""

    def wait_event(self, event: Any) -> None:
        """Do nothing: the device waits, not the processor."""

    def record_event(self, event: PretendedEvent | None = None) -> PretendedEvent:
        return event or PretendedEvent()

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        """Count a wait of the processor."""
        _wait("Stream.synchronize")

    def __enter__(self) -> PretendedStream:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


@contextmanager
def stream(given: Any) -> Iterator[None]:
    """Do nothing: every queue of the pretended device is done at once."""
    yield


def synchronize(device: Any = None) -> None:
    """Count a wait of the processor."""
    _wait("cuda.synchronize")


def _wait(name: str) -> None:
    world = current()
    if world is not None:
        world.event("sync", name)
