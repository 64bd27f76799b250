"""Open the database of studies: SQLite beside the project, or a server that several machines share."""

import os
import time
from typing import Any

from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from datspect.errors import TuningError
from datspect.running.addresses import absolute_sqlite, repository_root, sqlite_path, without_password

ADDRESS_VARIABLE = "DATSPECT_STUDIES"
"""Names the database instead of tune.storage, for an address with a password."""

HEARTBEAT_SECONDS = 10
GRACE_SECONDS = 60
"""A trial without a heartbeat for this long counts as dead and begins again."""

_MOST_RETRIES = 3  # a trial that kills its process every time must end at some point
_ATTEMPTS = 5


def storage_address(of_params: str) -> str:
    """Return DATSPECT_STUDIES of the environment, else `of_params`; a relative SQLite path starts at the root."""
    return absolute_sqlite(os.environ.get(ADDRESS_VARIABLE) or of_params, repository_root())


def open_storage(address: str) -> RDBStorage:
    """Connect to the database at `address`, and create the tables that it lacks.

    Raises
    ------
    TuningError : it is not an address, or what lies there cannot be used.
    """
    path = sqlite_path(address)
    if path is None:
        return _connected(address, _server_options(address))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=GRACE_SECONDS):  # two processes that create the tables at once fail
            return _connected(address, {"connect_args": {"timeout": GRACE_SECONDS}})
    except OSError as error:
        raise _unusable(address, error) from error


def _connected(address: str, engine_options: dict[str, Any]) -> RDBStorage:
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            return RDBStorage(
                address,
                engine_kwargs=engine_options,
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=_MOST_RETRIES),
            )
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ImportError, RuntimeError) as error:
            raise _unusable(address, error) from error
        except (SQLAlchemyError, StorageInternalError) as error:
            # Another process may be creating the same tables on the server just now.
            if not attempts_left:
                raise _unusable(address, error) from error
            time.sleep(1)
    raise AssertionError  # the loop returns or raises


def _server_options(address: str) -> dict[str, Any]:
    # A server that is not there must not cost minutes; the name of the option is PostgreSQL's own.
    waiting = {"connect_args": {"connect_timeout": 10}} if address.startswith("postgresql") else {}
    return {"pool_pre_ping": True, **waiting}


def _unusable(address: str, error: Exception) -> TuningError:
    text = str(error).strip().splitlines()
    reason = without_password(text[0] if text else type(error).__name__)
    return TuningError(
        f"the database of studies {without_password(address)} cannot be used: {reason}; check tune.storage in "
        "params.yaml (or DATSPECT_STUDIES) and the server; no study was changed"
    )
