"""vadbench: compare CLIP-based video anomaly detection methods under one harness."""

from __future__ import annotations

from importlib import import_module
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
    "compare",
    "evaluate",
    "hookimpl",
    "leaderboard",
    "load",
    "run",
    "runs",
    "score",
]

if TYPE_CHECKING:
    from vadbench.harness.array_evaluation import evaluate
    from vadbench.notebook.compared_runs import compare, leaderboard
    from vadbench.notebook.finished_run import load
    from vadbench.notebook.own_videos import score
    from vadbench.notebook.runs import run, runs

_PLACES = {
    "compare": "vadbench.notebook.compared_runs",
    "evaluate": "vadbench.harness.array_evaluation",
    "leaderboard": "vadbench.notebook.compared_runs",
    "load": "vadbench.notebook.finished_run",
    "run": "vadbench.notebook.runs",
    "runs": "vadbench.notebook.runs",
    "score": "vadbench.notebook.own_videos",
}


def __getattr__(name: str) -> Any:
    """Import a function of the Python interface when it is first used: a plugin imports this package as well."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'vadbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
