"""The arithmetic of a block of torch code: TF32 or not, and deterministic algorithms."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from vadbench.base.errors import PluginError

if TYPE_CHECKING:
    import torch

_REFUSED = " does not have a deterministic implementation"
"""What follows the name of an operation in torch's error about it."""


@contextmanager
def arithmetic(precision: str, device: torch.device, deterministic: bool = False) -> Iterator[None]:
    """State how torch computes within the block, and restore what the caller had set, after an exception as well.

    The settings are the process's, so the backward pass has them too, in whatever thread it runs. Blocks may be nested.

    Args:
        precision: ``"tf32"`` rounds the operands of float32 matrix products and convolutions to TF32 on a GPU; under
            any other they are computed in float32, also on a GPU that would use TF32 by default. A CPU always computes
            in float32.
        device: where the block computes.
        deterministic: whether a GPU may use deterministic algorithms only. Changes nothing on a CPU.

    Raises:
        PluginError: an operation of a deterministic block has no deterministic algorithm on a GPU; names it.
    """
    import torch

    on_gpu = device.type == "cuda"
    cudnn = torch.backends.cudnn
    with ExitStack() as restoring:
        for name, value in (("enabled", True), ("benchmark", False), ("deterministic", True)):
            restoring.callback(setattr, cudnn, name, getattr(cudnn, name))
            setattr(cudnn, name, value)
        restoring.callback(_state_tf32(precision == "tf32" and on_gpu))
        if deterministic and on_gpu:
            restoring.callback(_require_determinism())
        try:
            yield
        except RuntimeError as error:
            operation, refused, _ = str(error).partition(_REFUSED)
            if not (deterministic and on_gpu and refused):
                raise
            raise PluginError(
                f"{operation} has no deterministic algorithm on a GPU; use another operation in the method, or give up"
                " equal bits on a GPU with --set recipe.deterministic=false"
            ) from error


def fix_workspace() -> None:
    """Give cuBLAS the workspace with which its products are deterministic, unless the caller's environment names one.

    Must come before the first product on a GPU, because cuBLAS reads it once in a process.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def _require_determinism() -> Callable[[], None]:
    """Let torch use deterministic algorithms alone, and return a function that restores what was set before."""
    import torch

    fix_workspace()
    memory: Any = torch.utils.deterministic
    enabled, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fills = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    # It would fill every new tensor, which costs a kernel each and only helps to find code that reads unset memory.
    memory.fill_uninitialized_memory = False

    def restore() -> None:
        torch.use_deterministic_algorithms(enabled, warn_only=warns)
        memory.fill_uninitialized_memory = fills

    return restore


def _state_tf32(tf32: bool) -> Callable[[], None]:
    """Switch TF32 on or off everywhere, and return a function that restores what was set before.

    Torch has two interfaces for it: one setting for all matrix products and one for all convolutions, which it calls
    the older, and one setting for each kind of operation of each backend. It raises when the older is read while it
    disagrees with the newer, as after a use of the newer. So the newer is read; and both are stated, in agreement,
    because code within the block may read either (``torch.backends.cudnn.flags`` reads the older).
    """
    import torch

    backends: Any = torch.backends  # torch's own types lack some of these
    products, convolutions, recurrent = backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn
    # Each with what it follows as long as nothing is set for it.
    cuda = [(backends.cudnn, backends), *((p, backends.cudnn) for p in (products, convolutions, recurrent))]
    cpu = [(getattr(backends.mkldnn, name), backends.mkldnn) for name in ("matmul", "conv", "rnn")]
    places = [place for place, _ in (*cuda, *cpu)]
    newer_before = [_own(place, parent) for place, parent in (*cuda, *cpu)]
    older_convolutions = convolutions.fp32_precision == "tf32"
    # With these two the older setting of matrix products can be read whatever was set before.
    products.fp32_precision = backends.mkldnn.matmul.fp32_precision = "ieee"
    older_products = torch.get_float32_matmul_precision()

    def state(of_products: str, of_convolutions: bool, newer: list[str]) -> None:
        # The older settings write to the newer, which therefore come after them.
        torch.set_float32_matmul_precision(of_products)
        backends.cudnn.allow_tf32 = of_convolutions
        for place, value in zip(places, newer, strict=True):
            place.fp32_precision = value

    state("high" if tf32 else "highest", tf32, ["tf32" if tf32 else "ieee"] * len(cuda) + ["ieee"] * len(cpu))
    return lambda: state(older_products, older_convolutions, newer_before)


def _own(place: Any, parent: Any) -> str:
    """Return the precision that was set at a place, ``"none"`` where it follows its parent."""
    found: str = place.fp32_precision
    return "none" if found == parent.fp32_precision else found
