"""Fetch one file into a folder of its own, as a program of its own.

It runs as a child process, because only killing the process ends a download that hangs (name lookup, a silent socket).
It ends by itself when the parent that holds its standard input is gone.
"""

import os
import sys
import threading
import urllib.request
from pathlib import Path


def main(address: str, path: Path) -> None:
    """Write what lies at `address`, http or https, to `path`, whose folder is made."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    path.parent.mkdir(parents=True)
    urllib.request.urlretrieve(address, path)  # noqa: S310 - the callers' own fixed addresses


def _end_with_parent() -> None:
    os.read(0, 1)  # returns when the other end of the pipe closes
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
