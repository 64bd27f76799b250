"""Find files in DVC's cache, `<cache>/files/md5/xx/rest`, and compute what DVC calls their digests."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from datspect.errors import PromotionError
from datspect.io.digests import file_digest
from datspect.io.records import read_json

FOLDER_MARK = ".dir"
"""Ends the digest of a folder, which is that of a listing of its files."""

_DEFAULT = ".dvc/cache"
_NOT_THERE = (FileNotFoundError, NotADirectoryError)


@cache
def cache_folder(root: Path) -> Path:
    """Return where DVC keeps files: its default place, or where it has been told; DVC is asked once per process.

    Raises
    ------
    PromotionError : DVC cannot say.
    """
    if not any((root / ".dvc" / name).is_file() for name in ("config", "config.local")):
        return root / _DEFAULT  # DVC does not know this folder
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603  (the user's DVC)
    if told.returncode:
        said = (told.stderr.strip() or "nothing").splitlines()[-1]
        raise PromotionError(f"dvc cache dir failed and said: {said}; mend .dvc/config, or install DVC")
    return Path(told.stdout.strip())


def cached_path(root: Path, md5: str) -> Path:
    """Return the path that a file has in the cache, be it there or not."""
    return cache_folder(root) / "files/md5" / md5[:2] / md5[2:]


def cached_file(root: Path, md5: str) -> Path | None:
    """Return the path of a file in the cache; None if it is not there."""
    path = cached_path(root, md5)
    return path if path.is_file() else None


def is_cached(root: Path, md5: str) -> bool:
    """Return whether a file, or a folder with all its files, is in the cache; nothing of it is read but the listing.

    A folder with a damaged listing is not, since its files cannot be told.
    """
    path = cached_file(root, md5)
    if path is None or not md5.endswith(FOLDER_MARK):
        return path is not None
    if found_md5(path) != md5.removesuffix(FOLDER_MARK):
        return False
    return all(cached_file(root, each.md5) for each in listed_files(path))


@dataclass(frozen=True)
class Listed:
    """A file of a folder, as the folder's listing in the cache names it."""

    path: str
    md5: str


def listed_files(listing: Path) -> Iterator[Listed]:
    """Yield what a folder's listing names; its digest must have been compared before."""
    entries: list[dict[str, Any]] = read_json(listing)
    for entry in entries:
        yield Listed(entry["relpath"], entry["md5"])


def found_md5(path: Path) -> str:
    """Return the MD5 of a file, "" if there is none, and in words why it cannot be read if so.

    >>> found_md5(Path("no such file"))
    ''
    """
    try:
        return file_digest(path, "md5")
    except _NOT_THERE:
        return ""
    except OSError as error:  # a folder in its place, or a disk that gives no answer
        return f"nothing that can be read ({error.strerror})"
