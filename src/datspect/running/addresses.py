"""Find where databases lie: the repository root and SQLite files below it; make addresses fit to be shown."""

import os
import re
from pathlib import Path


def repository_root() -> Path:
    """Return the root that DVC names (also inside a throwaway copy), else the nearest parent with a DVC project."""
    if named := os.environ.get("DVC_ROOT"):
        return Path(named).absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file() or (folder / ".dvc").is_dir():
            return folder
    return here


def absolute_sqlite(address: str, root: Path) -> str:
    """Return `address` with a relative SQLite path made absolute from `root`; any other address as it is.

    >>> absolute_sqlite("sqlite:///mlflow.db", Path("/project"))
    'sqlite:////project/mlflow.db'
    >>> absolute_sqlite("http://server:5000", Path("/project"))
    'http://server:5000'
    """
    path = sqlite_path(address)
    if path is None or path.is_absolute():
        return address
    from sqlalchemy.engine import make_url

    return make_url(address).set(database=(root / path).as_posix()).render_as_string(hide_password=False)


def sqlite_path(address: str) -> Path | None:
    """Return the path of the database file that `address` names, None for a server or a database in memory."""
    if not address.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    database = make_url(address).database
    return Path(database) if database and not database.startswith((":memory:", "file:")) else None


def address_alone(url: str) -> str:
    """Return one address without login and query, whatever characters a password has; a path stays as it is.

    >>> address_alone("https://ann:p@s/s@host/dvc?sig=secret"), address_alone("/data/cohort@home")
    ('https://host/dvc', '/data/cohort@home')
    """
    scheme, slashes, rest = url.partition("://")
    return f"{scheme}{slashes}{rest.partition('?')[0].rpartition('@')[2]}" if slashes else url


def without_password(text: str) -> str:
    """Return `text` without the user and password of every address in it.

    >>> without_password("stored in postgresql://ann:secret@host/db")
    'stored in postgresql://host/db'
    """
    return re.sub(r"//[^/@\s]*@", "//", text)
