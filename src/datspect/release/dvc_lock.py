"""What dvc.lock says of the graph's outputs, and whether files on disk, or a commit, say the same."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from datspect.errors import PromotionError

LOCK_NAME = "dvc.lock"
_READ_BYTES = 1 << 20


def locked_outputs(root: Path) -> dict[str, str]:
    """Path, relative to the root, to MD5 of every output in dvc.lock, as DVC computes it.

    Raises
    ------
    PromotionError : there is no dvc.lock, or it is none.
    """
    path = root / LOCK_NAME
    try:
        return outputs_in(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PromotionError(f"{path}: not found; run dvc repro first") from None
    except (YAMLError, KeyError, TypeError, AttributeError) as error:
        raise PromotionError(f"{path}: not a lock file of DVC ({type(error).__name__})") from error


def outputs_in(lock: str) -> dict[str, str]:
    """The same, of the text of a lock file."""
    stages: dict[str, Any] = YAML(typ="safe", pure=True).load(lock)["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def content_md5(path: Path) -> str:
    """MD5 of a file, or of a folder, as DVC computes it: over the JSON list of its files and their MD5s.

    Raises
    ------
    PromotionError : there is no such file or folder.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        listed = [{"md5": content_md5(file), "relpath": file.relative_to(path).as_posix()} for file in files]
        text = json.dumps(sorted(listed, key=lambda entry: entry["relpath"]), sort_keys=True)
        return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}.dir"
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
    except FileNotFoundError:
        raise PromotionError(f"{path}: not found; run dvc repro, or dvc checkout") from None
    return digest.hexdigest()


def differing_outputs(root: Path, paths: list[str]) -> list[str]:
    """Those of `paths` that are not on disk what dvc.lock says, or that it does not know."""
    locked = locked_outputs(root)
    return [path for path in paths if locked.get(path) != content_md5(root / path)]


def commit_of(root: Path, outputs: dict[str, str]) -> str | None:
    """The latest commit of any branch whose dvc.lock has all of `outputs` (path to MD5); None if there is none."""
    rarest = next(iter(outputs.values()))
    found = _git(root, "log", "--all", "--format=%H", "-S", rarest, "--", LOCK_NAME)
    candidates = ["HEAD", *found.split()] if found is not None else []
    for commit in candidates:
        lock = _git(root, "show", f"{commit}:{LOCK_NAME}")
        if lock is not None and outputs.items() <= outputs_in(lock).items():
            return (_git(root, "log", "-1", "--format=%H", commit, "--", LOCK_NAME) or "").strip() or None
    return None


def has_commit(root: Path, commit: str) -> bool:
    """Whether the repository knows a commit."""
    return _git(root, "cat-file", "-e", f"{commit}^{{commit}}") is not None


def is_cached(root: Path, md5: str) -> bool:
    """Whether DVC's own cache, where it lies by default, has an output."""
    return (root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).exists()


def _git(root: Path, *arguments: str) -> str | None:
    """What git answers in `root`; None without git, or where it refuses."""
    command = ["git", "-C", str(root), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (the user's git)
    except OSError:
        return None
    return answer.stdout if answer.returncode == 0 else None
