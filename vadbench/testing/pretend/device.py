"""The context in which a CUDA device is pretended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F

from vadbench.testing.pretend import functions
from vadbench.testing.pretend.tensors import pretending
from vadbench.testing.pretend.world import Flavour, World, current, entered, pin_range, unpin_range

NAME = "Pretended GPU"
"""Name of the device, as in records."""
CAPABILITY = (9, 0)
MEMORY = 80 << 30
"""Bytes that the device has."""


@contextmanager
def pretend(flavour: Flavour = "meta") -> Iterator[World]:
    """Pretend a CUDA device in this process, in this thread and in every one that is started within the block.

    Args:
        flavour: ``meta``, or ``cuda`` for forward passes under CUDA's autocast; see :mod:`vadbench.testing.pretend`.

    Raises:
        RuntimeError: a device is pretended already.
    """
    import torch.amp.autocast_mode
    import torch.cuda.amp.common

    began = threading.Thread.run

    def run(self: threading.Thread) -> None:
        with pretending() if current() is not None else nullcontext():
            began(self)

    with entered(World(flavour)) as world, ExitStack() as stack:
        for name, value in _cuda(world).items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        for module in (torch.amp.autocast_mode, torch.cuda.amp.common):
            if hasattr(module, "amp_definitely_not_available"):
                stack.enter_context(mock.patch.object(module, "amp_definitely_not_available", lambda: False))
        stack.enter_context(mock.patch.object(F, "scaled_dot_product_attention", functions.attention))
        stack.enter_context(mock.patch.object(F, "binary_cross_entropy", functions.cross_entropy))
        stack.enter_context(mock.patch.object(torch.Tensor, "pin_memory", functions.pin_memory))
        stack.enter_context(mock.patch.object(torch.Tensor, "is_pinned", functions.pinned))
        stack.enter_context(mock.patch.object(threading.Thread, "run", run))
        # A guard that says "device 0" instead of asking the driver; torch's own fake tensors use it.
        torch._C._ensureCUDADeviceGuardSet()
        stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        # Module.to() would otherwise lay our tensors into the CPU's parameters, whose type stays that of the CPU.
        future = torch.__future__
        stack.callback(
            future.set_overwrite_module_params_on_conversion, future.get_overwrite_module_params_on_conversion()
        )
        future.set_overwrite_module_params_on_conversion(True)
        stack.enter_context(pretending())
        yield world


def _cuda(world: World) -> dict[str, Any]:
    """Return what ``torch.cuda`` has instead of the functions that ask the driver."""
    stream = functions.PretendedStream()

    def register(start: int, size: int, flags: int = 0) -> int:
        pin_range(start, size)
        return 0

    def unregister(start: int) -> int:
        unpin_range(start)
        return 0

    def forget_peak(device: Any = None) -> None:
        world.peak = world.live

    return {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "device": lambda device: nullcontext(),
        "synchronize": functions.synchronize,
        "get_device_name": lambda *_: NAME,
        "get_device_properties": lambda *_: SimpleNamespace(
            name=NAME, major=CAPABILITY[0], minor=CAPABILITY[1], total_memory=MEMORY, multi_processor_count=132
        ),
        "get_device_capability": lambda *_: CAPABILITY,
        "is_bf16_supported": lambda *_, **__: True,
        "reset_peak_memory_stats": forget_peak,
        "max_memory_allocated": lambda *_: world.peak,
        "max_memory_reserved": lambda *_: world.peak,
        "memory_allocated": lambda *_: world.live,
        "memory_reserved": lambda *_: world.live,
        "mem_get_info": lambda *_: (MEMORY - world.live, MEMORY),
        "empty_cache": lambda: None,
        "manual_seed": lambda seed: None,
        "manual_seed_all": lambda seed: None,
        # Random numbers of the device come from the CPU's generator, whose state is saved beside.
        "get_rng_state": lambda *_: torch.empty(0, dtype=torch.uint8),
        "set_rng_state": lambda *_: None,
        "is_current_stream_capturing": lambda: False,
        "Stream": functions.PretendedStream,
        "Event": functions.PretendedEvent,
        "stream": functions.stream,
        "current_stream": lambda *_: stream,
        "default_stream": lambda *_: stream,
        "cudart": lambda: SimpleNamespace(cudaHostRegister=register, cudaHostUnregister=unregister),
    }
