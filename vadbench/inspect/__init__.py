"""Reports on data set files, ground truths and features, for ``vadbench data`` and ``vadbench features``."""

from vadbench.inspect.findings import MEANINGS, Problem, Report
from vadbench.inspect.inspection import inspect
from vadbench.inspect.truth_export import export_truth

__all__ = ["MEANINGS", "Problem", "Report", "export_truth", "inspect"]
