"""The grammar of metric keys, read and written here and nowhere else.

    metric[/measure]...[(branch)][[class]]

such as ``AUC``, ``AUC/within``, ``AUC(align)``, ``AUC[Abuse]`` and ``AUC/within(align)``. Names of metrics and measures
hold neither blanks nor slashes nor brackets; a class comes last and may be called anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_NAME = r"\w[^\s/()\[\]]*"
_BRANCH = r"\w[\w-]*(?: [\w-]+)*"
_KEY = re.compile(rf"({_NAME}(?:/{_NAME})*)(?:\(({_BRANCH})\))?(?:\[(.+)\])?", re.DOTALL)


@dataclass(frozen=True)
class MetricKey:
    """A metric key in its parts; ``str`` gives its spelling, and two keys never share one.

    Args:
        metric: the metric and its measures, with slashes between: ``AUC``, ``AUC/within``.
        branch: of the method's scores; ``None`` for the anomaly score itself.
        of_class: name of the class that is told from the rest; ``None`` where all anomalies are one.

    Raises:
        ValueError: the grammar has no such key.
    """

    metric: str
    branch: str | None = None
    of_class: str | None = None

    def __post_init__(self) -> None:
        found = _KEY.fullmatch(str(self))
        if found is None or found.groups() != (self.metric, self.branch, self.of_class):
            raise ValueError(f"expected metric[/measure](branch)[class], found '{self}'")

    def __str__(self) -> str:
        return _spelt(self.metric, self.branch, self.of_class)

    @classmethod
    def parse(cls, text: str) -> MetricKey:
        """Parse a key into its parts.

        >>> MetricKey.parse("AUC/within(align)[Car (parked)]")
        MetricKey(metric='AUC/within', branch='align', of_class='Car (parked)')

        Raises:
            ValueError: it is no key.
        """
        found = _KEY.fullmatch(text)
        if found is None:
            raise ValueError(f"expected metric[/measure](branch)[class], found '{text}'")
        return cls(*found.groups())


def _spelt(metric: str, branch: str | None, of_class: str | None) -> str:
    return metric + ("" if branch is None else f"({branch})") + ("" if of_class is None else f"[{of_class}]")


def is_branch(name: str) -> bool:
    """Return True if keys can carry a branch name: letters, digits, ``_`` and ``-``, single blanks between them."""
    return re.fullmatch(_BRANCH, name) is not None


def legal_branch(name: str) -> str:
    """Turn a branch name of the first edition, which allowed any, into one that keys can carry.

    >>> legal_branch("align"), legal_branch("text+image (0.5)")
    ('align', 'text-image-0-5')
    """
    return name if is_branch(name) else re.sub(r"[^\w]+", "-", name).strip("-_") or "branch"


def from_first_edition(keys: Iterable[str]) -> dict[str, str]:
    """Return today's spelling of all keys of a record of schema 2, where classes and branches came after a slash.

    ``AUC/x`` belongs to a branch where ``AnoAUC/x`` is there too, else to a class: every branch was measured by AUC, AP
    and AnoAUC, and AnoAUC was never measured by class. Where a branch and a class had one name, the branch's value had
    overwritten the class's, so it is the branch's.

    >>> from_first_edition(["AUC", "AUC/Fire", "AUC/align", "AnoAUC/align"])
    {'AUC': 'AUC', 'AUC/Fire': 'AUC[Fire]', 'AUC/align': 'AUC(align)', 'AnoAUC/align': 'AnoAUC(align)'}
    """
    known = list(keys)
    branches = {name for key in known if (name := key.partition("/")[2]) and key.startswith("AnoAUC/")}
    spelling = {}
    for key in known:
        metric, slash, name = key.partition("/")
        branch = legal_branch(name) if name in branches else None
        of_class = name if slash and branch is None else None
        spelling[key] = _spelt(metric, branch, of_class)
    return spelling
