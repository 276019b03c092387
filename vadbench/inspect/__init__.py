"""Reports on data set files and on features, for ``vadbench data check`` and ``vadbench features``."""

from vadbench.inspect.findings import MEANINGS, Problem, Report
from vadbench.inspect.inspection import inspect

__all__ = ["MEANINGS", "Problem", "Report", "inspect"]
