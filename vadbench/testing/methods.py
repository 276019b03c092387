"""The checks of a method."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vadbench.base.types import Progress, silent
from vadbench.plugins.registry import Registry, installed
from vadbench.testing.check import Check, CheckTable, checks_of, judge

if TYPE_CHECKING:
    from vadbench.method import Method
    from vadbench.testing.tested_method import TestedMethod

METHOD_CHECKS: CheckTable = {
    "settings": ("conduct", "every setting has a description, and the defaults of every data set are valid"),
    "shapes": ("scores", "a finite score a row, within 0 and 1 where there are probabilities, for any number of rows"),
    "probabilities": ("scores", "class probabilities sum to one, with the normal class in its place"),
    "together": ("scores", "no score depends on the order of videos or on which are scored together"),
    "reach": ("scores", "a long video scored in windows of the reach that is declared has the scores of the whole"),
    "float16": ("scores", "features stored in float16 hardly change a score"),
    "memory": ("scores", "nothing is kept of the videos that were scored"),
    "gradients": ("weights", "the loss is finite and reaches every trainable parameter"),
    "seeds": ("weights", "the same seed gives the same weights"),
    "checkpoint": ("weights", "tensors alone bring back weights and scores, bit for bit"),
    "network": ("conduct", "nothing is fetched from a network"),
    "blind": ("learning", "neither annotations nor files of the data set are looked at"),
    "learns": ("learning", "it beats random scores on synthetic"),
    "leak": ("learning", "with shuffled labels it learns nothing on synthetic"),
}


def method_checks(
    method: str | type[Method], plugins: Sequence[Path | str] = (), progress: Progress = silent
) -> list[Check]:
    """The checks of a method, for ``@pytest.mark.parametrize("check", method_checks("mine"), ids=str)``.

    They share what they need, such as a training on ``synthetic``; the first that needs it makes it. All of them take
    seconds for a small method, less than two minutes for the slowest built-in one.

    Args:
        method: its name, or its class. What it is checked with are its own settings for the data set ``synthetic``,
            those of ``dataset_defaults`` or else its defaults.
        plugins: files of plugins that are not installed, as ``--plugin``.
        progress: told how far a long check is.

    Raises:
        UnknownNameError: nobody registered the name.
    """
    registry = Registry(files=[Path(p) for p in plugins]) if plugins else installed()
    if isinstance(method, str):
        registry.spec("method", method)

    @cache
    def subject() -> TestedMethod:
        from vadbench.testing.tested_method import TestedMethod

        return TestedMethod(method, registry, progress)

    return checks_of(METHOD_CHECKS, subject, lambda: subject().kind.known_failures)


def check_method(method: str | type[Method], *, plugins: Sequence[Path | str] = ()) -> None:
    """Run every check on a method, given by its name or as a class.

    Warns (:class:`vadbench.testing.NotCheckedWarning`) of checks that were skipped and of known failures.

    Raises:
        AssertionError: lists every check that failed, with what was found and how to mend it.
        UnknownNameError: nobody registered the name.
        PluginError: the class cannot be imported.
    """
    name = method if isinstance(method, str) else method.__name__
    judge(f"method '{name}'", method_checks(method, plugins))
