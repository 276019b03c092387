"""Paths on this machine: data roots, the cache and the tracking store."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path, PurePath

import platformdirs

from vadbench.base.errors import ConfigError, DataError
from vadbench.base.files import regular

DATA_VARIABLE = "VADBENCH_DATA"
CACHE_VARIABLE = "VADBENCH_CACHE"
DEFAULT_OUT = Path("results/runs")
SWITCH_VARIABLE = "VADBENCH_MLFLOW"
TRAINING_LOG = "training.jsonl"
"""The file of a run folder with a line for each epoch and each look."""
BEGUN = "begun.json"
"""File of a run folder with the record of a training that has begun and has no other yet, as if it had been stopped."""
STAGES = "stages"
"""Folder of a training with what it needs to go on after an interruption."""
ARTIFACTS = "mlflow-artifacts"
"""Folder of MLflow's copies of records and plots, beside its database; skipped when looking for run folders."""


def cache_root() -> Path:
    """Return the folder for features and rendered videos: ``VADBENCH_CACHE``, or the user's cache folder."""
    return expanded(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("vadbench"), CACHE_VARIABLE)


def expanded(path: str, named_by: str) -> Path:
    """Return a path in which ``~`` is the home folder: env files, service units and quotes hand it on as it is.

    Args:
        path: as it was given.
        named_by: what gave it, for the error.

    Raises:
        ConfigError: it begins with ``~`` and the name of a user that does not exist.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{named_by} names {path}, but no such user's home folder is known; write it out") from error


def user_config_file() -> Path:
    """Return the path of the user's settings: a TOML file whose table ``[data]`` gives a folder per data set."""
    return Path(platformdirs.user_config_dir("vadbench")) / "config.toml"


def tracks() -> bool:
    """Return True if finished runs are logged to MLflow: unless ``VADBENCH_MLFLOW`` is ``off``.

    Raises:
        ConfigError: it is neither on nor off.
    """
    value = os.environ.get(SWITCH_VARIABLE, "on").lower()
    if value not in ("on", "off", ""):
        raise ConfigError(f"{SWITCH_VARIABLE} must be on or off, found '{value}'")
    return value != "off"


def find_data_root(dataset: str, makes_itself: bool, option: Path | None = None) -> Path:
    """Return the folder of one data set.

    The order is: ``--data-root``, the user's config file, ``VADBENCH_DATA/<dataset>``, and for a data set that makes
    its own files the cache. A folder that the user names is never created: a mistyped one would get a data set.

    Raises:
        DataError: none of them is set, or a data set that makes its own files was given a folder that does not exist.
        ConfigError: the user's config file cannot be read, or a ``~`` cannot be expanded.
    """
    if option is not None:
        return _there(option, dataset, makes_itself, "--data-root")
    if configured := _configured_roots().get(dataset):
        place = str(user_config_file())
        return _there(expanded(configured, place), dataset, makes_itself, place)
    if given := os.environ.get(DATA_VARIABLE):
        parent = expanded(given, DATA_VARIABLE)
        folder = parent / dataset
        if folder.is_dir() or not makes_itself:
            return folder
        _there(parent, dataset, makes_itself, DATA_VARIABLE)
    if makes_itself:
        return cache_root() / "datasets" / dataset
    raise DataError(
        f"no data root for {dataset}: give --data-root DIR where a command takes it, or set {DATA_VARIABLE} to the"
        f" folder that holds a folder '{dataset}', or add '{dataset} = \"DIR\"' under [data] in {user_config_file()}"
    )


def without_folders(text: str, folders: Iterable[Path]) -> str:
    """Return a text for a record, without the folders of this machine.

    Args:
        text: may name files.
        folders: paths in them are shortened to the part below them, they themselves to their last name; any other
            absolute path is shortened to its last name.

    >>> without_folders("/data/UCF Crime/a/b.mp4: damaged; see /etc/hosts", [Path("/data/UCF Crime")])
    'a/b.mp4: damaged; see hosts'
    """
    forms = {form for f in folders for form in (str(f), str(f.absolute()), str(f.resolve())) if len(form) > 2}
    for form in sorted(forms, key=len, reverse=True):
        below = rf"(?<![\w./-]){re.escape(form)}"
        text = re.sub(below + "/", "", text)
        text = re.sub(below + r"(?![\w/-])", PurePath(form).name, text)
    text = text.replace("file://", "")
    # In quotes a path may contain blanks.
    text = re.sub(
        r"""(['"])~?/[\w.][^'"\n]*\1""", lambda found: f"{found[1]}{PurePath(found[0][1:-1]).name}{found[1]}", text
    )
    return re.sub(r"""(?<![\w.:/)-])~?/[\w.][^\s'",;:)]*""", lambda found: PurePath(found[0]).name, text)


def _there(folder: Path, dataset: str, makes_itself: bool, named_by: str) -> Path:
    if makes_itself and not folder.is_dir():
        raise DataError(
            f"data root of {dataset} not found: {named_by} names {folder}, which is no folder; make the folder to have"
            f" {dataset} made there, or leave it out to have it made in the cache"
        )
    return folder


def _configured_roots() -> dict[str, str]:
    path = user_config_file()
    if not path.exists():
        return {}
    try:
        table = tomllib.loads(regular(path).read_text(encoding="utf-8-sig")).get("data", {})
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path} as TOML: {error}") from error
    if not isinstance(table, dict) or not all(isinstance(v, str) for v in table.values()):
        raise ConfigError(f"{path}: [data] must map data set names to folders in quotes, found {table!r}")
    return table
