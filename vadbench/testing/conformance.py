"""Conformance checks, their results, and the report on many of them."""

from __future__ import annotations

import importlib
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest import SkipTest

from vadbench.base.errors import VadbenchError, one_line

CheckStatus = Literal["passed", "FAILED", "known", "skipped"]
CheckTable = Mapping[str, tuple[str, str]]
"""Map from the name of a check to the module of ``vadbench.testing`` with its function, and a description."""


class Failure(AssertionError):
    """Raised if a check failed, with what was found and how to fix it."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(f"{found}; {fix}")
        self.found = found


class NotCheckedWarning(UserWarning):
    """Warning about checks that were skipped, or that failed as declared by their author."""


@dataclass(frozen=True)
class CheckResult:
    """Result of one check.

    Args:
        name: name of the check.
        status: ``known`` is a failure that the plugin's author declared; it is never counted as passed.
        found: what was found, and after a failure how to fix it.
    """

    name: str
    status: CheckStatus
    found: str


@dataclass(frozen=True)
class Check:
    """Requirement on every plugin; calling it runs it as a test, ``str`` of it is its name.

    Args:
        name: short and stable name, as in ``--only`` and ``known_failures``.
        about: the requirement, in a line.
        look: returns what was found; raises :class:`Failure`, or ``SkipTest`` if there is nothing to check.
        known: reasons by the name of a check, for failures that the plugin's author declared.
    """

    name: str
    about: str
    look: Callable[[], str]
    known: Callable[[], Mapping[str, str]] = dict

    def __str__(self) -> str:
        return self.name

    def __call__(self) -> None:
        """Run the check as a test.

        Raises:
            AssertionError: it failed, or passed although it is declared a known failure.
            SkipTest: it was skipped, or failed as declared; pytest shows the latter as an expected failure (``xfail``).
        """
        result = self.result()
        # Only there under pytest, which the package does without.
        if result.status == "known" and (pytest := sys.modules.get("pytest")):
            pytest.xfail(result.found)
        if result.status == "FAILED":
            raise AssertionError(result.found)
        if result.status != "passed":
            raise SkipTest(result.found)

    def result(self) -> CheckResult:
        """Run the check.

        Raises:
            PluginError: the plugin's class cannot be imported.
        """
        reason = self.known().get(self.name)
        try:
            found = self.look()
        except SkipTest as skipped:
            return CheckResult(self.name, "skipped", str(skipped))
        except Failure as failure:
            if reason is not None:
                return CheckResult(self.name, "known", f"known: {reason} (now: {failure.found})")
            return CheckResult(self.name, "FAILED", str(failure))
        # A plugin may raise anything, even SystemExit; the other checks must still run.
        except (Exception, SystemExit) as error:
            return CheckResult(self.name, "FAILED", crashed(error))
        if reason is not None:
            return CheckResult(self.name, "FAILED", f"{found}: it passes; remove it from known_failures")
        return CheckResult(self.name, "passed", found)


def checks_of(
    table: CheckTable, subject: Callable[[], Any], known: Callable[[], Mapping[str, str]] = dict
) -> list[Check]:
    """Return the checks of a table, each a function of the result of ``subject``, made when the first check runs."""

    def bound(name: str, module: str) -> Callable[[], str]:
        def look() -> str:
            function = getattr(importlib.import_module(f"vadbench.testing.{module}"), name.replace("-", "_"))
            found: str = function(subject())
            return found

        return look

    return [Check(name, about, bound(name, module), known) for name, (module, about) in table.items()]


def require(holds: bool, found: str, fix: str) -> None:
    """Raise if a requirement is not met.

    Raises:
        Failure: ``holds`` is false.
    """
    if not holds:
        raise Failure(found, fix)


def crashed(error: Exception | SystemExit) -> str:
    """Return a line on an exception in a plugin: what was raised, where, and why it matters."""
    if isinstance(error, VadbenchError):
        return one_line(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    what = one_line(f"{type(error).__name__}: {error}")
    return f"raised {what} ({Path(last.filename).name}, line {last.lineno}); fix it, a run makes the same calls"


def judge(what: str, checks: Sequence[Check]) -> None:
    """Run all checks.

    Raises:
        AssertionError: lists every check that failed.
    """
    results = [check.result() for check in checks]
    if others := [r for r in results if r.status in ("known", "skipped")]:
        lines = "\n".join(f"  {r.name}: {r.found}" for r in others)
        warnings.warn(f"{what} was not checked in full:\n{lines}", NotCheckedWarning, stacklevel=3)
    if failed := [r for r in results if r.status == "FAILED"]:
        lines = "\n".join(f"  {r.name}: {r.found}" for r in failed)
        raise AssertionError(f"{what} fails {len(failed)} of {len(results)} checks:\n{lines}")
