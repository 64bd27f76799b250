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
    reason = _obstacle(folder)
    if reason:
        raise DatspectError(f"{option} {folder}: cannot be written ({reason}); name another folder")


def check_writable_file(path: Path, option: str) -> None:
    """Check that a file can be written or replaced.

    Raises
    ------
    DatspectError : it is a folder, or its own folder cannot be written to.
    """
    reason = "it is a folder" if path.is_dir() else _obstacle(path.absolute().parent)
    if reason:
        raise DatspectError(f"{option} {path}: cannot be written ({reason}); name another file")


def _obstacle(folder: Path) -> str:
    """Return why files cannot be put into a folder, "" if they can."""
    above = folder.absolute()
    try:
        while not above.exists() and not above.is_symlink():
            above = above.parent
        if not above.is_dir():
            return "a file or a link that leads nowhere is in the way"
        if not os.access(above, os.W_OK | os.X_OK):
            return "you may not write there"
        with tempfile.TemporaryFile(dir=above):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__
