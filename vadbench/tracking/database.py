"""Client for the MLflow store of a folder of runs, and errors if it cannot be reached.

MLflow is imported on first use because its import takes seconds.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from vadbench.base.errors import TrackingError, first_line
from vadbench.base.files import make_folder
from vadbench.base.hashing import digest
from vadbench.base.locations import ARTIFACTS, DEFAULT_OUT
from vadbench.tracking.address import TrackingAddress, sqlite_uri, tracking_address

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from vadbench.records.record import RunRecord

LOCK_SECONDS = 300
DRAFT = "vadbench.draft"
"""Tag that is set first, by which an interrupted log goes on: the identity of the run."""
_LOGGED = """
SELECT 1 FROM tags AS mark
JOIN runs AS child USING (run_uuid)
JOIN tags AS link ON link.run_uuid = child.run_uuid AND link.key = 'mlflow.parentRunId'
JOIN runs AS parent ON parent.run_uuid = link.value
JOIN experiments AS experiment ON experiment.experiment_id = child.experiment_id
WHERE mark.key = ? AND mark.value = ? AND experiment.name = ? AND parent.end_time >= child.end_time
AND 'active' = child.lifecycle_stage AND 'active' = parent.lifecycle_stage AND 'active' = experiment.lifecycle_stage
"""
"""Finds a run by a tag if its parent was completed after it, and nothing of it was deleted."""
_CAUSE = "(Caused by "
"""What the library of requests puts between a request and what happened to it."""


def check_store(out: Path = DEFAULT_OUT) -> str:
    """Connect to the store of a folder of runs and return its address as it is shown; no database is created.

    Raises:
        TrackingError: it cannot be reached; the message says why.
    """
    address = tracking_address(out)
    if address.file is not None and not address.file.exists():
        return f"{address.shown} (made by the first run)"
    with writing(address) as client:
        client.search_experiments(max_results=1)
    return address.shown


def is_logged(address: TrackingAddress, experiment: str, tag: str, value: str) -> bool:
    """Return True if a run of an experiment has a tag with that value and its parent was completed after it.

    Reads the tables of a sqlite file, as importing MLflow takes seconds; False where they cannot be read so, as on a
    server.
    """
    if address.file is None or not address.file.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{address.file.as_uri()}?mode=ro", uri=True)) as store:
            return store.execute(_LOGGED, (tag, value, experiment)).fetchone() is not None
    except sqlite3.Error:
        return False  # of another version, damaged or in use: MLflow itself says what is wrong


def keeps(records: Sequence[RunRecord], out: Path) -> bool:
    """Return whether the store of a folder of runs may have any of these runs: what is not known, may be.

    Raises:
        TrackingError: the address of the store cannot be read.
    """
    address = tracking_address(out)
    finished = [record for record in records if record.status == "finished"]
    if address.file is None:
        return bool(finished)
    return any(is_logged(address, record.dataset, DRAFT, draft(record)) for record in finished)


def draft(record: RunRecord) -> str:
    """Return the identity of a run, whatever was measured of it and however it is called."""
    return digest([record.key, record.evaluation, record.created])


@contextmanager
def writing(address: TrackingAddress) -> Iterator[MlflowClient]:
    """Yield a client; for a sqlite file to one process at a time, as existing runs are looked up before writing.

    Raises:
        TrackingError: MLflow raised an error within the context.
    """
    try:
        with _client(address) as client:
            yield client
    except TrackingError:
        raise  # what is to be logged is damaged, or the store needs its user
    except Exception as error:
        reason = first_line(_happened(address.without_secrets(str(error))) or error)
        # A traceback would repeat the passwords.
        cause = None if address.secrets else error
        raise TrackingError(f"MLflow at {address.shown}: {reason}") from cause


@contextmanager
def _client(address: TrackingAddress) -> Iterator[MlflowClient]:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    # MLflow's default of seven retries would delay a finished run for minutes if a server is away.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    # It would print the address of each run on a server, with the password that the server's has.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    from mlflow import MlflowClient

    # Hide the log of database migrations, which is of no interest to users who start a run.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if address.file is None:
        yield MlflowClient(tracking_uri=address.uri)
        return
    path = address.file
    make_folder(path.parent)
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS):
        if not path.exists():
            _create_database(path)
        yield MlflowClient(tracking_uri=address.uri)


def _create_database(path: Path) -> None:
    """Create the schema in another file and rename it, so that a killed process cannot leave an unusable database."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    # By default MLflow would store the current folder in the database, and fail where it is called :x.
    SqlAlchemyStore(sqlite_uri(draft), (path.parent / ARTIFACTS).as_uri())  # type: ignore[no-untyped-call]
    draft.rename(path)


def _happened(said: str) -> str:
    """Return what an error says without the request that it repeats and the addresses of objects in memory."""
    _, cause, happened = said.rpartition(_CAUSE)
    return re.sub(r"<[^<>]*>:? ?", "", happened.removesuffix(")")) if cause else said
