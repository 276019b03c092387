"""Address of the MLflow store of a folder of runs: a sqlite file, a database or a server, shown without passwords."""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, unquote_plus

from vadbench.base.errors import ConfigError, TrackingError
from vadbench.base.locations import DEFAULT_OUT, expanded

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
HIDDEN = "..."
_USER = re.compile(r"^([\w+.-]*:?//)([^/?#@]*:.*|[^/?#]*)@", re.DOTALL)
"""User and password; a password may hold any character, though an address should write some of them as ``%40``."""
_SECRET = re.compile(r"pass|pwd|token|secret|key|auth", re.IGNORECASE)
"""Found in the names of query values that are secret."""


@dataclass(frozen=True)
class TrackingAddress:
    """Address of an MLflow store.

    Args:
        given: as it was configured, which may include a password; never shown.
        file: sqlite file of the store, absolute; ``None`` for other databases and servers.
    """

    given: str
    file: Path | None = None

    @property
    def uri(self) -> str:
        """Address for MLflow; never shown."""
        # An absolute path: MLflow caches the store of an address, and the current folder may change.
        return self.given if self.file is None else sqlite_uri(self.file, self.given)

    @property
    def is_server(self) -> bool:
        """True if it is a server with pages of its own."""
        return self.given.startswith(("http://", "https://", "databricks"))

    @cached_property
    def shown(self) -> str:
        """Address for messages: without user, password and query."""
        if self.file is not None:
            return self.given
        plain, question_mark, _ = _USER.sub(r"\1", self.given).partition("?")
        return plain + (f"?{HIDDEN}" if question_mark else "")

    @cached_property
    def secrets(self) -> frozenset[str]:
        """Parts of the address that are never shown, as they are written in it and as they are sent."""
        if self.file is not None:
            return frozenset()
        user = found[2] if (found := _USER.match(self.given)) else ""
        query = (part.partition("=") for part in _USER.sub("", self.given).partition("?")[2].split("&"))
        written = [user, user.partition(":")[2], *(value for name, _, value in query if _SECRET.search(name))]
        return frozenset({*written, *map(unquote, written), *map(unquote_plus, written)} - {""})

    def command(self, *arguments: str) -> str:
        """Return a command of MLflow on this store, for a shell of the user."""
        # Without the address where the variable names it: it may include a password.
        place = [] if os.environ.get(TRACKING_VARIABLE) else ["env", f"{TRACKING_VARIABLE}={self.uri}"]
        return shlex.join([*place, sys.executable, "-m", "mlflow", *arguments])

    def without_secrets(self, text: str) -> str:
        """Return a message of MLflow without the passwords of this address, in whichever form it repeats them."""
        text = text.replace(self.given, self.shown)
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text


def tracking_address(out: Path = DEFAULT_OUT) -> TrackingAddress:
    """Return the address of the store of a folder of runs.

    It is the one that ``MLFLOW_TRACKING_URI`` names, otherwise a sqlite file that belongs to the folder:
    ``results/mlflow.db`` for ``results/runs``, and inside the folder for any other folder of runs.

    Raises:
        TrackingError: the variable is set to what cannot be read as an address.
    """
    if configured := os.environ.get(TRACKING_VARIABLE):
        return _configured(configured)
    usual = out.resolve() == DEFAULT_OUT.resolve()
    file = (DEFAULT_OUT.parent if usual else out) / "mlflow.db"
    return TrackingAddress(sqlite_uri(file), file.resolve())


def sqlite_uri(file: Path, given: str = "sqlite://") -> str:
    """Return the address of a sqlite file, quoted where its path would be read as something else.

    Args:
        file: the database.
        given: an address whose query is kept.
    """
    from sqlalchemy import make_url

    plain = f"sqlite:///{file}"
    url = make_url(given)
    if not url.query and make_url(plain).database == str(file):
        return plain
    # With the driver named, MLflow does not take the quoted path for that of a folder to make.
    return url.set(drivername="sqlite+pysqlite", database=str(file)).render_as_string()


def _configured(address: str) -> TrackingAddress:
    expected = f"{TRACKING_VARIABLE} must name a file, such as sqlite:////data/mlflow.db"
    try:
        if address.startswith("~"):
            return TrackingAddress(str(expanded(address, TRACKING_VARIABLE)))
        if not re.match(r"sqlite(\+pysqlite)?:", address):
            return TrackingAddress(address)
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            database = make_url(address).database
        except (ArgumentError, ValueError) as error:
            raise TrackingError(f"{expected}; found {address}") from error
        if not database or database == ":memory:":
            raise TrackingError(f"{expected}; found {address}")
        return TrackingAddress(address, expanded(database, TRACKING_VARIABLE).resolve())
    except ConfigError as error:
        raise TrackingError(str(error)) from error
