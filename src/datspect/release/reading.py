"""Open the registry to read versions, wherever the program was started: no project and no params.yaml is needed."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from datspect.errors import PromotionError
from datspect.release.registry import Registry
from datspect.running.addresses import repository_root, sqlite_path
from datspect.tracking.connection import Connection
from datspect.tracking.environment import quiet_mlflow
from datspect.tracking.store import ready_uri, tracking_uri


@contextmanager
def readable() -> Iterator[Registry]:
    """Give the registry in the environment's tracking store, else in this project's; nothing is created in it.

    Raises
    ------
    PromotionError : the database is not there.
    TrackingError : the store cannot be reached, or fails within the block.
    """
    _refuse_absent_database()
    with quiet_mlflow():
        yield registry_at(ready_uri)


def registry_at(address: Callable[[], str]) -> Registry:
    """Return the registry at an address; what goes wrong with it, or with asking for it, is a `TrackingError`."""
    connection = Connection(required=True)
    with connection.protected():
        from mlflow import MlflowClient

        connection.client = MlflowClient(tracking_uri=address())
    return Registry(connection)


def _refuse_absent_database() -> None:
    """Refuse a database that MLflow would make, empty, where the user has mistaken the folder or the address."""
    path = sqlite_path(tracking_uri(repository_root()))
    if path is None or path.is_file():
        return
    if os.environ.get("MLFLOW_TRACKING_URI"):
        raise PromotionError(f"MLFLOW_TRACKING_URI names the database {path}, which is not there; mend the address")
    raise PromotionError(
        f"no registry here: MLFLOW_TRACKING_URI is not set, and there is no {path.name} here; "
        "set MLFLOW_TRACKING_URI to the server's or database's address, or name the folder of a predictor"
    )
