"""Reports on the files of a data set and on features: behind ``vadbench data check`` and ``vadbench features``."""

from vadbench.inspect.findings import MEANINGS, Problem, Report
from vadbench.inspect.inspection import inspect

__all__ = ["MEANINGS", "Problem", "Report", "inspect"]
