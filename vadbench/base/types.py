"""Types that every stage shares."""

from __future__ import annotations

from typing import Literal, Protocol


class Progress(Protocol):
    """A report of how far a long stage is: ``stage`` in words, ``done`` of ``total`` items, and any remark."""

    def __call__(self, stage: str, done: int, total: int, detail: str = "") -> None: ...


def silent(stage: str, done: int, total: int, detail: str = "") -> None:
    """Show nothing; a :class:`Progress`."""


Arithmetic = Literal["fp32", "tf32", "bf16", "fp16"]
"""Precision in which CLIP encodes; tf32 differs from fp32 on a GPU alone."""
