"""Connect to the tracking store; a broken connection stays broken, warns once, and costs nothing but the record."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from datspect.errors import DatspectError
from datspect.running.addresses import repository_root
from datspect.tracking import environment, store
from datspect.tracking.remedies import UnusableStoreError
from datspect.tracking.secrets import without_secrets

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# Packages whose errors come from the store or the way to it, object stores included.
_STORE_PACKAGES = {"mlflow", "requests", "urllib3", "sqlalchemy", "alembic", "botocore", "boto3", "google", "azure"}

_REMEDY = "The stage goes on and writes its results to disk; `datspect relog` sends it later"


class TrackingError(DatspectError):
    """The tracking store could not be reached, or refused what it was sent."""


class Connection:
    """A client of one experiment, alive until the first error of the store.

    `required`: that error is raised as a TrackingError instead of costing one warning, which ends with `remedy`.
    """

    def __init__(self, *, required: bool = False, remedy: str = _REMEDY) -> None:
        self.client: Any = None
        self.experiment_id = ""
        self.alive = True
        self.required = required
        self.remedy = remedy
        self._worth_a_last_word = True

    @classmethod
    def open(cls, experiment: str, *, required: bool = False, remedy: str = _REMEDY) -> "Connection":
        """Connect; without a store, return a broken connection, or raise a TrackingError if `required`."""
        connection = cls(required=required, remedy=remedy)
        with connection.protected():
            connection.client, connection.experiment_id = store.connect(experiment)
        return connection

    @contextmanager
    def protected(self) -> Iterator[None]:
        """Let an error of the store break the connection and not the caller; other errors pass."""
        try:
            yield
        except Exception as error:
            if not _is_of_the_store(error):
                raise
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if not self.alive:
            return
        self.alive = False
        if isinstance(error, UnusableStoreError):
            if self.required:
                raise TrackingError(str(error)) from error
            log.warning("%s; this run is not recorded. %s. %s", error.problem, self.remedy, error.remedy)
            return
        uri = store.tracking_uri(repository_root())
        failure = without_secrets(f"MLflow at {uri} failed ({_first_line(error, uri)})", uri)
        if self.required:
            raise TrackingError(f"{failure}; check MLFLOW_TRACKING_URI and the server, then run it again") from error
        log.warning("%s; this run is not recorded any further. %s", failure, self.remedy)

    def end_run(self, run_id: str, status: str, ended_ms: int | None = None) -> None:
        """Close a run; it is FINISHED only if everything arrived, and FAILED at best over a broken connection."""
        if self.alive:
            with self.protected():
                self.client.set_terminated(run_id, status, ended_ms)
        elif self._worth_a_last_word:
            self._worth_a_last_word = False  # until one arrives, since each may take seconds
            with environment.single_attempt(), suppress(Exception):  # the user was told; the stage's next run closes it
                self.client.set_terminated(run_id, "FAILED" if status == "FINISHED" else status)
                self._worth_a_last_word = True


class Connected(Protocol):
    """An object with a connection."""

    @property
    def connection(self) -> Connection:
        """The way to the store."""
        ...


C = TypeVar("C", bound=Connected)


def while_connected(method: Callable[Concatenate[C, P], T]) -> Callable[Concatenate[C, P], T | None]:
    """Make a method do nothing and return None when the connection is broken or breaks in it."""

    @wraps(method)
    def guarded(self: C, /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        if self.connection.alive:
            with self.connection.protected():
                return method(self, *args, **kwargs)
        return None

    return guarded


def _is_of_the_store(error: Exception) -> bool:
    return (
        isinstance(error, OSError | sqlite3.Error | UnusableStoreError)
        or type(error).__module__.partition(".")[0] in _STORE_PACKAGES
    )


def _cause(error: BaseException) -> BaseException:
    """Return what the database itself said, if that lies within; SQLAlchemy begins with what it was about to do."""
    within: BaseException | None = error
    while within is not None:
        if isinstance(said := getattr(within, "orig", None), BaseException):
            return said
        within = within.__cause__
    return error


def _first_line(error: Exception, uri: str) -> str:
    cause = _cause(error)
    text = without_secrets(str(cause).strip() or type(cause).__name__, uri)  # whole: a cut password is still one
    line = text.splitlines()[0]
    return line if len(line) <= 200 else line[:200] + "..."
