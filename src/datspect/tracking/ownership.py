"""Say which process a run belongs to, and close the runs of processes that are gone."""

import os
import socket
from collections.abc import Mapping
from typing import Any

import psutil  # type: ignore[import-untyped]

from datspect.tracking.search import all_runs

_CLOCK_SECONDS = 5.0  # a process' start time shifts when the clock is set


def owner_tags() -> dict[str, str]:
    """Return tags that name this process for good; the system uses its id alone again."""
    return {
        "datspect.host": socket.gethostname(),
        "datspect.pid": str(os.getpid()),
        "datspect.process_started": f"{psutil.Process().create_time():.2f}",
    }


def close_orphans(client: Any, experiment_id: str, stage: str) -> None:
    """Set to KILLED every run of `stage`, children included, that a dead process of this host left RUNNING."""
    condition = (
        f"attributes.status = 'RUNNING' and tags.`datspect.stage` = '{stage}' "
        f"and tags.`datspect.host` = '{socket.gethostname()}'"
    )
    for run in all_runs(client, experiment_id, condition):
        if not owner_lives(run.data.tags):
            client.set_terminated(run.info.run_id, "KILLED")


def owner_lives(tags: Mapping[str, str]) -> bool:
    """Tell whether the process that a run of this host belongs to still lives."""
    try:
        process = psutil.Process(int(tags["datspect.pid"]))
        zombie = process.status() == psutil.STATUS_ZOMBIE
        started = process.create_time()
    except psutil.NoSuchProcess:
        return False
    return not zombie and abs(started - float(tags["datspect.process_started"])) < _CLOCK_SECONDS
