"""Types that every stage shares."""

from __future__ import annotations

from typing import Literal, Protocol


class Progress(Protocol):
    """Reports how far a long stage is: ``stage`` in words, ``done`` of ``total`` items, and what else can be told."""

    def __call__(self, stage: str, done: int, total: int, detail: str = "") -> None: ...


def silent(stage: str, done: int, total: int, detail: str = "") -> None:
    """A :class:`Progress` that shows nothing."""


Arithmetic = Literal["fp32", "bf16", "fp16"]
"""Precision in which CLIP encodes."""
