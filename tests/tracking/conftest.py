"""Programs that record a run, each in a process of its own."""

import sys
from collections.abc import Callable, Iterator
from subprocess import PIPE, Popen

import pytest

Start = Callable[..., "Popen[str]"]

# A shell that starts the tests in the background makes them ignore Ctrl-C, and the programs would inherit that.
_PROGRAM_START = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from datspect.tracking import open_run
"""


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python programs, in a fresh process each; none outlives the test."""
    processes: list[Popen[str]] = []

    def start_program(program: str) -> "Popen[str]":
        process = Popen([sys.executable, "-c", _PROGRAM_START + program], stdout=PIPE, stderr=PIPE, text=True)
        processes.append(process)
        return process

    yield start_program
    for process in processes:
        process.kill()
        process.communicate()
