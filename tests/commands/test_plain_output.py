"""No escape code reaches a pipe, and no colour a terminal whose user wants none."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.commands.test_command_lines import commands
from tests.commands.test_exits import WRONG

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")

SOURCE = Path(__file__).parents[2] / "src"
COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3\d|4\d|9[0-7]|10[0-7])[;m]")
LINES = [f"{name} --help" for name in sorted(commands())] + ["--help", "import --help", "phantom --help", "nope"]
PROGRAM = """
import sys
from datspect.__main__ import main
for line in sys.stdin.read().splitlines():
    sys.argv = ["datspect", *line.split()]
    try:
        main()
    except SystemExit:
        pass
"""


def environment(**variables: str) -> dict[str, str]:
    unwanted = ("NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "COLUMNS")
    inherited = {name: value for name, value in os.environ.items() if name not in unwanted}
    return inherited | {"PYTHONPATH": str(SOURCE), "TERM": "xterm-256color"} | variables


def on_a_terminal(lines: list[str], folder: Path, **variables: str) -> bytes:
    """What one process prints on a pseudo-terminal for these command lines."""
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))  # rows, columns
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=folder, env=environment(**variables),
        stdin=subprocess.PIPE, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    assert process.stdin is not None
    process.stdin.write("\n".join(lines).encode())
    process.stdin.close()
    seen = b""
    try:
        while more := os.read(leader, 65536):
            seen += more
    except OSError:  # the other end is closed
        pass
    os.close(leader)
    process.wait(60)
    return seen


def in_pipes(lines: list[str], folder: Path, **variables: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=folder, env=environment(**variables), input="\n".join(lines).encode(),
        capture_output=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_colour_is_told_from_bold_type() -> None:
    assert all(
        COLOUR.search(code) for code in (b"\x1b[31m", b"\x1b[1;36m", b"\x1b[1;2;34m", b"\x1b[38;5;1m", b"\x1b[92m")
    )
    assert not any(COLOUR.search(code) for code in (b"\x1b[1m", b"\x1b[0m", b"\x1b[1;2m", b"33m"))


def test_helps_and_messages_have_no_escape_codes_in_pipes(tmp_path: Path) -> None:
    said = in_pipes([*LINES, *(f"{name} {wrong}" for name, wrong in WRONG.items())], tmp_path)
    assert said.count(b"Usage: datspect") >= len(LINES)
    assert not {0x1B, 0x0D} & set(said)


def test_a_terminal_has_colours_unless_its_user_wants_none(tmp_path: Path) -> None:
    assert COLOUR.search(on_a_terminal(LINES, tmp_path))
    assert not COLOUR.search(on_a_terminal(LINES, tmp_path, NO_COLOR="1"))


def test_colours_can_be_forced_into_a_pipe_and_no_color_wins(tmp_path: Path) -> None:
    lines = ["--help", "nope"]
    assert COLOUR.search(in_pipes(lines, tmp_path, FORCE_COLOR="1"))
    assert not COLOUR.search(in_pipes(lines, tmp_path, FORCE_COLOR="1", NO_COLOR="1"))


@pytest.mark.slow
def test_progress_is_a_bar_on_a_terminal_alone_whatever_is_said_of_colours(tmp_path: Path) -> None:
    line = ["doctor --seconds 1"]
    for colours in ({}, {"NO_COLOR": "1"}):
        assert b"\rdoctor: " in on_a_terminal(line, tmp_path, **colours)
    assert b"\rdoctor: " not in on_a_terminal(line, tmp_path, TERM="dumb").replace(b"\r\n", b"\n")
    assert b"doctor: " not in in_pipes(line, tmp_path, FORCE_COLOR="1")


def test_a_dumb_terminal_gets_no_escape_code_at_all(tmp_path: Path) -> None:
    assert b"\x1b" not in on_a_terminal(LINES, tmp_path, TERM="dumb")
