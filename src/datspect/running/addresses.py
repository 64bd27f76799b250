"""Where databases lie: the repository root, SQLite files below it, and addresses fit to be shown."""

import os
import re
from pathlib import Path


def repository_root() -> Path:
    """The root that DVC names (also from within a throwaway copy), else the nearest parent with a DVC project."""
    if named := os.environ.get("DVC_ROOT"):
        return Path(named).absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file() or (folder / ".dvc").is_dir():
            return folder
    return here


def absolute_sqlite(address: str, root: Path) -> str:
    """`address` with a relative SQLite path taken from `root`; any other address as it is."""
    path = sqlite_path(address)
    if path is None or path.is_absolute():
        return address
    from sqlalchemy.engine import make_url

    return make_url(address).set(database=(root / path).as_posix()).render_as_string(hide_password=False)


def sqlite_path(address: str) -> Path | None:
    """Path of the database file that `address` names, None for a server or a database in memory."""
    if not address.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    database = make_url(address).database
    return Path(database) if database and not database.startswith((":memory:", "file:")) else None


def without_password(text: str) -> str:
    """`text` with the user and password of every address in it left out."""
    return re.sub(r"//[^/@\s]*@", "//", text)
