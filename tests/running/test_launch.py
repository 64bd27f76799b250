"""A program ends with one line for what its user can mend."""

import errno
import logging
from pathlib import Path

import pandas as pd
import pytest

from datspect.errors import DatspectError
from datspect.io.tables import write_table
from datspect.running.launch import launch, with_clear_errors


def ended_by(error: BaseException) -> str:
    def app() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        with_clear_errors(app)
    return str(end.value.code)


def test_an_error_of_ours_is_its_message() -> None:
    assert ended_by(DatspectError("scan 7: no\n  second\x1b[2J line")) == "error: scan 7: no\n  second\\x1b[2J line"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_more_is_one_line(code: int) -> None:
    said = ended_by(OSError(code, "No room", "data/splits.csv"))
    assert said.startswith("error: No room (data/splits.csv);")
    assert "\n" not in said


def test_another_error_of_the_system_is_not_hidden() -> None:
    with pytest.raises(PermissionError):
        with_clear_errors(lambda: (_ for _ in ()).throw(PermissionError(errno.EACCES, "no")))


def test_a_table_that_finds_no_room_leaves_nothing_and_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "splits.csv"
    write_table(path, pd.DataFrame({"a": [1]}))
    before = path.read_bytes()

    def full(self: pd.DataFrame, target: object, **_options: object) -> None:
        Path(str(target)).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OSError, match="No space left"):
        write_table(path, pd.DataFrame({"a": [2]}))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["splits.csv"]


def test_log_lines_do_not_steer_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr("sys.argv", ["stage"])

    def main() -> None:
        logging.getLogger("datspect.test").warning("scan %s is bad", "a\x1b[2Jb")

    with pytest.raises(SystemExit):
        launch(main)
    assert capsys.readouterr().err == "scan a\\x1b[2Jb is bad\n"
