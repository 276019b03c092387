"""A check, what came of it, and what is said about many of them."""

from __future__ import annotations

import importlib
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
"""Name of a check to the module of ``vadbench.testing`` that has it, as a function of that name, and what it asks."""


class Failure(AssertionError):
    """A check failed: what was found, and how to mend it."""

    def __init__(self, found: str, mend: str) -> None:
        super().__init__(f"{found}; {mend}")
        self.found = found


class NotCheckedWarning(UserWarning):
    """Some checks were skipped, or failed as their author said they would."""


@dataclass(frozen=True)
class CheckResult:
    """What came of one check.

    Args:
        name: of the check.
        status: ``known`` is a failure that the plugin's author declared; it is never counted as passed.
        found: what was found, and after a failure how to mend it.
    """

    name: str
    status: CheckStatus
    found: str


@dataclass(frozen=True)
class Check:
    """One thing that every plugin must hold; calling it is a test, ``str`` of it is its name.

    Args:
        name: short and stable, what ``--only`` and ``known_failures`` take.
        about: what it asks, in a line.
        look: returns what was found; raises :class:`Failure`, or ``SkipTest`` where there is nothing to check.
        known: reasons by the name of a check, for those that the plugin's author knows to fail.
    """

    name: str
    about: str
    look: Callable[[], str]
    known: Callable[[], Mapping[str, str]] = dict

    def __str__(self) -> str:
        return self.name

    def __call__(self) -> None:
        """Run it as a test.

        Raises:
            AssertionError: it failed, or passed although it is declared a known failure.
            SkipTest: it was skipped, or failed as declared; pytest and unittest show the reason.
        """
        result = self.result()
        if result.status == "FAILED":
            raise AssertionError(result.found)
        if result.status != "passed":
            raise SkipTest(result.found)

    def result(self) -> CheckResult:
        """Run it.

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
        # A plugin may raise anything, or leave; the other checks must still run.
        except (Exception, SystemExit) as error:
            return CheckResult(self.name, "FAILED", crashed(error))
        if reason is not None:
            return CheckResult(self.name, "FAILED", f"{found}: it passes; take it out of known_failures")
        return CheckResult(self.name, "passed", found)


def checks_of(
    table: CheckTable, subject: Callable[[], Any], known: Callable[[], Mapping[str, str]] = dict
) -> list[Check]:
    """The checks of a table, each a function of what ``subject`` gives, made when the first check runs."""

    def bound(name: str, module: str) -> Callable[[], str]:
        def look() -> str:
            function = getattr(importlib.import_module(f"vadbench.testing.{module}"), name.replace("-", "_"))
            found: str = function(subject())
            return found

        return look

    return [Check(name, about, bound(name, module), known) for name, (module, about) in table.items()]


def require(holds: bool, found: str, mend: str) -> None:
    """Raise if something that must hold does not.

    Raises:
        Failure: it does not hold.
    """
    if not holds:
        raise Failure(found, mend)


def crashed(error: Exception | SystemExit) -> str:
    """An exception out of a plugin in one line: what, where, why it matters."""
    if isinstance(error, VadbenchError):
        return one_line(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    what = one_line(f"{type(error).__name__}: {error}")
    return f"raised {what} ({Path(last.filename).name}, line {last.lineno}); mend it, a run makes the same calls"


def judge(what: str, checks: Sequence[Check]) -> None:
    """Run all checks.

    Raises:
        AssertionError: lists every one that failed.
    """
    results = [check.result() for check in checks]
    if others := [r for r in results if r.status in ("known", "skipped")]:
        lines = "\n".join(f"  {r.name}: {r.found}" for r in others)
        warnings.warn(f"{what} was not checked in full:\n{lines}", NotCheckedWarning, stacklevel=3)
    if failed := [r for r in results if r.status == "FAILED"]:
        lines = "\n".join(f"  {r.name}: {r.found}" for r in failed)
        raise AssertionError(f"{what} fails {len(failed)} of {len(results)} checks:\n{lines}")
