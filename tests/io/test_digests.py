"""Digests of files."""

from pathlib import Path

from datspect.io.digests import file_digest


def test_the_digests_of_nothing_are_the_published_ones(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_bytes(b"")
    assert file_digest(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert file_digest(path, "md5") == "d41d8cd98f00b204e9800998ecf8427e"
