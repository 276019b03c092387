"""The targets of specs and the files of scratch plugins, imported when they are used."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from vadbench.base.errors import PluginError
from vadbench.plugins.hookspecs import Spec

T = TypeVar("T")
_scratch: dict[Path, None] = {}
"""Scratch plugins that were imported, in that order."""


def load_class(spec: Spec, base: type[T], target: str = "") -> type[T]:
    """Return the class that a spec names as its target, or as another ``target``, imported now.

    Raises:
        PluginError: it cannot be imported, or is not a subclass of ``base``.
    """
    found = _imported_target(spec, target or spec.target)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"'{spec.name}' names {target or spec.target}, which is not a subclass of {base.__name__}")
    return found


def load_object(spec: Spec, kind: type[T]) -> T:
    """Return the object that a spec names as its target, imported now.

    Raises:
        PluginError: it cannot be imported, or is not a ``kind``.
    """
    found = _imported_target(spec, spec.target)
    if not isinstance(found, kind):
        raise PluginError(f"'{spec.name}' names {spec.target}, which is not a {kind.__name__}")
    return found


def _imported_target(spec: Spec, target: str) -> Any:
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:
        raise PluginError(f"'{spec.name}' names {target}, which cannot be imported: {error}") from error


def scratch_files() -> list[Path]:
    """Return the scratch plugins that this process imported, in that order, for a process that needs the same."""
    return list(_scratch)


def import_scratch(path: Path) -> ModuleType:
    """Import a scratch plugin (``--plugin FILE``).

    Raises:
        PluginError: it is no Python file, or a module of its name exists already.
    """
    if not path.is_file():
        raise PluginError(
            f"expected a Python file, found a folder: {path}; name the file in it that has the hooks"
            if path.is_dir()
            else f"no such file: {path}"
        )
    # A scratch plugin's target is "<file's stem>:Class", so that it reads the same once the file is installed.
    present = sys.modules.get(path.stem)
    if present is not None and getattr(present, "__file__", None) != str(path.resolve()):
        raise PluginError(f"a module called '{path.stem}' exists already; rename {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise PluginError(f"not a Python file: {path}")
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    _scratch[path.absolute()] = None
    return module
