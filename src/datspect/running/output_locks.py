"""Let one process at a time write to a stage's outputs, and say who that is."""

import json
import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from datspect.errors import OutputTakenError

FOLDER = ".unfinished"
"""Folder beside an output that holds its lock."""

_SECONDS_FOR_AN_END = 15.0  # a process that was just told to end closes its run first

log = logging.getLogger("datspect.start")


@contextmanager
def outputs_taken(paths: Sequence[Path], seconds: float = _SECONDS_FOR_AN_END) -> Iterator[None]:
    """Hold files and folders for this process alone while the block runs; the system frees them if it is killed.

    What an earlier holder began to write there and never finished is removed. `seconds` is how long it may take a
    holder to end.

    Raises
    ------
    OutputTakenError : another process, or a worker that it left, holds one of `paths`.
    """
    with ExitStack() as stack:
        for path in sorted(paths):
            stack.enter_context(_taken(path, seconds))
        for path in paths:
            _remove_unfinished(path)
        yield


@contextmanager
def _taken(path: Path, seconds: float) -> Iterator[None]:
    folder = path.parent / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    lock, note = FileLock(folder / f"{path.name}.lock"), folder / f"{path.name}.json"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _wait_for(lock, path, note, seconds)
    try:
        note.write_text(json.dumps(_own_note()), encoding="utf-8")
        yield
        note.unlink(missing_ok=True)
    finally:
        lock.release()


def _wait_for(lock: FileLock, path: Path, note: Path, seconds: float) -> None:
    if seconds:
        log.info("%s: %s; waiting %.0f s for its end", path, _holder(note), seconds)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise OutputTakenError(
            f"{path}: {_holder(note)}; wait for its end, or end it (kill {_noted(note).get('pid', 'PID')} there), then "
            "start again"
        ) from None


def _own_note() -> dict[str, str | int]:
    """Return who this process is, without the folders of this machine."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.orig_argv]
    began = datetime.now().astimezone().isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "program": " ".join(words[:3]), "began": began}


def _noted(note: Path) -> dict[str, str | int]:
    try:
        noted: dict[str, str | int] = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # just being written
        return {}
    return noted


def _holder(note: Path) -> str:
    noted = _noted(note)
    if not noted:
        return "another process writes there"
    return f"process {noted['pid']} on {noted['host']} ({noted['program']}) writes there since {noted['began']}"


def _remove_unfinished(path: Path) -> None:
    """Remove files that a process which was killed had not finished, as io/atomic.py names them."""
    left = path.glob(".*-unfinished-*") if path.is_dir() else path.parent.glob(f".*-unfinished-{path.name}")
    for file in left:
        file.unlink(missing_ok=True)
