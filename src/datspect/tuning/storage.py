"""Open the database of studies: SQLite beside the project, or a server that several machines share."""

import os
import re
import shlex
import time
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from datspect.errors import TuningError
from datspect.running.addresses import absolute_sqlite, repository_root, sqlite_path, without_password

ADDRESS_VARIABLE = "DATSPECT_STUDIES"
"""Names the database instead of tune.storage, for an address with a password."""

HEARTBEAT_SECONDS = 10
GRACE_SECONDS = 60
"""A trial without a heartbeat for this long counts as dead; `tuning.lost` says when it begins again."""

_ATTEMPTS = 5


def storage_address(of_params: str) -> str:
    """Return DATSPECT_STUDIES of the environment, else `of_params`; a relative SQLite path starts at the root."""
    return absolute_sqlite(os.environ.get(ADDRESS_VARIABLE) or of_params, repository_root())


def address_for_a_shell(of_params: str) -> str | None:
    """Return the address as a command line may hold it: never with a password; None if it cannot be said without one.

    >>> address_for_a_shell("postgresql://ann:secret@host/studies") is None
    True
    """
    if os.environ.get(ADDRESS_VARIABLE):
        return f'"${ADDRESS_VARIABLE}"'
    # Options of the address may hold a password too.
    return None if "@" in of_params or "?" in of_params else shlex.quote(storage_address(of_params))


def dashboard_commands(of_params: str) -> str:
    """Return what opens Optuna's dashboard on the database of studies.

    >>> dashboard_commands("postgresql://host/studies")
    'make dashboard, or optuna-dashboard postgresql://host/studies'
    """
    address = address_for_a_shell(of_params)
    return "make dashboard" + (f", or optuna-dashboard {address}" if address else "")


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
            )
        except RuntimeError as error:
            if "optuna storage upgrade" in str(error):
                raise _of_another_release(address, error) from error
            raise _unusable(address, error) from error
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ImportError) as error:
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


def _of_another_release(address: str, error: Exception) -> TuningError:
    shown = address_for_a_shell(address) or "ADDRESS"
    backup = f"copy {path} first, then upgrade it" if (path := sqlite_path(address)) else "back it up, then upgrade it"
    maker = re.search(r"set up by optuna ([\w.]+)", str(error))
    return TuningError(
        f"the database of studies {without_password(address)} has the tables of an earlier release of Optuna "
        f"({maker[1] if maker else 'unknown'}; {optuna.__version__} is installed). No study was changed; {backup}:\n"
        f"  optuna storage upgrade --storage {shown}"
    )


def _unusable(address: str, error: Exception) -> TuningError:
    text = str(error).strip().splitlines()
    reason = without_password(text[0] if text else type(error).__name__)
    return TuningError(
        f"the database of studies {without_password(address)} cannot be used: {reason}; check tune.storage in "
        "params.yaml (or DATSPECT_STUDIES) and the server; no study was changed"
    )
