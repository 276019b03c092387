"""Write small working packages as the start of a new method or data set, for ``vadbench new``."""

from __future__ import annotations

import re
import tempfile
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Literal

import vadbench
from vadbench.base.errors import ConfigError, PluginError
from vadbench.base.files import make_folder, storage_errors
from vadbench.plugins.hookspecs import NAME
from vadbench.plugins.registry import Registry

ScaffoldKind = Literal["method", "dataset"]

_WORDS: dict[ScaffoldKind, str] = {"method": "method", "dataset": "data set"}
_SHARED = {"pyproject.toml": "shared/pyproject.toml", ".github/workflows/test.yml": "shared/test.yml"}
_FILES: dict[ScaffoldKind, dict[str, str]] = {
    "method": {
        **_SHARED,
        "README.md": "method/README.md",
        "$package/__init__.py": "method/__init__.py",
        "$package/config.py": "method/config.py",
        "$package/method.py": "method/method.py",
        "tests/test_$package.py": "method/test.py",
    },
    "dataset": {
        **_SHARED,
        "README.md": "dataset/README.md",
        "$package/__init__.py": "dataset/__init__.py",
        "$package/dataset.py": "dataset/dataset.py",
        "tests/test_$package.py": "dataset/test.py",
    },
}
"""Map from a path in the new package to its :class:`string.Template`."""


def write_package(kind: ScaffoldKind, name: str, out: Path, registry: Registry) -> Path:
    """Write an installable package with one plugin, completely or not at all.

    Args:
        kind: kind of the plugin.
        name: name of the method or data set.
        out: folder for the package's folder.
        registry: the existing plugins, whose names are taken.

    Returns:
        The package's folder, ``<out>/vadbench-<name>``.

    Raises:
        ConfigError: the name cannot be used, or the folder exists.
        PluginError: the name is taken.
        StorageError: the folder cannot be written.
    """
    words = package_words(kind, name)
    if name in registry.specs(kind) or name in registry.conflicts(kind):
        raise PluginError(f"a {_WORDS[kind]} called '{name}' exists already (vadbench plugins); choose another name")
    if find_spec(words["package"]) is not None:
        raise PluginError(f"a Python package called '{words['package']}' is installed; choose another name")
    target = out / words["distribution"]
    if target.exists() or target.is_symlink():
        raise ConfigError(f"{target} exists already; move it away, or choose another name or --out")
    contents = {Template(path).substitute(words): _filled(template, words) for path, template in _FILES[kind].items()}
    with storage_errors(target), tempfile.TemporaryDirectory(prefix=".vadbench-new-", dir=make_folder(out)) as folder:
        made = Path(folder) / target.name
        for path, text in contents.items():
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_text(text, encoding="utf-8")
        made.rename(target)
    return target


def package_words(kind: ScaffoldKind, name: str) -> dict[str, str]:
    """Return the words that a template may use for a plugin called ``name``.

    >>> words = package_words("method", "two-Stage.v2")
    >>> words["distribution"], words["package"], words["cls"]
    ('vadbench-two-stage-v2', 'vadbench_two_stage_v2', 'TwoStageV2Method')

    Raises:
        ConfigError: the name is not valid for a plugin.
    """
    if not re.fullmatch(NAME, name):
        raise ConfigError(
            f"a name must begin with a letter or digit and go on with letters, digits, '.', '_' and '-', found '{name}'"
        )
    parts = [part for part in re.split(r"[._-]+", name) if part]
    camel = "".join(part[0].upper() + part[1:] for part in parts)
    # A class name must not begin with a digit, nor be that of its base class or a keyword.
    cls = kind.capitalize() + camel if camel[0].isdigit() else camel + kind.capitalize()
    return {
        "kind": kind,
        "noun": _WORDS[kind],
        "name": name,
        "distribution": "-".join(["vadbench", *parts]).lower(),
        "package": "_".join(["vadbench", *parts]).lower(),
        "cls": cls,
        "version": vadbench.__version__,
    }


def _filled(template: str, words: dict[str, str]) -> str:
    text = (files(__name__) / "templates" / f"{template}.tmpl").read_text(encoding="utf-8")
    return Template(text).substitute(words)
