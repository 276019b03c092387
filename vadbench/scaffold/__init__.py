"""Write small working packages, or a benchmark file, as a start for one's own, for ``vadbench new``."""

from __future__ import annotations

import re
import tempfile
from dataclasses import asdict, dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Literal

import vadbench
from vadbench.base.errors import ConfigError, PluginError
from vadbench.base.files import make_folder, storage_errors, write_text
from vadbench.plugins.hookspecs import NAME
from vadbench.plugins.registry import Registry

ScaffoldKind = Literal["method", "dataset"]

MethodKind = Literal["trained", "training-free", "two-streams", "frames", "one-class", "two-stage"]


@dataclass(frozen=True)
class MethodTemplate:
    """What a template makes a method of.

    Args:
        summary: what it does, in a line.
        does: the same in sentences.
        options: what ``vadbench run`` needs besides a data set, from its blank on.
    """

    summary: str
    does: str
    options: str = ""


METHOD_TEMPLATES: dict[MethodKind, MethodTemplate] = {
    "trained": MethodTemplate(
        "a classifier behind a convolution over time",
        "A classifier of CLIP's rows behind a convolution over time, trained on the highest rows of each video.",
    ),
    "training-free": MethodTemplate(
        "CLIP's softmax over a prompt for each class",
        "CLIP's softmax over a prompt for each class, for the classes of any data set, without training.",
    ),
    "two-streams": MethodTemplate(
        "a linear layer on rows of two streams",
        "A linear layer on rows of CLIP and of sound that belong together in time, trained on each video's highest\n"
        "rows. `--features audio=DIR` gives the sound: a `.npy` file (rows, width) for each video, called like it.",
        " --features audio=DIR",
    ),
    "frames": MethodTemplate(
        "how far a picture is from the mean picture of its video",
        "How far a picture is from the mean picture of its video. It decodes the videos, and no CLIP is loaded.",
    ),
    "one-class": MethodTemplate(
        "how far a row is from those of normal videos",
        "How far a row of CLIP is from the nearest of some rows of normal videos, which are kept in the checkpoint.",
    ),
    "two-stage": MethodTemplate(
        "pseudo labels of one layer train another",
        "A first layer, trained on labels of videos, labels rows of the training videos; a second one learns these.",
    ),
}
"""The kinds of methods that there are templates for; the first is the common one."""

_WORDS: dict[ScaffoldKind, str] = {"method": "method", "dataset": "data set"}
_SHARED = {"pyproject.toml": "shared/pyproject.toml", ".github/workflows/test.yml": "shared/test.yml"}
_FILES: dict[ScaffoldKind, dict[str, str]] = {
    "method": {
        **_SHARED,
        "README.md": "method/README.md",
        "$package/__init__.py": "method/__init__.py",
        "$package/config.py": "method/$template/config.py",
        "$package/method.py": "method/$template/method.py",
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
"""Map from a path in the new package to its :class:`string.Template`; both may have words of the package."""


def write_package(
    kind: ScaffoldKind, name: str, out: Path, registry: Registry, template: MethodKind = "trained"
) -> Path:
    """Write an installable package with one plugin, completely or not at all.

    Args:
        kind: kind of the plugin.
        name: name of the method or data set.
        out: folder for the package's folder.
        registry: the existing plugins, whose names are taken.
        template: kind of the method, where it is one.

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
    if kind == "method":
        words |= {"template": template, **asdict(METHOD_TEMPLATES[template])}
    contents = {
        Template(path).substitute(words): _filled(Template(source).substitute(words), words)
        for path, source in _FILES[kind].items()
    }
    with storage_errors(target), tempfile.TemporaryDirectory(prefix=".vadbench-new-", dir=make_folder(out)) as folder:
        made = Path(folder) / target.name
        for path, text in contents.items():
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_text(text, encoding="utf-8")
        made.rename(target)
    return target


def write_benchmark(name: str, out: Path, registry: Registry) -> Path:
    """Write a benchmark file that runs as it is on ``synthetic``, and return its path, ``<out>/<name>.toml``.

    Raises:
        ConfigError: the name cannot be used, or the file exists.
        PluginError: a benchmark is registered under the name.
        StorageError: the file cannot be written.
    """
    if not re.fullmatch(NAME, name):
        raise ConfigError(_invalid(name))
    if name in registry.specs("benchmark") or name in registry.conflicts("benchmark"):
        raise PluginError(f"a benchmark called '{name}' exists already (vadbench list benchmarks); choose another name")
    target = out / f"{name}.toml"
    if target.exists() or target.is_symlink():
        raise ConfigError(f"{target} exists already; move it away, or choose another name or --out")
    write_text(target, _filled("benchmark/benchmark.toml", {"name": name, "file": target.name}))
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
        raise ConfigError(_invalid(name))
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


def _invalid(name: str) -> str:
    return f"a name must begin with a letter or digit and go on with letters, digits, '.', '_' and '-', found '{name}'"


def _filled(template: str, words: dict[str, str]) -> str:
    text = (files(__name__) / "templates" / f"{template}.tmpl").read_text(encoding="utf-8")
    return Template(text).substitute(words)
