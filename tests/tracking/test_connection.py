"""What a user is told of a store that fails."""

import sqlite3

import pytest
import sqlalchemy.exc
from mlflow.exceptions import MlflowException

from datspect.tracking.connection import Connection

SAID = "attempt to write a readonly database"


def database_error() -> Exception:
    """As SQLAlchemy gives it within a flush: what it was about to do first, then what the database said."""
    error = sqlalchemy.exc.OperationalError("UPDATE runs SET status=?", {}, sqlite3.OperationalError(SAID))
    error.add_detail("raised as a result of Query-invoked autoflush")
    return error


def wrapped() -> Exception:
    outer = MlflowException("(raised as a result of Query-invoked autoflush; consider using a block)\n(sqlite3...)")
    outer.__cause__ = database_error()
    return outer


@pytest.mark.parametrize("error", [database_error(), wrapped()])
def test_what_the_database_said_is_told(
    error: Exception, empty_project: object, caplog: pytest.LogCaptureFixture
) -> None:
    connection = Connection()
    with connection.protected():
        raise error
    (entry,) = caplog.records
    assert f"failed ({SAID})" in entry.getMessage()
    assert not connection.alive
