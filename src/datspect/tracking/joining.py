"""Share a run between processes, at once or one after the other: the first creates it, the others join."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datspect.running.signals import stopping_signals_raised
from datspect.tracking.connection import Connection, while_connected
from datspect.tracking.environment import drop_launching_run, quiet_mlflow
from datspect.tracking.labels import Nested, Tags, common_tags
from datspect.tracking.ownership import close_orphans, owner_tags
from datspect.tracking.provenance import GitState, git_state
from datspect.tracking.run import Run
from datspect.tracking.search import all_runs

Key = tuple[str, str]

# Another process takes less from finding no run to having created one, so that all see the same candidates.
_SETTLING_SECONDS, _SETTLING_SECONDS_AT_MOST = 1.0, 5.0
_YOUNG_SECONDS = 10.0  # an open run of this age may be about to give way to another

_REMEDY = "The study goes on and writes its results to disk; the next `datspect tune` sends it"


@contextmanager
def open_joined_run(
    name: str,
    *,
    stage: str,
    experiment: str,
    key: Key,
    params: Nested | None = None,
    tags: Tags | None = None,
    git: GitState | None = None,
) -> Iterator[Run]:
    """Open the one run of the experiment that carries the tag `key`, no child, or create it.

    The run is set RUNNING and belongs to this process. It closes as `open_run` says, unless it is handed over; orphans
    and errors of the store are treated as there. System metrics are not sampled, since all processes would mix theirs.

    Parameters
    ----------
    key : name and value of a tag; children carry another
    params : sent when the run is created, since MLflow keeps the first value
    tags : kept beside the run's own; the last process that joins sets them
    git : the state of the code; None for what is checked out now
    """
    launcher = drop_launching_run()
    with stopping_signals_raised(), quiet_mlflow():
        connection = Connection.open(experiment, remedy=_REMEDY)
        if connection.alive:
            with connection.protected():
                close_orphans(connection.client, connection.experiment_id, stage)
        run = Run(connection, name, common_tags(stage, git or git_state(), launcher))
        with run.ended():
            _join_or_create(run, key, params, {**(tags or {}), key[0]: key[1]})
            yield run


@while_connected
def _join_or_create(run: Run, key: Key, params: Nested | None, tags: Tags) -> None:
    began = time.monotonic()
    found = _runs(run.connection, key)
    if not found:
        run.create(params, tags)
    if run.connection.alive and (not found or _may_give_way(found[0])):
        # A store that is slow to this process is slow to the others as well.
        time.sleep(min(max(_SETTLING_SECONDS, 5 * (time.monotonic() - began)), _SETTLING_SECONDS_AT_MOST))
        found = _runs(run.connection, key)
    if found and found[0].info.run_id != run.run_id:
        _join(run, found[0].info, tags)


def _join(run: Run, info: Any, tags: Tags) -> None:
    from mlflow.entities import RunTag

    client, own = run.connection.client, run.run_id
    run.adopt(info)
    if own:  # created at the same moment, and still empty
        client.delete_run(own)
    client.update_run(info.run_id, "RUNNING")
    client.log_batch(info.run_id, tags=[RunTag(name, str(value)) for name, value in {**tags, **owner_tags()}.items()])


def _runs(connection: Connection, key: Key) -> list[Any]:
    """Return the runs with the tag `key` that are not children; the first is the one to join."""
    runs = all_runs(connection.client, connection.experiment_id, f"tags.`{key[0]}` = '{key[1]}'")
    return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]


def _may_give_way(run: Any) -> bool:
    age = abs(time.time() - float(run.info.start_time) / 1000)
    return bool(run.info.status == "RUNNING" and age < _YOUNG_SECONDS)
