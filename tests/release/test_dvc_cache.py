"""Where DVC keeps files: it is asked once, and a cache that it has been told elsewhere is found there."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.release.repositories import run

from datspect.errors import PromotionError
from datspect.io.digests import file_digest
from datspect.release.dvc_cache import (
    Listed,
    cache_folder,
    cached_file,
    cached_path,
    found_md5,
    is_cached,
    listed_files,
)


def test_without_dvc_it_is_the_default_place(tmp_path: Path) -> None:
    md5 = "ab" + "c" * 30
    assert cache_folder(tmp_path) == tmp_path / ".dvc/cache"
    assert cached_path(tmp_path, md5) == tmp_path / ".dvc/cache/files/md5/ab" / ("c" * 30)
    assert cached_file(tmp_path, md5) is None
    cached_path(tmp_path, md5).parent.mkdir(parents=True)
    cached_path(tmp_path, md5).touch()
    assert cached_file(tmp_path, md5) == cached_path(tmp_path, md5)


def test_dvc_is_asked_once_however_many_files_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    asked = []

    def answer(command: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, f"{tmp_path}/elsewhere\n", "")

    monkeypatch.setattr("datspect.release.dvc_cache.subprocess.run", answer)
    for digit in "0123456789abcdef":
        assert cached_file(tmp_path, digit * 32) is None
    assert cached_path(tmp_path, "0" * 32).is_relative_to(tmp_path / "elsewhere/files/md5/00")
    assert len(asked) == 1


def test_what_dvc_says_of_its_own_trouble_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[cache\n")
    with pytest.raises(PromotionError, match=r"dvc cache dir failed and said: .+; mend \.dvc/config, or install DVC"):
        cache_folder(tmp_path)


@pytest.mark.slow
def test_a_cache_that_was_moved_is_found_where_dvc_was_told_it_is(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    run(root, "git", "init", "--quiet")
    run(root, sys.executable, "-m", "dvc", "init", "-q")
    (root / "file.txt").write_text("c")
    run(root, sys.executable, "-m", "dvc", "add", "-q", "file.txt")
    md5 = file_digest(root / "file.txt", "md5")
    found = cached_file(root, md5)
    assert found is not None
    assert found.read_text() == "c"
    assert cached_file(root, "0" * 32) is None
    copied = tmp_path / "a copy"
    shutil.copytree(root, copied)
    (copied / ".dvc/cache").rename(tmp_path / "shared")
    run(copied, sys.executable, "-m", "dvc", "cache", "dir", "--local", str(tmp_path / "shared"))
    assert cached_file(copied, md5) == tmp_path / "shared/files/md5" / md5[:2] / md5[2:]


def test_the_digest_of_a_file_is_told_from_none_and_from_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("c")
    assert found_md5(tmp_path / "file") == "4a8a08f09d37b73795649038408b5f33"  # of the letter
    assert found_md5(tmp_path / "gone") == found_md5(tmp_path / "file/below") == ""
    assert found_md5(tmp_path) == "nothing that can be read (Is a directory)"


def test_a_listing_names_its_files(tmp_path: Path) -> None:
    (tmp_path / "listing").write_text('[{"md5": "1", "relpath": "a/b.csv"}, {"md5": "2", "relpath": "c.npy"}]')
    assert list(listed_files(tmp_path / "listing")) == [Listed("a/b.csv", "1"), Listed("c.npy", "2")]


@pytest.mark.parametrize("damaged", [b"", b"[{", b"\xff\xfe", b"{}", b"[1]", b'[{"relpath": "a"}]'])
def test_a_folder_is_cached_with_all_its_files_unless_its_listing_is_damaged(tmp_path: Path, damaged: bytes) -> None:
    listing, file = b'[{"md5": "cd%s", "relpath": "a.csv"}]' % (b"0" * 30), cached_path(tmp_path, "cd" + "0" * 30)
    md5 = f"{hashlib.md5(listing, usedforsecurity=False).hexdigest()}.dir"
    for path, content in ((cached_path(tmp_path, md5), listing), (file, b"x")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert is_cached(tmp_path, md5)
    cached_path(tmp_path, md5).write_bytes(damaged)
    assert not is_cached(tmp_path, md5)
    cached_path(tmp_path, md5).write_bytes(listing)
    file.unlink()
    assert not is_cached(tmp_path, md5)
