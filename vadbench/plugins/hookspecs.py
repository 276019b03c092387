"""The whole plugin contract.

A plugin is an importable module named by an entry point of the group ``vadbench``::

    [project.entry-points.vadbench]
    mymethod = "vadbench_mymethod"

or, not installed yet, a file given as ``--plugin FILE``,
and implements one or more of the hooks below with ``@vadbench.hookimpl``. Importing it must stay cheap: a spec only
names the class that does the work, as ``"package.module:Class"``, and that class is imported when it is used. In a
scratch file ``my_method.py`` it is ``"my_method:Class"``::

    from vadbench import MethodSpec, hookimpl

    @hookimpl
    def vadbench_methods():
        return [MethodSpec("mine", "what it does in a line", "my_method:MyMethod")]
"""

from __future__ import annotations

from dataclasses import dataclass

import pluggy

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What a method or a data set may be called; the name becomes that of a folder."""

hookspec = pluggy.HookspecMarker("vadbench")
hookimpl = pluggy.HookimplMarker("vadbench")


@dataclass(frozen=True)
class MethodSpec:
    """A method: ``target`` names a subclass of :class:`vadbench.method.Method`."""

    name: str
    summary: str
    target: str
    paper: str = ""


@dataclass(frozen=True)
class DatasetSpec:
    """A data set: ``target`` names a subclass of :class:`vadbench.dataset.Dataset`."""

    name: str
    summary: str
    target: str
    paper: str = ""


@dataclass(frozen=True)
class BenchmarkSpec:
    """A benchmark: ``target`` names its TOML file, as ``"package:file.toml"``."""

    name: str
    summary: str
    target: str
    paper: str = ""


@hookspec
def vadbench_methods() -> list[MethodSpec]:  # type: ignore[empty-body]
    """The methods this plugin brings."""


@hookspec
def vadbench_datasets() -> list[DatasetSpec]:  # type: ignore[empty-body]
    """The data sets this plugin brings."""


@hookspec
def vadbench_benchmarks() -> list[BenchmarkSpec]:  # type: ignore[empty-body]
    """The benchmarks this plugin brings."""
