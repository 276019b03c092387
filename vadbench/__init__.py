"""vadbench: compare CLIP-based video anomaly detection methods under one harness."""

from vadbench.plugins.hookspecs import BenchmarkSpec, CommandSpec, DatasetSpec, MethodSpec, ProtocolSpec, hookimpl

__version__ = "0.1.0"
__all__ = ["BenchmarkSpec", "CommandSpec", "DatasetSpec", "MethodSpec", "ProtocolSpec", "__version__", "hookimpl"]
