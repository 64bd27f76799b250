"""Compute digests of files."""

import hashlib
from pathlib import Path
from typing import Literal


def file_digest(path: Path, algorithm: Literal["sha256", "md5"] = "sha256") -> str:
    """Return the digest of a file's bytes, hexadecimal; MD5 is only for publishers that name no other."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
