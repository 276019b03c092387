"""Conformance checks of methods and data sets, in the spirit of scikit-learn's ``check_estimator``.

All at once, or each as a test of its own::

    from vadbench.testing import check_method, method_checks

    def test_my_method():
        check_method("mine")

    @pytest.mark.parametrize("check", method_checks("mine"), ids=str)
    def test_contract(check):
        check()

Every check says what it found and how to fix it. A method that cannot pass one says so, and why, in
:attr:`vadbench.method.Method.known_failures`. On the command line: ``vadbench check method NAME``.

Importing this module and collecting the tests is cheap; the imports of a check happen when it runs.
"""

from vadbench.testing.catalogue import check_dataset, check_method, dataset_checks, method_checks
from vadbench.testing.conformance import Check, CheckResult, NotCheckedWarning

__all__ = [
    "Check",
    "CheckResult",
    "NotCheckedWarning",
    "check_dataset",
    "check_method",
    "dataset_checks",
    "method_checks",
]
