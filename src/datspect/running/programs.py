"""Ask other programs within a limit of seconds, and tell of this machine without naming its user."""

import getpass
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from datspect.running.addresses import without_password

TOO_SLOW = 124
"""Code of a program that was ended since its time was over, as `timeout` of a shell has it."""
NOT_FOUND = 127
"""Code of a program that is not there, as shells have it."""

_asked: "set[subprocess.Popen[str]]" = set()
"""Programs that have not answered yet."""


@dataclass(frozen=True)
class Said:
    """What a program wrote until it ended: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str = ""

    @property
    def last_line(self) -> str:
        """The last line on standard error, else on standard output: usually why a program failed."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1].strip() if lines else ""


def said_by(
    command: Sequence[str], *, seconds: float, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Said:
    """Run a program and return what it said; after `seconds` it is ended with all that it has started.

    `environment`: variables in addition to those of this process.
    """
    try:
        process = subprocess.Popen(  # noqa: S603  (the callers' own fixed commands)
            command, cwd=folder, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return Said(NOT_FOUND, "", error.strerror or type(error).__name__)
    _asked.add(process)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _end(process)
        process.communicate()
        return Said(TOO_SLOW, "", f"no answer within {seconds:g} s")
    except BaseException:
        _end(process)
        raise
    finally:
        _asked.discard(process)
    return Said(process.returncode, out, err)


@contextmanager
def ended_with_block() -> Iterator[None]:
    """End every program that was asked if the block is left by Ctrl-C or an error: threads that wait for them go on."""
    try:
        yield
    except BaseException:
        for process in list(_asked):
            _end(process)
        raise


def _end(process: "subprocess.Popen[str]") -> None:
    if not hasattr(os, "killpg"):
        process.kill()
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def unnamed(text: str) -> str:
    """Return `text` fit to be shown to others: the home folder as ~, no user name in a path, no login in an address.

    >>> unnamed("stored in postgresql://ann:secret@host/db")
    'stored in postgresql://host/db'
    """
    home = str(Path.home())
    if len(home) > 1:
        text = re.sub(rf"{re.escape(home)}(?![\w-])", "~", text)
    with suppress(OSError, KeyError):  # a user without a name
        user = re.escape(getpass.getuser())
        text = re.sub(rf"(?<=[/\\]){user}(?=[/\\\s'\":,;]|$)", "USER", text)
    return without_password(text)
