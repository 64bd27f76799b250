"""Find what an experiment already holds of a result, and let one program at a time add what is missing."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from filelock import FileLock, Timeout

from datspect.running.addresses import repository_root
from datspect.tracking.connection import Connection
from datspect.tracking.environment import quiet_mlflow
from datspect.tracking.ownership import close_orphans, owner_lives

log = logging.getLogger(__name__)

_LOCK_NAME = "mlflow.db.relog.lock"  # in the repository root, where git ignores it


@dataclass(frozen=True)
class EarlierRuns:
    """Ids of the runs of one result: a complete one, one that a living process still fills, and the others."""

    complete: str | None
    in_progress: str | None
    incomplete: list[str]


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other program of this repository is in the block."""
    lock = FileLock(repository_root() / _LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("another `datspect relog` is at work here; waiting until it is done")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def required_connection(experiment: str) -> Iterator[Connection]:
    """Connect to the store for as long as the block lasts.

    Raises
    ------
    TrackingError : the store cannot be reached, or fails within the block.
    """
    with quiet_mlflow():
        yield Connection.open(experiment, required=True)


def earlier_runs(connection: Connection, stage: str, result_id: str) -> EarlierRuns:
    """Close the runs that dead processes left open, and return those of `stage` for a result, without children.

    Raises
    ------
    TrackingError : the store fails, and the connection is required.
    """
    condition = f"tags.`datspect.stage` = '{stage}' and tags.`datspect.result_id` = '{result_id}'"
    with connection.protected():
        close_orphans(connection.client, connection.experiment_id, stage)
        runs = connection.client.search_runs([connection.experiment_id], condition, max_results=1000)
    complete = [run.info.run_id for run in runs if run.info.status == "FINISHED"]
    running = [run.info.run_id for run in runs if run.info.status == "RUNNING" and _lives_here(run.data.tags)]
    return EarlierRuns(
        complete=complete[0] if complete else None,
        in_progress=running[0] if running else None,
        incomplete=[run.info.run_id for run in runs if run.info.run_id not in {*complete, *running}],
    )


def mark_superseded(connection: Connection, run_ids: list[str], by: str) -> None:
    """Tag incomplete runs with the id of the run that replaces them."""
    with connection.protected():
        for run_id in run_ids:
            connection.client.set_tag(run_id, "datspect.superseded_by", by)


def _lives_here(tags: dict[str, str]) -> bool:
    return tags.get("datspect.host") == socket.gethostname() and owner_lives(tags)
