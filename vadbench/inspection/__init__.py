"""What is there of a data set, held against what should be: the report behind ``vadbench data check``."""

from vadbench.inspection.checking import inspect
from vadbench.inspection.report import MEANINGS, Problem, Report

__all__ = ["MEANINGS", "Problem", "Report", "inspect"]
