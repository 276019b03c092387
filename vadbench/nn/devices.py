"""What depends on the device that a method is on: how a tensor gets there, and how much of a batch fits."""

from __future__ import annotations

import torch
from torch import Tensor

_SHARE = 0.8
"""Share of a GPU's free memory that the activations of a part may take; the rest is for gradients and the allocator."""


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU on a device, without making the processor wait for the copy."""
    if device.type != "cuda":
        return tensor.to(device)
    # From memory that may be paged out the copy would have to be waited for.
    return tensor.pin_memory().to(device, non_blocking=True)


def part_count(rows: int, rows_in_part: int, bytes_of_row: int, device: torch.device) -> int:
    """Return in how many parts a batch is trained on.

    On a GPU it is one, unless the memory that is free there is too small for the activations of the whole batch. Sums
    over parts are rounded differently from those over the whole: ask once in a training.

    Args:
        rows: of the batch.
        rows_in_part: most rows of a part on a CPU.
        bytes_of_row: memory that the activations of a row take, those that are kept for the backward pass included.
        device: of the method.
    """
    if device.type == "cpu":
        return -(-rows // rows_in_part)
    if device.type != "cuda" or torch.compiler.is_compiling():
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    # Memory that torch holds and does not use is free too.
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(1, -(-rows * bytes_of_row // max(1, int(_SHARE * free))))
