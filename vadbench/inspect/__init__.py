"""Reports on data set files, ground truths and features, for ``vadbench data`` and ``vadbench features``."""

from vadbench.inspect.findings import MEANINGS, Problem, Report
from vadbench.inspect.inspection import inspect

__all__ = ["MEANINGS", "Problem", "Report", "inspect"]
