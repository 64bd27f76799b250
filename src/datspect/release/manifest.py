"""Cover every file of a version's folder by one digest, and find what differs from it. Nothing of it is imported."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datspect.errors import DatspectError
from datspect.io.digests import file_digest
from datspect.io.records import read_json, write_json

MANIFEST_NAME = "datspect_manifest.json"
"""The file in a version's folder that lists all others."""
MANIFEST_TAG = "datspect.manifest_sha256"
"""Tag of a version with the SHA-256 of that file; a version that was registered without one has none."""
MLFLOWS_NOTE = "registered_model_meta"
"""A file that MLflow writes beside a model when it fetches a version: no part of it, and never copied."""

_FORMAT = 1


def write_manifest(folder: Path) -> str:
    """List every file below `folder` with its SHA-256 in `MANIFEST_NAME`, and return the SHA-256 of that list."""
    files = {name: file_digest(folder / name) for name in sorted(_regular(folder))}
    write_json(folder / MANIFEST_NAME, {"format": _FORMAT, "files": files})
    return file_digest(folder / MANIFEST_NAME)


def manifest_digest(folder: Path) -> str:
    """Return the SHA-256 of the manifest in `folder`, "" if there is none."""
    path = folder / MANIFEST_NAME
    return file_digest(path) if path.is_file() and not path.is_symlink() else ""


def differences(folder: Path, digest: str) -> list[str]:
    """Return a line for each file below `folder` that is not what the manifest with this digest says.

    Files that were changed, added or taken away are named, and links and devices, which are no files, wherever they
    lead. If the manifest is another one, that comes first; what it lists is compared all the same, to say where.
    """
    found = [f"{_shown(name)} is a link or a device" for name in sorted(_irregular(folder))]
    present = manifest_digest(folder)
    if not present:
        return [f"{MANIFEST_NAME} is missing", *found]
    if present != digest:
        found.insert(0, f"{MANIFEST_NAME} has digest {present}, not {digest}")
    listed, there = _listed(folder), set(_regular(folder))
    found += [f"{_shown(name)} was changed" for name in sorted(there & set(listed)) if not _same(folder, name, listed)]
    found += [f"{_shown(name)} was added" for name in sorted(there - set(listed))]
    return found + [f"{_shown(name)} is missing" for name in sorted(set(listed) - there - set(_irregular(folder)))]


def _same(folder: Path, name: str, listed: dict[str, Any]) -> bool:
    return bool(file_digest(folder / name) == listed[name])


def _listed(folder: Path) -> dict[str, Any]:
    """Return what the manifest lists, empty if it is none; only its digest says that it can be trusted."""
    try:
        files = read_json(folder / MANIFEST_NAME)["files"]
    except (DatspectError, KeyError, TypeError, RecursionError):
        return {}
    return files if isinstance(files, dict) else {}


def _regular(folder: Path) -> Iterator[str]:
    """Yield the names of all files below a folder, the manifest left out, relative to it."""
    for name, mode in _entries(folder):
        if stat.S_ISREG(mode) and name != MANIFEST_NAME:
            yield name


def _irregular(folder: Path) -> Iterator[str]:
    for name, mode in _entries(folder):
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            yield name


def _entries(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield name and mode of everything below a folder but MLflow's note; links are not followed."""
    for place, folders, files in os.walk(folder, followlinks=False):
        for name in (*folders, *files):
            path = Path(place, name)
            if path != folder / MLFLOWS_NOTE:
                yield path.relative_to(folder).as_posix(), path.lstat().st_mode


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)
