"""Run child processes that download: kill one that makes no progress, leave it alone as long as it does."""

import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from datspect.errors import WeightsError

START_SECONDS = 120.0
"""Limit on the time until a program first touches its folder: cold imports are not a stalled download."""

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_BETWEEN_REPORTS = 10.0

log = logging.getLogger(__name__)


def run_while_progressing(
    command: Sequence[str],
    watched: Path,
    *,
    stalled_seconds: float,
    environment: Mapping[str, str],
    start_seconds: float = START_SECONDS,
) -> None:
    """Run `command` until it ends, or kill it when what lies below `watched` stays the same for `stalled_seconds`.

    Parameters
    ----------
    watched : the folder that the program downloads into; until it first changes, `start_seconds` are allowed
    environment : variables in addition to those of this process

    Raises
    ------
    WeightsError : the program was killed or ended with an error; the message holds the last line that it wrote.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(  # noqa: S603 - the callers' own fixed commands
            command,
            stdin=subprocess.PIPE,  # its end tells the child that this process is gone
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={**os.environ, **environment},
        )
        try:
            _wait_while_progressing(process, watched, stalled_seconds, start_seconds)
        finally:
            process.kill()
            process.communicate()
        if process.returncode != 0:
            said.seek(0)
            raise WeightsError(_last_line(said.read()) or f"ended with exit code {process.returncode}")


def _wait_while_progressing(
    process: "subprocess.Popen[bytes]", watched: Path, stalled_seconds: float, start_seconds: float
) -> None:
    state = _state(watched)
    allowed, changed = start_seconds, time.monotonic()
    reported = changed
    while process.poll() is None:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        now, new_state = time.monotonic(), _state(watched)
        if new_state != state:
            state, allowed, changed = new_state, stalled_seconds, now
        elif now - changed > allowed:
            raise WeightsError(f"no progress for {allowed:g} s at {_megabytes(state)}, ended")
        if now - reported > _SECONDS_BETWEEN_REPORTS:
            reported = now
            log.info("  %s so far", _megabytes(state))


def _state(folder: Path) -> tuple[int, int]:
    """Return the number of entries below `folder`, itself included, and the bytes in its files."""
    n_entries, n_bytes = int(folder.exists()), 0
    for path in folder.rglob("*"):
        try:
            n_bytes += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # renamed in between
            continue
        n_entries += 1
    return n_entries, n_bytes


def _megabytes(state: tuple[int, int]) -> str:
    return f"{state[1] / 1e6:.1f} MB"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
