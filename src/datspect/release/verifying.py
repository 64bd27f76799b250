"""Compare every output of the graph, in the workspace and in DVC's cache, with the digest that dvc.lock names.

DVC itself trusts the name of a cached file: what was damaged there comes back by `dvc checkout` as if it were whole.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from datspect.errors import PromotionError
from datspect.release.dvc_cache import FOLDER_MARK, cached_path, found_md5, listed_files
from datspect.release.dvc_lock import LOCK_NAME, content_md5, locked_stages

Place = Literal["cache", "workspace"]
Told = Callable[[], object]
"""Hears of every file that was compared."""

_PIPELINE_NAME = "dvc.yaml"
_KINDS_OF_OUTPUTS = ("outs", "metrics", "plots")


@dataclass(frozen=True)
class Output:
    """A file or folder that a stage made, as a lock file names it.

    path : from the root of the repository
    stage : as `dvc repro` calls it
    n_files : how many files it has; in_git : git keeps it, and DVC's cache need not
    """

    path: str
    md5: str
    stage: str = ""
    n_files: int = 1
    in_git: bool = False


@dataclass(frozen=True)
class Difference:
    """A file that is not what dvc.lock says.

    path : from the root of the repository, of the cached file too
    expected : its MD5, "" if the folder's listing does not name it; found : "" if there is no such file
    """

    path: str
    place: Place
    expected: str
    found: str

    @property
    def is_damage(self) -> bool:
        """Whether there is something else in the place of the file."""
        return bool(self.found)

    def __str__(self) -> str:
        """Say it in one line, with both digests."""
        if self.place == "cache":
            if not self.found:
                return f"missing from the cache: {self.path} ({self.expected})"
            return f"damaged in the cache: {self.path}, expected {self.expected}, got {self.found}"
        if not self.expected:
            return f"changed in the workspace: {self.path} was added to the folder"
        return f"changed in the workspace: {self.path}, expected {self.expected}, got {self.found or 'no such file'}"


def graph_outputs(root: Path) -> list[Output]:
    """Return every output of dvc.lock, and of the pipelines below `data` that made what it reads.

    Raises
    ------
    PromotionError : there is no dvc.lock, or a lock file is not one.
    """
    stages = locked_stages(root / LOCK_NAME)
    read = {dep["path"] for stage in stages.values() for dep in stage.get("deps", [])}
    outputs = _outputs(root, root / LOCK_NAME, stages)
    for lock in sorted(root.glob(f"data/*/{LOCK_NAME}")):
        made = _outputs(root, lock, locked_stages(lock))
        if any(output.path in read for output in made):
            outputs = [*made, *outputs]
    return outputs


def differences(root: Path, output: Output, told: Told = lambda: None) -> list[Difference]:
    """Return how an output differs from its digest, in the cache and in the workspace; a folder file by file."""
    found = _of_folder if output.md5.endswith(FOLDER_MARK) else _of_file
    return [
        one
        for one in found(root, output.path, output.md5, told)
        if not (output.in_git and one.place == "cache" and not one.is_damage)
    ]


def _of_file(root: Path, path: str, md5: str, told: Told) -> Iterator[Difference]:
    for place, file in (("cache", cached_path(root, md5)), ("workspace", root / path)):
        found = found_md5(file)
        told()
        if found != md5:
            yield Difference(path, place, md5, found)  # type: ignore[arg-type]


def _of_folder(root: Path, path: str, md5: str, told: Told) -> Iterator[Difference]:
    listing = cached_path(root, md5)
    found = found_md5(listing)
    if f"{found}{FOLDER_MARK}" != md5:
        yield Difference(path, "cache", md5, found)  # nobody knows which files belong to it
        yield from _whole_folder(root, path, md5)
        return
    files = {f"{path}/{file.path}": file.md5 for file in listed_files(listing)}
    if not (root / path).is_dir():
        yield from _whole_folder(root, path, md5)
    for file, expected in files.items():
        for one in _of_file(root, file, expected, told):
            if one.place == "cache" or (root / path).is_dir():
                yield one
    there = (each.relative_to(root).as_posix() for each in (root / path).rglob("*") if each.is_file())
    yield from (Difference(file, "workspace", "", found_md5(root / file)) for file in sorted(set(there) - set(files)))


def _whole_folder(root: Path, path: str, md5: str) -> Iterator[Difference]:
    try:
        found = content_md5(root / path)
    except PromotionError:
        found = ""
    if found != md5:
        yield Difference(path, "workspace", md5, found)


@dataclass(frozen=True)
class Holding:
    """Whether this machine has an output whole; None if it has none of it, or another version's."""

    whole: bool | None
    finding: str


def holding(root: Path, path: str, md5: str, locked: Mapping[str, str]) -> Holding:
    """Hash an output with this digest where it is held: in the cache, and in the workspace if that is of its version.

    `locked`: path to digest of what dvc.lock of the workspace names.
    """
    found = differences(root, Output(path, md5))
    in_cache = [one for one in found if one.place == "cache"]
    in_workspace = [one for one in found if one.place == "workspace"]
    wrong = [one for one in in_cache if one.is_damage]
    if locked.get(path) == md5 and (root / path).exists():
        wrong += in_workspace
    if wrong:
        return Holding(False, in_words(wrong))
    if not in_cache:
        return Holding(True, "in DVC's cache")
    return Holding(None, "neither in the cache nor on disk") if in_workspace else Holding(True, "on disk")


def in_words(found: Iterable[Difference]) -> str:
    """Return differences as one line."""
    listed = [str(one) for one in found]
    return "; ".join(listed[:3]) + (f"; and {len(listed) - 3} more" if len(listed) > 3 else "")


def _outputs(root: Path, lock: Path, stages: Mapping[str, Any]) -> list[Output]:
    """Return the outputs of a lock file; where the stages ran, and what git keeps, only the pipeline says."""
    pipeline: Mapping[str, Any] = YAML(typ="safe", pure=True).load(lock.with_name(_PIPELINE_NAME)) or {}
    written = pipeline.get("stages") or {}
    where = "" if lock.parent == root else f"{lock.with_name(_PIPELINE_NAME).relative_to(root).as_posix()}:"
    outputs = []
    for name in sorted(stages, key=[*written, *stages].index):  # as the pipeline has them, each after what it reads
        stage, about = stages[name], written.get(name, {})
        folder = os.path.relpath(lock.parent / about.get("wdir", "."), root)
        in_git = _kept_by_git(about)
        for out in stage.get("outs", []):
            path = os.path.normpath(f"{folder}/{out['path']}").replace(os.sep, "/")
            kept = out["path"] in in_git
            outputs.append(Output(path, out["md5"], f"{where}{name}", out.get("nfiles", 1), kept))
    return outputs


def _kept_by_git(stage: Mapping[str, Any]) -> set[str]:
    entries = [entry for kind in _KINDS_OF_OUTPUTS for entry in stage.get(kind, []) if isinstance(entry, dict)]
    return {path for entry in entries for path, options in entry.items() if (options or {}).get("cache") is False}
