"""What is there of a data set, held against what should be: the report behind ``vadbench data check``."""

from vadbench.inspect.findings import MEANINGS, Problem, Report
from vadbench.inspect.inspection import inspect

__all__ = ["MEANINGS", "Problem", "Report", "inspect"]
