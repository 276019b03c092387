"""The store of a folder of runs in MLflow: its address, a client of it, and what is said where it cannot be reached.

MLflow is imported on first use because that alone takes seconds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from vadbench.base.errors import TrackingError, first_line
from vadbench.base.files import make_folder
from vadbench.base.locations import DEFAULT_OUT, SQLITE, tracking_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK_SECONDS = 300


def check_store(out: Path = DEFAULT_OUT) -> str:
    """The address of the store of a folder of runs, reached just now; a database that is not there yet is not made.

    Raises:
        TrackingError: it cannot be reached; says why.
    """
    address = tracking_store(out)
    if address.startswith(SQLITE) and not sqlite_path(address).exists():
        return f"{address} (made by the first run)"
    with writing(address) as client:
        client.search_experiments(max_results=1)
    return address


@contextmanager
def writing(address: str) -> Iterator[MlflowClient]:
    """A client. On a sqlite file one process at a time has one: what is there already is looked for before writing.

    Raises:
        TrackingError: for whatever MLflow raises within.
    """
    try:
        with _client(address) as client:
            yield client
    except TrackingError:
        raise  # what is to be logged is damaged
    except Exception as error:
        raise TrackingError(f"MLflow at {address}: {first_line(error)}") from error


@contextmanager
def _client(address: str) -> Iterator[MlflowClient]:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    # MLflow's own seven retries would hold a finished run for minutes when a server is away.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    # How a database is migrated is not what somebody who started a run wants to read.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if not address.startswith(SQLITE):
        yield MlflowClient(tracking_uri=address)
        return
    path = sqlite_path(address)
    make_folder(path.parent)
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS):
        if not path.exists():
            _create_database(path)
        # In full: MLflow keeps the store of an address, whatever becomes of the current folder.
        yield MlflowClient(tracking_uri=f"{SQLITE}{path}")


def _create_database(path: Path) -> None:
    """Create the schema apart and rename it: a process that is killed at it would leave a database nobody can use."""
    from mlflow import MlflowClient

    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    MlflowClient(tracking_uri=f"{SQLITE}{draft}").search_experiments(max_results=1)
    draft.rename(path)


def sqlite_path(address: str) -> Path:
    """The file of a store whose address begins with :data:`SQLITE`."""
    return Path(address.removeprefix(SQLITE)).resolve()
