"""Let MLflow find its files again after the repository was moved or copied: its database names them absolutely."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from datspect.tracking.remedies import UnusableStoreError

log = logging.getLogger(__name__)

ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
    ("workspaces", "default_artifact_root"),
    ("workspaces", "trace_archival_location"),
)
"""Tables and columns in which MLflow keeps the addresses of folders."""

FOLDER = "mlruns"
"""Where the files of all runs and models lie, below the repository's root."""

_TRACE_TAG = "mlflow.artifactLocation"
_WITH_FILES = ("runs", "logged_models")
_WAIT_SECONDS = 60.0  # the UI may be writing
_MARK = "datspect_repository"  # a table of our own, which MLflow leaves alone: where the database was last opened


@dataclass(frozen=True)
class Address:
    """A folder that a row names, below a folder `mlruns` of this machine or of another."""

    table: str
    column: str
    row: int
    text: str
    path: Path

    @property
    def home(self) -> Path:
        """The last folder `mlruns` on the path."""
        return next(folder for folder in (self.path, *self.path.parents) if folder.name == FOLDER)

    def below(self, home: Path) -> "Address":
        """Return the same folder below another `mlruns`, written in the same way."""
        path = home / self.path.relative_to(self.home)
        return Address(self.table, self.column, self.row, _written_like(self.text, path), path)


def follow_repository(database: Path, root: Path) -> None:
    """Make the database lead to `<root>/mlruns` where it still leads to where the repository was; say so in one line.

    Of a database inside the repository, all addresses are rewritten below the `mlruns` of where it was last opened, and
    below any other `mlruns` whose files have come along, be the old folder still there or not: a copy never reads or
    writes what it was copied from. A database elsewhere may serve several repositories: its addresses are rewritten
    only if the old folder is gone and the files are here. Artifacts that were put elsewhere on purpose stay there.

    Raises
    ------
    UnusableStoreError : the addresses are wrong, and the database cannot be written to.
    """
    home, own = root / FOLDER, database.resolve().is_relative_to(root.resolve())
    with closing(sqlite3.connect(database, timeout=_WAIT_SECONDS, isolation_level=None)) as connection:
        if not _outdated(connection, home, own) and (not own or _mark(connection) == str(home)):
            return
        try:
            connection.execute("begin immediate")
            outdated = _outdated(connection, home, own)
            _rewrite(connection, outdated, home)
            if own:
                _set_mark(connection, home)
            connection.execute("commit")
        except sqlite3.OperationalError as error:
            if not (outdated := _outdated(connection, home, own)):
                return  # nothing but the mark was to be written
            raise UnusableStoreError(
                f"{database} still names {outdated[0].home} for its files and cannot be written to ({error})",
                "Make it writable once, so that it follows the repository",
            ) from error
    if any(address.table != "experiments" for address in outdated):
        _say(outdated, home)


def _outdated(connection: sqlite3.Connection, home: Path, own: bool) -> list[Address]:
    """Return what is to be rewritten: the addresses below every old home of this repository."""
    addresses = [address for address in _addresses(connection) if address.home != home]
    if not addresses:
        return []
    was = _last_home(connection) if own else None
    came_along = {a.home for a in addresses if a.table in _WITH_FILES and a.below(home).path.exists()}
    gone = {old for old in {a.home for a in addresses} if not old.exists()}
    moved = {old for old in came_along if own or old in gone} | ({was} if was else set())
    moved = {old for old in moved if not (old.exists() and home.exists() and old.samefile(home))}
    return [address for address in addresses if address.home in moved]


def _addresses(connection: sqlite3.Connection) -> Iterator[Address]:
    """Find every address of a local folder that is called `mlruns` or lies below one."""
    for table, column in ADDRESSES:
        if not _has(connection, table, column):
            continue  # an earlier release of MLflow
        only = f" and key = '{_TRACE_TAG}'" if table == "trace_tags" else ""
        query = f"select rowid, {column} from {table} where {column} like '%{FOLDER}%'{only}"  # noqa: S608  (constants)
        for row, text in connection.execute(query):
            path = _local_path(text)
            if path is not None and FOLDER in path.parts:
                yield Address(table, column, row, text, path)


def _rewrite(connection: sqlite3.Connection, addresses: list[Address], home: Path) -> None:
    for address in addresses:
        update = f"update {address.table} set {address.column} = ? where rowid = ?"  # noqa: S608  (constants)
        connection.execute(update, (address.below(home).text, address.row))


def _last_home(connection: sqlite3.Connection) -> Path | None:
    """Return the `mlruns` of the repository that last opened the database.

    Without a mark, of an earlier release, it is where MLflow put the experiment that it creates by itself.
    """
    if mark := _mark(connection):
        return Path(mark)
    found = connection.execute("select artifact_location from experiments where experiment_id = 0").fetchone()
    path = _local_path(found[0]) if found and found[0] else None
    return path.parent if path is not None and path.parent.name == FOLDER else None


def _mark(connection: sqlite3.Connection) -> str | None:
    if not _has(connection, _MARK, "mlruns"):
        return None
    found = connection.execute(f"select mlruns from {_MARK}").fetchone()  # noqa: S608  (a constant)
    return str(found[0]) if found else None


def _set_mark(connection: sqlite3.Connection, home: Path) -> None:
    connection.execute(f"create table if not exists {_MARK} (mlruns text not null)")
    connection.execute(f"delete from {_MARK}")  # noqa: S608  (a constant)
    connection.execute(f"insert into {_MARK} values (?)", (str(home),))  # noqa: S608  (a constant)


def _has(connection: sqlite3.Connection, table: str, column: str) -> bool:
    return column in {row[1] for row in connection.execute(f"pragma table_info({table})")}


def _local_path(address: str) -> Path | None:
    """Return the path that an address names, None if it is not an absolute path of a local file system."""
    if address.startswith("file:"):
        parts = urlsplit(address)
        path = Path(unquote(parts.path)) if parts.netloc in ("", "localhost") else None
    else:
        path = Path(address)
    return path if path is not None and path.is_absolute() else None


def _written_like(text: str, path: Path) -> str:
    return path.as_uri() if text.startswith("file:") else path.as_posix()


def _say(outdated: list[Address], home: Path) -> None:
    homes = ", ".join(sorted({str(address.home) for address in outdated}))
    what = f"this repository was moved or copied: its MLflow now reads and writes {home}, no more {homes}"
    missing = [a for a in outdated if a.table in _WITH_FILES and _stayed_behind(a, home)]
    if missing:
        log.warning("%s; the files of %d runs and models are not here: copy that folder as well", what, len(missing))
    else:
        log.info("%s", what)


def _stayed_behind(address: Address, home: Path) -> bool:
    """Tell whether files are missing here; a run may have none, a model has some."""
    return not address.below(home).path.exists() and (address.path.exists() or address.table == "logged_models")
