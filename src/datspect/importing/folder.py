"""Reserve the folder that an import fills: one import at a time, hidden from git, without half-written files."""

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from datspect.cohort.kind import CohortKind
from datspect.errors import CohortError, ImportingError
from datspect.importing.journal import JOURNAL_NAME
from datspect.io.records import read_json
from datspect.io.writable import check_writable_folder

LOCK_NAME = ".import.lock"
VOLUMES, TRANSFORMS, DOUBTFUL, REFUSED = FOLDERS = ("volumes", "transforms", "doubtful", "refused")
"""What is imported; how registered scans lie; pictures of those placed with some doubt, and of those not placed."""
_UNFINISHED = ".*-unfinished-*"  # as io.atomic names them


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Hold the target folder for this import alone, hidden from git; remove what a killed import left half-written.

    It holds volumes and tables of real people: nobody but its owner may look into it or read what is written.
    """
    _refuse_foreign(folder)
    before = os.umask(0o077)
    try:
        with _held(folder):
            yield
    finally:
        os.umask(before)


def check_target(folder: Path) -> None:
    """Refuse a folder that an import could not fill, before anything is read; write nothing.

    Raises
    ------
    DatspectError : it is in use, foreign, open to git, or cannot be written.
    """
    _refuse_foreign(folder)
    check_writable_folder(folder, "--to")
    if (folder / LOCK_NAME).exists():
        with _locked(folder):
            _refuse_tracked(folder)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    for name in FOLDERS:
        _make(folder / name)
    _close_to_others(folder)
    with _locked(folder):
        _hide_from_git(folder)
        remove(path for name in ("", *FOLDERS) for path in (folder / name).glob(_UNFINISHED))
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / LOCK_NAME, timeout=0):
            yield
    except Timeout:
        raise ImportingError(f"{folder}: another import is writing to this folder; wait until it has ended") from None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImportingError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from None


def _close_to_others(folder: Path) -> None:
    """Take from others what an import before, of another release, may have left them."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)


def _refuse_foreign(folder: Path) -> None:
    if any((above / "cohort.json").exists() for above in folder.absolute().parents):
        raise ImportingError(f"{folder}: lies within another cohort folder; choose a folder of its own")
    if not folder.exists() or (folder / JOURNAL_NAME).is_file():
        return
    if not folder.is_dir():
        raise ImportingError(f"{folder}: is a file; choose a folder")
    if _cohort_kind(folder) == CohortKind.PHANTOM:
        raise ImportingError(f"{folder}: holds a phantom cohort; choose another folder")
    begun = {".gitignore", LOCK_NAME, *FOLDERS}  # all that an import killed at once may have left
    is_begun = all(path.name in begun or path.match(_UNFINISHED) for path in folder.iterdir())
    if not is_begun or any((folder / VOLUMES).glob("[!.]*")):
        raise ImportingError(f"{folder}: holds files that no import has written; choose an empty or a new folder")


def _cohort_kind(folder: Path) -> str:
    try:
        return str(read_json(folder / "cohort.json").get("kind"))
    except (CohortError, AttributeError):
        return ""


def _hide_from_git(folder: Path) -> None:
    """Make git overlook the folder, and check that it does."""
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    _refuse_tracked(folder)


def _refuse_tracked(folder: Path) -> None:
    command = ["git", "-C", str(folder), "check-ignore", "--quiet", "participants.tsv"]
    try:
        answer = subprocess.run(command, capture_output=True, check=False)  # noqa: S603  (the user's git)
    except OSError:
        return  # no git, no repository
    if answer.returncode == 1:
        raise ImportingError(
            f"{folder}: git would take what is written here; add the line {folder.name}/ to the .gitignore beside the "
            "folder, and git rm --cached what is in git already"
        )


def remove(paths: Iterable[Path]) -> None:
    """Remove those of the files that exist."""
    for path in paths:
        path.unlink(missing_ok=True)
