"""The database of studies: how it is named on a command line, and one that another release of Optuna made."""

import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.tuning.made_up_data import add_studies

from datspect.errors import TuningError
from datspect.tuning.quiet import quiet_optuna
from datspect.tuning.storage import ADDRESS_VARIABLE, address_for_a_shell, dashboard_commands, open_storage

EARLIER, LATER = "v3.0.0.d", "v99.0.0.a"


@pytest.fixture(autouse=True)
def no_address_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)


def made_by(folder: Path, schema: str) -> str:
    """A database whose tables carry the mark of another release."""
    address = add_studies(folder)
    with closing(sqlite3.connect(folder / "optuna.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (schema,))
        connection.execute("UPDATE version_info SET library_version = '3.1.0'")
    return address


@pytest.mark.slow
def test_a_database_of_an_earlier_release_is_upgraded_by_the_command_that_the_message_gives(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    address = made_by(folder, EARLIER)
    with quiet_optuna(), pytest.raises(TuningError, match=r"earlier release of Optuna .*\(3\.1\.0; ") as caught:
        open_storage(address)
    command = str(caught.value).splitlines()[-1].strip()
    assert command == f"optuna storage upgrade --storage {shlex.quote(address)}"
    program = [str(Path(sys.executable).with_name("optuna")), *shlex.split(command)[1:]]
    subprocess.run(program, check=True, capture_output=True)
    with quiet_optuna():
        open_storage(address).engine.dispose()


def test_a_database_of_a_later_release_needs_another_optuna(tmp_path: Path) -> None:
    address = made_by(tmp_path, LATER)
    with quiet_optuna(), pytest.raises(TuningError, match="pip install -U optuna") as caught:
        open_storage(address)
    assert "storage upgrade" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["postgresql://ann:secret@host/studies", "postgresql://host/studies?password=secret&user=ann"]
)
def test_no_command_line_holds_a_password(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert address_for_a_shell(address) is None
    assert dashboard_commands(address) == "make dashboard"
    monkeypatch.setenv(ADDRESS_VARIABLE, address)
    assert dashboard_commands("sqlite:///optuna.db") == 'make dashboard, or optuna-dashboard "$DATSPECT_STUDIES"'


def test_the_plain_command_names_the_file_from_anywhere(project: Path) -> None:
    shown = dashboard_commands("sqlite:///optuna.db")
    quoted = shlex.quote(f"sqlite:///{project / 'optuna.db'}")
    assert shown == f"make dashboard, or optuna-dashboard {quoted}"
