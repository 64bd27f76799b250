"""Progress: a bar on a terminal, plain lines elsewhere."""

import sys

import pytest

from datspect.running.progress import on_terminal, progress

Printed = pytest.CaptureFixture[str]


def work(*, only_on_terminal: bool = False) -> None:
    steps = progress(range(3), total=3, what="counting", unit="step", only_on_terminal=only_on_terminal)
    assert list(steps) == [0, 1, 2]


def test_a_file_gets_whole_lines_without_carriage_returns_or_escape_codes(capsys: Printed) -> None:
    work()
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[-1].startswith("counting: 100 % (3/3 step), ")
    assert not {"\r", "\x1b"} & set(printed.err)
    assert all(line and line == line.strip() for line in lines)


def test_what_is_for_terminals_only_leaves_a_file_empty(capsys: Printed) -> None:
    work(only_on_terminal=True)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_that_is_written_over(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    work()
    assert "\rcounting: 100 % (3/3 step)" in capsys.readouterr().err


def test_a_dumb_terminal_gets_lines(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    assert not on_terminal()
    work()
    assert "\r" not in capsys.readouterr().err
