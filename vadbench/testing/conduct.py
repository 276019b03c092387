"""Checks of what a method does besides computing: settings, files, networks; and the watches they are made with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vadbench.base.config import field_descriptions, resolve
from vadbench.base.errors import ConfigError
from vadbench.base.method_config import MethodConfig
from vadbench.dataset import Dataset
from vadbench.testing.check import Failure, require
from vadbench.testing.methods import METHOD_CHECKS

if TYPE_CHECKING:
    from vadbench.testing.tested_method import TestedMethod

_Watch = Callable[[str, tuple[Any, ...]], None]
_watches: list[_Watch] = []


def settings(subject: TestedMethod) -> str:
    """Every field described, every data set's defaults accepted, every known failure one of these checks."""
    kind = subject.kind
    require(
        issubclass(kind.Config, MethodConfig),
        f"Config is {kind.Config.__name__}",
        "make it a subclass of vadbench.base.method_config.MethodConfig",
    )
    meanings = field_descriptions(kind.Config)
    silent = [name for name, text in meanings.items() if not text.strip()]
    require(
        not silent,
        f"settings without a description: {', '.join(silent)}",
        "write Field(default, description='what it does, its unit, where its value comes from')",
    )
    for dataset, defaults in kind.dataset_defaults.items():
        try:
            resolve(kind.Config, defaults, environment={})
        except ConfigError as error:
            raise Failure(f"dataset_defaults['{dataset}']: {error}", "no run on that data set could start") from error
    strangers = sorted(kind.known_failures.keys() - METHOD_CHECKS.keys())
    require(
        not strangers,
        f"known_failures names {', '.join(strangers)}, which is no check",
        f"the checks are {', '.join(METHOD_CHECKS)}",
    )
    return f"{len(meanings)} settings described; defaults for {', '.join(kind.dataset_defaults) or 'no data set'}"


def network(subject: TestedMethod) -> str:
    """Building, preparing, training and scoring with every way out refused."""
    tried: list[str] = []
    failure: Exception | None = None
    try:
        with without_network(tried):
            method = subject.train(0)
            subject.score(method, subject.videos((17,)))
    # A method may hide the refusal in an error of its own, or recover from it.
    except Exception as error:
        failure = error
    require(
        not tried,
        f"the method tried to reach {', '.join(dict.fromkeys(tried))}",
        "ship what it needs with the package or read it from a file that a setting names; a run may have no network,"
        " and its numbers must not depend on somebody's server",
    )
    if failure is not None:
        raise failure
    return "nothing was asked of a network while it was built, trained and scored"


@contextmanager
def without_network(tried: list[str]) -> Iterator[None]:
    """Refuse names to look up and addresses to connect to, and note them; sockets within the machine stay allowed."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.getaddrinfo", "socket.gethostbyname"):
            target = arguments[0]
        elif event in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(arguments[1], tuple):
            target = arguments[1][0]
        else:
            return
        name = target.decode(errors="replace") if isinstance(target, bytes) else str(target)
        tried.append(f"'{name}'")
        raise OSError(f"vadbench check allows no network, refused '{name}'")

    with _watching(refuse):
        yield


@contextmanager
def opened_below(folder: Path, seen: list[str]) -> Iterator[None]:
    """Note the files under a folder that are opened; those that compiled libraries open go unseen."""
    root = os.path.realpath(folder) + os.sep

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if path.startswith(root):
                seen.append(f"the file {path}")

    with _watching(note):
        yield


@contextmanager
def without_datasets(seen: list[str]) -> Iterator[None]:
    """Note every data set that is made."""
    inner = Dataset.__init__

    def init(self: Dataset, root: Path) -> None:
        seen.append(f"the data set {type(self).__name__}")
        inner(self, root)

    Dataset.__init__ = init  # type: ignore[method-assign]
    try:
        yield
    finally:
        Dataset.__init__ = inner  # type: ignore[method-assign]


@contextmanager
def _watching(watch: _Watch) -> Iterator[None]:
    _install()
    _watches.append(watch)
    try:
        yield
    finally:
        _watches.remove(watch)


@cache
def _install() -> None:
    """Python's audit hooks stay for the life of a process, so there is one, idle but within a watch."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if _watches:
            for watch in list(_watches):
                watch(event, arguments)

    sys.addaudithook(hook)
