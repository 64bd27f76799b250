"""A place is proved writable before the work, and nothing is left there."""

import os
from pathlib import Path

import pytest

from datspect.errors import DatspectError
from datspect.io.writable import check_writable_file, check_writable_folder


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("name", ["", "new", "new/deeper/still"])
def test_a_folder_that_can_be_made_or_filled_passes_and_is_not_made(tmp_path: Path, name: str) -> None:
    check_writable_folder(tmp_path / name, "--to")
    assert everything(tmp_path) == []


@pytest.mark.parametrize("name", ["file", "file/below", "dangling", "dangling/below"])
def test_a_file_or_a_link_in_the_way_is_refused_with_the_option(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(DatspectError, match=r"^--figure .*cannot be written \(.*name another folder"):
        check_writable_folder(tmp_path / name, "--figure")


def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may run as root, who may do anything
    for check in (check_writable_folder, check_writable_file):
        with pytest.raises(DatspectError, match="you may not write there"):
            check(tmp_path / "x", "--into")


def test_a_disk_that_takes_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(DatspectError, match="Read-only file system"):
        check_writable_folder(tmp_path, "--to")


def test_a_file_is_proved_by_its_folder_and_must_be_no_folder(tmp_path: Path) -> None:
    check_writable_file(tmp_path / "new.md", "--into")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DatspectError, match=r"\(it is a folder\); name another file"):
        check_writable_file(tmp_path / "folder", "--into")
    assert everything(tmp_path) == [tmp_path / "folder"]
