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

SUPERSEDED = "datspect.superseded_by"
"""Tag of a run that another one replaces, with the id of that one."""

_LOCK_NAME = "mlflow.db.relog.lock"  # in the repository root, where git ignores it


@dataclass(frozen=True)
class EarlierRuns:
    """Ids of the runs of one result: the complete ones, one that a living process still fills, and the others."""

    finished: list[str]
    in_progress: str | None
    incomplete: list[str]

    @property
    def complete(self) -> str | None:
        """A complete run, None if there is none."""
        return self.finished[0] if self.finished else None


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

    A run that another one replaced is not complete, whatever its status.

    Raises
    ------
    TrackingError : the store fails, and the connection is required.
    """
    condition = f"tags.`datspect.stage` = '{stage}' and tags.`datspect.result_id` = '{result_id}'"
    with connection.protected():
        close_orphans(connection.client, connection.experiment_id, stage)
        runs = connection.client.search_runs([connection.experiment_id], condition, max_results=1000)
    finished = [run.info.run_id for run in runs if run.info.status == "FINISHED" and SUPERSEDED not in run.data.tags]
    running = [run.info.run_id for run in runs if run.info.status == "RUNNING" and _lives_here(run.data.tags)]
    return EarlierRuns(
        finished=finished,
        in_progress=running[0] if running else None,
        incomplete=[run.info.run_id for run in runs if run.info.run_id not in {*finished, *running}],
    )


def mark_superseded(connection: Connection, run_ids: list[str], by: str) -> None:
    """Tag runs with the id of the run that replaces them."""
    with connection.protected():
        for run_id in run_ids:
            connection.client.set_tag(run_id, SUPERSEDED, by)


def _lives_here(tags: dict[str, str]) -> bool:
    return tags.get("datspect.host") == socket.gethostname() and owner_lives(tags)
