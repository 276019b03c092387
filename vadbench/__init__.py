"""vadbench: compare CLIP-based video anomaly detection methods under one harness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vadbench.plugins.hookspecs import BenchmarkSpec, CommandSpec, DatasetSpec, MethodSpec, ProtocolSpec, hookimpl

__version__ = "0.1.0"
__all__ = [
    "BenchmarkSpec",
    "CommandSpec",
    "DatasetSpec",
    "MethodSpec",
    "ProtocolSpec",
    "__version__",
    "evaluate",
    "hookimpl",
]

if TYPE_CHECKING:
    from vadbench.harness.array_evaluation import evaluate


def __getattr__(name: str) -> Any:
    """Import a function of the Python interface when it is first used: a plugin imports this package as well."""
    if name == "evaluate":
        from vadbench.harness.array_evaluation import evaluate

        return evaluate
    raise AttributeError(f"module 'vadbench' has no attribute {name!r}")
