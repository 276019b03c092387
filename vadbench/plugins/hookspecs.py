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
"""Pattern of the names of methods and data sets, which become names of folders."""

hookspec = pluggy.HookspecMarker("vadbench")
hookimpl = pluggy.HookimplMarker("vadbench")


@dataclass(frozen=True)
class Spec:
    """An entry that a plugin registers.

    Args:
        name: its name, unique within its kind among all plugins.
        summary: what it is, in a line.
        target: the object that does the work, as ``"package.module:name"``; imported when it is used.
        paper: where it comes from.
    """

    name: str
    summary: str
    target: str
    paper: str = ""


@dataclass(frozen=True)
class MethodSpec(Spec):
    """A method: ``target`` names a subclass of :class:`vadbench.method.Method`.

    ``config`` names its ``Config``, a subclass of :class:`vadbench.base.method_config.MethodConfig`, in a module that
    imports no torch. Left out, as in a scratch file, the class of the method is imported to find it.
    """

    config: str = ""


class DatasetSpec(Spec):
    """A data set: ``target`` names a subclass of :class:`vadbench.dataset.Dataset`."""


class BenchmarkSpec(Spec):
    """A benchmark: ``target`` names its TOML file, as ``"package:file.toml"``."""


@dataclass(frozen=True)
class ProtocolSpec(Spec):
    """A protocol: ``target`` names a :class:`vadbench.scoring.protocol.ProtocolPreset`.

    ``localization`` names the subclass of :class:`vadbench.metrics.localization.Localisation` that protocols mean by
    ``localization=<name>``; empty where the protocol brings none. Importing it takes no torch.
    """

    localization: str = ""


class CommandSpec(Spec):
    """A command ``vadbench <name>``: ``target`` names a ``click.Command``."""


@hookspec
def vadbench_methods() -> list[MethodSpec]:  # type: ignore[empty-body]
    """Return the methods this plugin brings."""


@hookspec
def vadbench_datasets() -> list[DatasetSpec]:  # type: ignore[empty-body]
    """Return the data sets this plugin brings."""


@hookspec
def vadbench_benchmarks() -> list[BenchmarkSpec]:  # type: ignore[empty-body]
    """Return the benchmarks this plugin brings."""


@hookspec
def vadbench_protocols() -> list[ProtocolSpec]:  # type: ignore[empty-body]
    """Return the protocols this plugin brings."""


@hookspec
def vadbench_commands() -> list[CommandSpec]:  # type: ignore[empty-body]
    """Return the commands this plugin brings; those of a plugin that is not installed are not found."""
