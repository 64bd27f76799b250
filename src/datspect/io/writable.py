"""Prove that something can be written before work begins whose result would be lost; nothing is left behind."""

import os
import tempfile
from pathlib import Path

from datspect.errors import DatspectError


def check_writable_folder(folder: Path, option: str) -> None:
    """Check that files can be put into a folder, which need not exist yet.

    Raises
    ------
    DatspectError : it is no folder, or nothing can be written to it or, before it exists, to the folder above.
    """
    above = folder.absolute()
    try:
        while not above.exists() and not above.is_symlink():
            above = above.parent
        if not above.is_dir():
            raise NotADirectoryError(0, "a file or a link that leads nowhere is in the way")
        if not os.access(above, os.W_OK | os.X_OK):
            raise PermissionError(0, "you may not write there")
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise DatspectError(f"{option} {folder}: cannot be written ({error.strerror}); name another folder") from None


def check_writable_file(path: Path, option: str) -> None:
    """Check that a file can be written or replaced.

    Raises
    ------
    DatspectError : it is a folder, or its own folder cannot be written to.
    """
    if path.is_dir():
        raise DatspectError(f"{option} {path}: cannot be written (it is a folder); name a file")
    check_writable_folder(path.absolute().parent, option)
