"""The choice of stored runs by what they are: data set, method, label, state, setting and age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from vadbench.base.errors import ConfigError, UnknownNameError
from vadbench.records.run_facts import has, named_facts
from vadbench.records.stored_runs import StoredRun

_KINDS = {"dataset": "data set with runs", "method": "method with runs", "label": "label of these runs"}
"""What the names stand for by which runs are chosen, in a message."""


def choose(
    runs: Sequence[StoredRun],
    names: Mapping[str, Sequence[str]],
    states: Sequence[str] = (),
    settings: Sequence[str] = (),
    since: datetime | None = None,
) -> list[StoredRun]:
    """Return the runs that agree with everything asked for; what is empty asks for nothing.

    Args:
        runs: all that there are.
        names: those to choose by ``dataset``, ``method`` and ``label``; one of several must agree.
        states: one of these.
        settings: all of these, each as ``name=value``.
        since: made then or later.

    Raises:
        UnknownNameError: no run has such a name, or a setting that is asked for, whatever its value.
        ConfigError: a setting has another form.
    """
    for attribute, asked in names.items():
        known = {found for run in runs if (found := getattr(run, attribute))}
        for name in asked:
            if name not in known:
                raise UnknownNameError(_KINDS[attribute], name, known)
    _require_settings(runs, settings)
    return [
        run
        for run in runs
        if all(not asked or getattr(run, attribute) in asked for attribute, asked in names.items())
        and (not states or run.state in states)
        and (not settings or (run.known is not None and all(has(run.known, item) for item in settings)))
        and (since is None or (run.made_at is not None and run.made_at >= since))
    ]


def require_measured(metric: str, runs: Sequence[StoredRun]) -> None:
    """Refuse a metric that none of the runs has, if any of them has metrics at all.

    Raises:
        UnknownNameError: it is so.
    """
    known = {name for run in runs if run.record is not None for name in run.record.metrics}
    if known and metric not in known:
        raise UnknownNameError("metric of these runs", metric, known)


def _require_settings(runs: Sequence[StoredRun], settings: Sequence[str]) -> None:
    known: set[str] = set()
    for item in settings:
        name, sign, _ = item.partition("=")
        if not sign or not name:
            raise ConfigError(f"a setting to choose by is KEY=VALUE, such as recipe.epochs=5, found '{item}'")
        known = known or {fact for run in runs if run.known is not None for fact in named_facts(run.known)}
        if name not in known:
            raise UnknownNameError("setting of these runs", name, known)
