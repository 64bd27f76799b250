"""Find and open the files of a download, in folders or within zips, without unpacking anything to disk."""

import io
import os
import re
import stat
import struct
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from datspect.errors import ImportingError, ScanError
from datspect.io.other_files import archive_problem, folder_problem, reading_problem, root_problem, zip_problem
from datspect.text import shown

MAX_FILES = 500_000
"""Most files below all roots together; a download of DaT scans has some thousands."""
MAX_SOURCE_BYTES = 1 << 30
"""A larger file is not a scan: the largest, raw projections, have some tens of megabytes."""
MAX_DIRECTORY_BYTES = 16 << 20
"""Size of a zip's table of contents, all of which is held in memory; enough for about 60,000 PPMI images."""

_CHUNK_BYTES = 1 << 20
_LOCAL_HEADER_BYTES = 30
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SPOILT = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    KeyError,
    ValueError,
    RuntimeError,
    OverflowError,
)
"""What zipfile raises for a zip that is spoilt, or that no longer holds what was found in it."""


@dataclass(frozen=True)
class Source:
    """A file, or a member of a zip.

    `name` is its path below the root it was found in, parts joined by "/"; it may name a patient. A zip within a
    folder is one of the parts, a zip that is itself a root is not.
    """

    container: Path
    member: str | None
    name: str
    size: int


@dataclass(frozen=True)
class UnusableSource:
    """A file that must not be opened; `name` is as in `Source`, `reason` names nobody."""

    name: str
    reason: str


Found = Source | UnusableSource
_Item = tuple[tuple[Path, str | None, str], Found]
"""A place (file, member, and the reason if unusable), which tells it from everything else, and what was found there."""


@dataclass(frozen=True)
class _Links:
    """Which links are followed: those that lead to files below the resolved `roots`, or with `everywhere` all."""

    roots: tuple[Path, ...]
    everywhere: bool

    def lead_outside(self, target: Path) -> bool:
        return not self.everywhere and not any(root == target or root in target.parents for root in self.roots)


def find_sources(roots: Sequence[Path], *, follow_links: bool = False) -> tuple[list[Source], list[UnusableSource]]:
    """Return all files below `roots` (folders, zips, single files) and in zips within folders, sorted by name.

    Files of one name below several roots have their folder's name before it. A link that is itself a root, or that
    leads to a file below a root, is followed and keeps its own name; with `follow_links` a link to any file or folder
    is. Files that a system leaves behind (names that begin with a dot, `__MACOSX`) are passed over and not counted. A
    file that two roots lead to, links included, is found once, by its name below the first; links below one root are
    files of their own, since stores that name files by content have one file for two equal scans. An archive that
    cannot be read, or that holds what an honest one never does, is unusable and does not stop the rest.

    Raises
    ------
    ImportingError : a root does not exist or cannot be read, or there are more than `MAX_FILES` files.
    """
    found: dict[tuple[Path, str | None, str], Found] = {}
    known: set[tuple[str, str | None, str]] = set()
    links = _Links(tuple(root.resolve() for root in roots), follow_links)
    for number, root in enumerate(roots, start=1):
        if not os.access(root, os.R_OK):
            raise ImportingError(f"download {number} of {len(roots)} as named on the command line {root_problem(root)}")
        below = set()
        for place, what in _below(_own_place(root), links):
            leads_to = (os.path.realpath(place[0]), *place[1:])
            if isinstance(what, Source) and leads_to in known:
                continue
            below.add(leads_to)
            found.setdefault(place, what)
            if len(found) > MAX_FILES:
                raise ImportingError(f"more than {MAX_FILES:,} files; name the folder that holds the DaT scans alone")
        known |= below
    uses = Counter(what.name for what in found.values())
    found = {place: _told_apart(what) if uses[what.name] > 1 else what for place, what in found.items()}
    ordered = sorted(found.items(), key=lambda item: (item[1].name, item[0][0]))
    sources = [what for _, what in ordered if isinstance(what, Source)]
    return sources, [what for _, what in ordered if isinstance(what, UnusableSource)]


def _own_place(root: Path) -> Path:
    """Return where a root is; a link to a file stays one, since what it leads to may be called by a digest."""
    return root.resolve() if root.is_dir() else root.parent.resolve() / root.name


def _told_apart(what: Found) -> Found:
    """Name a file by its folder too, since another root holds one of the same name."""
    if isinstance(what, UnusableSource) or what.member is not None:
        return what
    return replace(what, name=f"{_printable(what.container.parent.name)}/{what.name}")


@contextmanager
def opened(source: Source, limit_bytes: int) -> Iterator[BinaryIO]:
    """Give the whole file as a seekable stream in memory, of exactly `source.size` bytes.

    Raises
    ------
    ScanError : the file holds more than `limit_bytes`, is spoilt, or is not the file that was found.
    """
    if source.size > limit_bytes:
        raise ScanError(f"the file has {source.size:,} bytes; a scan may have {limit_bytes:,}; see whether it is one")
    try:
        content = _file_bytes(source) if source.member is None else _member_bytes(source, source.member)
    except _SPOILT as error:
        raise ScanError(reading_problem(error, in_zip=source.member is not None)) from None
    if len(content) != source.size:
        raise ScanError(f"expected {source.size:,} bytes, got {len(content):,}; the file changed or is cut short")
    yield io.BytesIO(content)


def _below(root: Path, links: _Links) -> Iterator[_Item]:
    if not root.is_dir():
        yield from _plain(root, _printable(root.name), root.stat(), is_root=True)
        return
    folders: list[tuple[Path, str]] = [(root, "")]
    linked: list[tuple[Path, str]] = []
    seen: set[Path] = set()
    while folders or linked:  # links come last, so that what has a place of its own is named by it
        linked.sort(key=lambda item: item[1], reverse=True)
        folder, above = (folders or linked).pop()
        if not links.everywhere or _is_new(folder, seen):
            yield from _within(folder, above, links, folders, linked)
        elif folder.is_symlink():
            yield _unusable(folder, above.rstrip("/"), "a link to a folder that is read already")


def _within(
    folder: Path, above: str, links: _Links, folders: list[tuple[Path, str]], linked: list[tuple[Path, str]]
) -> Iterator[_Item]:
    """Give the files of one folder; add folders in it, and links to folders that are followed, to the lists."""
    try:
        for entry in _entries(folder):
            name, path = f"{above}{_printable(entry.name)}", Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                folders.append((path, f"{name}/"))
            elif links.everywhere and os.path.isdir(path):  # noqa: PTH112  (Path.is_dir may raise for a link)
                linked.append((path, f"{name}/"))
            else:
                yield from _entry(entry, path, name, links)
    except OSError as error:
        yield _unusable(folder, above.rstrip("/"), folder_problem(error))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not _is_left_behind(entry.name))


def _entry(entry: os.DirEntry[str], path: Path, name: str, links: _Links) -> Iterator[_Item]:
    if entry.is_symlink():
        yield from _linked(path, name, links)
    else:
        yield from _plain(path, name, entry.stat(follow_symlinks=False))


def _is_new(folder: Path, seen: set[Path]) -> bool:
    resolved = folder.resolve()
    is_new = resolved not in seen
    seen.add(resolved)
    return is_new


def _linked(path: Path, name: str, links: _Links) -> Iterator[_Item]:
    """Follow a link to a plain file, or say why it is not followed."""
    try:
        target = path.resolve(strict=True)
        status = target.stat()
    except PermissionError:
        yield _unusable(path, name, "a link to what you may not read; ask its owner for the right")
        return
    except (OSError, RuntimeError):  # nothing there, or a circle of links
        yield _unusable(path, name, "a link that leads nowhere; fetch its file (datalad get, git annex get, dvc pull)")
        return
    if stat.S_ISDIR(status.st_mode):
        yield _unusable(path, name, "a link to a folder; name that folder too, or take --follow-links")
    elif links.lead_outside(target):
        yield _unusable(path, name, "a link that leads out of what was named; take --follow-links if that is meant")
    else:
        yield from _plain(path, name, status)


def _plain(path: Path, name: str, status: os.stat_result, *, is_root: bool = False) -> Iterator[_Item]:
    """Give a file, or all members if it is a zip; `status` is that of what a link leads to."""
    if not stat.S_ISREG(status.st_mode):
        yield _unusable(path, name, "no plain file")
    elif problem := archive_problem(name):
        yield _unusable(path, name, problem)
    elif _is_zip(name):
        yield from _members(path, "" if is_root else f"{name}/")
    else:
        yield _file(path, name, status)


def _file(path: Path, name: str, status: os.stat_result) -> _Item:
    if status.st_size > MAX_SOURCE_BYTES:
        return _unusable(path, name, f"{status.st_size:,} bytes are no scan; unpack it if it is an archive")
    return (path, None, ""), Source(path, None, name, status.st_size)


def _members(path: Path, above: str) -> Iterator[_Item]:
    try:
        members, size = _table_of_contents(path), path.stat().st_size
    except _SPOILT as error:
        yield _unusable(path, above.rstrip("/") or _printable(path.name), zip_problem(path, error))
        return
    if _overlap(members, size):
        reason = "a zip whose members lie over one another; it is spoilt or made to do harm"
        yield _unusable(path, above.rstrip("/") or _printable(path.name), reason)
        return
    uses = Counter(member.filename for member in members)
    for member in members:
        parts = _parts(member.filename)
        if member.filename.endswith(("/", "\\")) or any(map(_is_left_behind, parts)):
            continue
        name = above + "/".join(map(_printable, parts))
        reason = _member_problem(member, repeated=uses[member.filename] > 1)
        if reason:
            yield _unusable(path, name, reason, member.filename)
        else:
            yield (path, member.filename, ""), Source(path, member.filename, name, member.file_size)


def _member_problem(member: zipfile.ZipInfo, *, repeated: bool) -> str:
    kind = stat.S_IFMT(member.external_attr >> 16)
    slashed = member.filename.replace("\\", "/")
    checks = {
        "a member without a name": not _parts(slashed),
        "a path that leaves the zip": slashed.startswith("/") or ".." in slashed.split("/"),
        "a path with a drive letter": re.match(r"[A-Za-z]:", slashed) is not None,
        "no plain file but a link or the like": kind not in (0, stat.S_IFREG),
        "encrypted; unpack the zip with its password": bool(member.flag_bits & 0x41),
        "several members of the zip have this name; unpack it and keep the right one": repeated,
        "a zip within a zip; unpack the outer one": _is_zip(slashed),
        archive_problem(slashed): bool(archive_problem(slashed)),
        "packed in a way that is not supported; unpack the zip": member.compress_type not in _METHODS,
        f"{member.file_size:,} bytes when unpacked are no scan": member.file_size > MAX_SOURCE_BYTES,
    }
    return next((reason for reason, applies in checks.items() if applies), "")


def _overlap(members: Sequence[zipfile.ZipInfo], size: int) -> bool:
    """Return whether members share bytes or lie outside the file; headers count as short, so that honest zips pass."""
    placed = sorted((member.header_offset, member.compress_size, len(member.filename)) for member in members)
    ends = [start + _LOCAL_HEADER_BYTES + length + packed for start, packed, length in placed]
    starts = [start for start, _, _ in placed]
    return any(end > after for end, after in zip(ends, [*starts[1:], size], strict=False))


def _file_bytes(source: Source) -> bytes:
    with source.container.open("rb") as stream:
        return stream.read(source.size + 1)


def _member_bytes(source: Source, name: str) -> bytes:
    status = source.container.stat()
    user = (os.getpid(), threading.get_ident())
    archive = _archive(source.container, status.st_size, status.st_mtime_ns, user)
    member = archive.getinfo(name)
    if member.file_size != source.size or member.compress_type not in _METHODS:
        raise zipfile.BadZipFile("not the member that was found")
    chunks = []
    with archive.open(member) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            chunks.append(chunk)
    return b"".join(chunks)


@lru_cache(maxsize=64)
def _archive(path: Path, size: int, changed_ns: int, user: tuple[int, int]) -> zipfile.ZipFile:  # noqa: ARG001
    # The zip stays open, since a table of contents of thousands of members is slow to read. A changed file is opened
    # anew. Every process and thread opens its own: they would get in each other's way within one.
    _table_of_contents(path)
    return zipfile.ZipFile(path)


def _table_of_contents(path: Path) -> list[zipfile.ZipInfo]:
    with _Bounded(path.open("rb", buffering=0)) as stream, zipfile.ZipFile(stream) as archive:
        return archive.infolist()


class _Bounded(io.BufferedReader):
    """A file that refuses large reads; a zip's table of contents is read as one piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its table of contents is too large")
        return super().read(size)


def _unusable(path: Path, name: str, reason: str, member: str = "") -> _Item:
    return (path, member, reason), UnusableSource(name, reason)


def _is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def _is_left_behind(name: str) -> bool:
    return name == "__MACOSX" or (name.startswith(".") and name not in (".", ".."))


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


def _printable(name: str) -> str:
    # A name may hold any bytes; those that are not UTF-8 would stop whoever writes or hashes it.
    return shown(name.encode("utf-8", "replace").decode("utf-8"))
