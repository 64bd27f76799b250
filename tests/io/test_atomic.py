"""A file is there whole, or as it was before."""

from pathlib import Path

import pytest

from datspect.io.atomic import replacing, write_text


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "old\n")
    with pytest.raises(OSError, match="full"), replacing(tmp_path / "new" / "a.txt") as unfinished:  # noqa: PT012
        unfinished.write_text("half", encoding="utf-8")
        raise OSError("the disk is full")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"old\n"


def test_text_is_utf_8_and_keeps_its_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "±\r\n\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc2\xb1\r\n\n"
