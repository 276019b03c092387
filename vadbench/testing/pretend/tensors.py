"""Tensors of a pretended device, and what torch does with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.flop_counter import flop_registry

from vadbench.testing.pretend import operations
from vadbench.testing.pretend.operations import INDEXED, PUT
from vadbench.testing.pretend.world import (
    DeviceMemory,
    DeviceMixError,
    EventKind,
    World,
    calling_line,
    current,
    is_pinned,
    pin,
)

_aten = torch.ops.aten
DEVICE = torch.device("cuda:0")
_CPU = torch.device("cpu")


class PretendedTensor(Tensor):
    """A tensor of the pretended device.

    Args:
        cpu: its values.
        memory: the memory that it shows, if that belongs to another tensor as well.
    """

    _cpu: Tensor
    _memory: DeviceMemory
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls: type[PretendedTensor], cpu: Tensor, memory: DeviceMemory | None = None) -> PretendedTensor:
        made: PretendedTensor = Tensor._make_wrapper_subclass(
            cls,
            cpu.shape,
            strides=cpu.stride(),
            storage_offset=cpu.storage_offset(),
            dtype=cpu.dtype,
            layout=cpu.layout,
            requires_grad=False,
            device=torch.device("meta") if _world().flavour == "meta" else DEVICE,
        )
        return made

    def __init__(self, cpu: Tensor, memory: DeviceMemory | None = None) -> None:
        self._cpu = cpu
        self._memory = memory or DeviceMemory(_world(), cpu.untyped_storage().nbytes())

    device = property(lambda self: DEVICE)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)
    is_meta = property(lambda self: False)

    def get_device(self) -> int:
        return 0

    def numpy(self, *, force: bool = False) -> Any:
        if force:
            return self.detach().cpu().numpy()
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory"
            " first."
        )

    def tolist(self) -> Any:
        _world().event("sync", "tolist")
        return values_of(self.detach()).tolist()

    def record_stream(self, stream: Any) -> None:
        """Do nothing: memory is never used again while a tensor shows it."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copy = PretendedTensor(values_of(self.detach()).clone()).requires_grad_(self.requires_grad)
        if getattr(self, "_is_param", False):
            copy._is_param = True
        memo[id(self)] = copy
        return copy

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"PretendedTensor({tuple(self.shape)}, {self.dtype})"

    # Python's indexing makes tensors of lists on the C++ device, past every mode. On a GPU that is a copy to it.
    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(_placed(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_placed(index), value)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _dispatch(func, args, kwargs or {})


class PretendMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Catches what has no tensor of the device among its inputs: factories, and copies to it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _dispatch(func, args, kwargs or {})


def pretending() -> PretendMode:
    """Return the mode of a thread in which the device is pretended."""
    return PretendMode()  # type: ignore[no-untyped-call]


def values_of(tensor: Any) -> Any:
    """Return the values of a tensor of the device as a tensor of the CPU, and anything else as it is."""
    return tensor._cpu if isinstance(tensor, PretendedTensor) else tensor


def _world() -> World:
    world = current()
    if world is None:
        raise RuntimeError("a tensor of the pretended device outlived it; copy what is needed with .cpu() before")
    return world


def _placed(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_placed(i) for i in index)
    if isinstance(index, list | range):
        made = torch.tensor(list(index))
        _world().event("h2d-pageable", "index with a list", made.nbytes)
        return PretendedTensor(made)
    return index


def _on_device(device: Any) -> bool:
    return device is not None and torch.device(device).type in ("cuda", "meta")


def _dispatch(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    world = current()
    flat, _ = tree_flatten((args, kwargs))
    tensors = [t for t in flat if isinstance(t, Tensor)]
    ours = [t for t in tensors if isinstance(t, PretendedTensor)]
    if world is None or (not ours and not any(isinstance(a, torch.device) and _on_device(a) for a in flat)):
        return _of_the_cpu(func, args, kwargs, world)
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        # Of inference tensors torch hands over operations that it takes apart everywhere else.
        with pretending():
            return func.decompose(*args, **kwargs)
    here = {k: (_CPU if k == "device" and v is not None else v) for k, v in kwargs.items() if k != "pin_memory"}
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type == "cpu":
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
    if func is _aten._to_copy.default:
        return _moved(args[0], kwargs, here, world)
    if func is _aten.copy_.default:
        return _written(args, kwargs, world)
    if theirs := [t for t in tensors if not isinstance(t, PretendedTensor)]:
        _require_mixable(func, args, ours, theirs, world)
    operations.require_deterministic(func, args)
    if operations.waits(func, args):
        world.event("sync", operations.name_of(func))
    out = _computed(func, args, here)
    _count(func, args, here, (tensors, ours), out, world)
    return _dressed(func, out, ours)


def _of_the_cpu(func: Any, args: Any, kwargs: dict[str, Any], world: World | None) -> Any:
    """Do an operation that the device has nothing to do with; page-locked memory needs a driver, so it is noted."""
    if world is None or not kwargs.get("pin_memory"):
        return func(*args, **kwargs)
    return pin(func(*args, **kwargs | {"pin_memory": False}))


def _computed(func: Any, args: Any, here: Mapping[str, Any]) -> Any:
    if func is _aten.cudnn_batch_norm.default:
        # Only CUDA has it; in its place what the CPU has, and the room that cuDNN keeps for the backward pass.
        x, weight, bias, *rest = tree_map(values_of, args)
        found = _aten.native_batch_norm.default(x.float(), weight, bias, *rest)
        return (found[0].to(x.dtype), *found[1:], torch.empty(0, dtype=torch.uint8))
    return func(*tree_map(values_of, args), **tree_map(values_of, here))


def _count(
    func: Any, args: Any, here: Mapping[str, Any], given: tuple[list[Any], list[Any]], out: Any, world: World
) -> None:
    launched = operations.launches(func, args)
    if not launched:
        return
    name, (tensors, ours) = operations.name_of(func), given
    world.kernel(name, launched)
    made = [t for t in tree_flatten(out)[0] if isinstance(t, Tensor)]
    with world.lock:
        world.traffic += sum(t.numel() * t.element_size() for t in [*ours, *made])
        if (packet := getattr(func, "_overloadpacket", None)) in flop_registry:
            bare, named = tree_map(values_of, args), tree_map(values_of, here)
            world.flops += flop_registry[packet](*bare, **named, out_val=out)
        if world.flavour == "cuda":
            world.dtypes[name, operations.float_types(tensors), operations.float_types(made)] += 1


def _dressed(func: Any, out: Any, ours: Sequence[PretendedTensor]) -> Any:
    """Return outputs as tensors of the device: inputs that come back as they are, and views with their memory."""
    # By storage, so that an output which shows an input's memory keeps that memory alive and no other.
    known = {t._cpu.untyped_storage()._cdata: t._memory for t in ours}
    back = {id(t._cpu): t for t in ours}
    # As torch has it: what is made in inference mode belongs to it, but a view is what its base is.
    of_base = operations.is_view(func) and bool(ours)
    inference = ours[0].is_inference() if of_base else torch.is_inference_mode_enabled()

    def dress(t: Any) -> Any:
        if not isinstance(t, Tensor):
            return t
        if id(t) in back:
            return back[id(t)]
        with torch.inference_mode(inference):
            return PretendedTensor(t, known.get(t.untyped_storage()._cdata))

    return tree_map(dress, out)


def _moved(source: Tensor, kwargs: Mapping[str, Any], here: Mapping[str, Any], world: World) -> Tensor:
    """Return a copy of a tensor on another device or of another type."""
    device, lazily = kwargs.get("device"), bool(kwargs.get("non_blocking"))
    arguments = {k: v for k, v in here.items() if k not in ("device", "non_blocking")}
    out: Tensor = _aten._to_copy.default(values_of(source), **arguments)
    ours = isinstance(source, PretendedTensor)
    if _on_device(device) or (device is None and ours):
        if ours:
            world.kernel("_to_copy")
        else:
            world.event(_there(source, lazily), "to", source.nbytes)
        return PretendedTensor(out)
    # As torch has it: a copy to the CPU that is not waited for goes to page-locked memory.
    world.event("d2h-pinned" if lazily else "d2h", "to", out.nbytes)
    return pin(out) if lazily else out


def _written(args: Sequence[Any], kwargs: Mapping[str, Any], world: World) -> Tensor:
    """Write one tensor into another."""
    target, source = args[0], args[1]
    lazily = bool(args[2] if len(args) > 2 else kwargs.get("non_blocking"))
    values_of(target).copy_(values_of(source))
    if isinstance(target, PretendedTensor) and isinstance(source, PretendedTensor):
        world.kernel("copy_")
    elif isinstance(target, PretendedTensor):
        world.event(_there(source, lazily), "copy_", source.nbytes)
    else:
        world.event("d2h-pinned" if lazily and is_pinned(target) else "d2h", "copy_", target.nbytes)
    return target  # type: ignore[no-any-return]


def _there(source: Tensor, lazily: bool) -> EventKind:
    return "h2d-pinned" if lazily and is_pinned(source) else "h2d-pageable"


def _require_mixable(func: Any, args: Any, ours: Sequence[Any], theirs: Sequence[Tensor], world: World) -> None:
    name = operations.name_of(func)
    if func in INDEXED or func in PUT:
        if not isinstance(args[0], PretendedTensor):
            raise DeviceMixError(
                "indices should be either on cpu or on the same device as the indexed tensor (cpu):"
                f" aten::{name} at {calling_line()}"
            )
        if indices := [i for i in args[1] if i is not None and not isinstance(i, PretendedTensor)]:
            world.event("h2d-pageable", f"{name} with indices on the CPU", sum(i.nbytes for i in indices))
        if func in PUT and not isinstance(args[2], PretendedTensor) and args[2].dim():
            raise DeviceMixError(f"aten::{name}: self on cuda:0, values on cpu at {calling_line()}")
        return
    scalars = all(t.dim() == 0 for t in theirs)
    first = args[0] if args else None
    written = isinstance(first, Tensor) and not isinstance(first, PretendedTensor) and name.endswith("_")
    pointwise = torch.Tag.pointwise in func.tags or name in ("masked_fill", "masked_fill_", "where")
    if scalars and pointwise and not written:
        return
    shapes = ", ".join(f"{tuple(t.shape)} {t.dtype}" for t in theirs)
    raise DeviceMixError(
        "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu:"
        f" aten::{name} with {shapes} on the CPU at {calling_line()}"
    )
