"""MLflow store of a folder of runs: its address, a client for it, and errors if it cannot be reached.

MLflow is imported on first use because its import takes seconds.
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
    """Connect to the store of a folder of runs and return its address; a missing database is not created.

    Raises:
        TrackingError: it cannot be reached; the message says why.
    """
    address = tracking_store(out)
    if address.startswith(SQLITE) and not sqlite_path(address).exists():
        return f"{address} (made by the first run)"
    with writing(address) as client:
        client.search_experiments(max_results=1)
    return address


@contextmanager
def writing(address: str) -> Iterator[MlflowClient]:
    """Yield a client; for a sqlite file to one process at a time, as existing runs are looked up before writing.

    Raises:
        TrackingError: MLflow raised an error within the context.
    """
    try:
        with _client(address) as client:
            yield client
    except TrackingError:
        raise  # the run to log is damaged
    except Exception as error:
        raise TrackingError(f"MLflow at {address}: {first_line(error)}") from error


@contextmanager
def _client(address: str) -> Iterator[MlflowClient]:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    # MLflow's default of seven retries would delay a finished run for minutes if a server is away.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    # Hide the log of database migrations, which is of no interest to users who start a run.
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
        # An absolute path: MLflow caches the store of an address, and the current folder may change.
        yield MlflowClient(tracking_uri=f"{SQLITE}{path}")


def _create_database(path: Path) -> None:
    """Create the schema in another file and rename it, so that a killed process cannot leave an unusable database."""
    from mlflow import MlflowClient

    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    MlflowClient(tracking_uri=f"{SQLITE}{draft}").search_experiments(max_results=1)
    draft.rename(path)


def sqlite_path(address: str) -> Path:
    """Return the file of a store whose address begins with :data:`SQLITE`."""
    return Path(address.removeprefix(SQLITE)).resolve()
