"""vadbench: compare CLIP-based video anomaly detection methods under one harness."""

from vadbench.plugins.hookspecs import BenchmarkSpec, DatasetSpec, MethodSpec, hookimpl

__version__ = "0.1.0"
__all__ = ["BenchmarkSpec", "DatasetSpec", "MethodSpec", "__version__", "hookimpl"]
