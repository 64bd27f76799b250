"""Read what dvc.lock says of the graph's outputs, and compare it with files on disk and with commits."""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from datspect.errors import PromotionError
from datspect.io.digests import file_digest
from datspect.tracking.provenance import committed_text, git_answer

LOCK_NAME = "dvc.lock"


def locked_outputs(root: Path) -> dict[str, str]:
    """Return path (relative to the root) to MD5, as DVC computes it, of every output in dvc.lock.

    Raises
    ------
    PromotionError : there is no dvc.lock, or it is not a lock file.
    """
    return _outputs_of(locked_stages(root / LOCK_NAME))


def locked_stages(path: Path) -> dict[str, Any]:
    """Return what a lock file says of every stage, by name.

    Raises
    ------
    PromotionError : there is no such file, or it is not a lock file.
    """
    try:
        stages: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))["stages"]
        _outputs_of(stages)
    except FileNotFoundError:
        raise PromotionError(f"{path}: not found; run dvc repro first") from None
    except (YAMLError, KeyError, TypeError, AttributeError) as error:
        raise PromotionError(f"{path}: not a lock file of DVC ({type(error).__name__})") from error
    return stages


def outputs_in(lock: str) -> dict[str, str]:
    """Return path to MD5 of every output in the text of a lock file."""
    return _outputs_of(YAML(typ="safe", pure=True).load(lock)["stages"])


def _outputs_of(stages: dict[str, Any]) -> dict[str, str]:
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def recipe_digest(lock: str) -> str:
    """Return the SHA-256 of what the text of a lock file says but for what the stages made.

    That is every stage's command and parameters, and the files that it reads and no stage makes, alone or in a folder.
    """
    stages: dict[str, Any] = YAML(typ="safe", pure=True).load(lock)["stages"]
    made = _outputs_of(stages)
    recipe = {
        name: {
            "cmd": stage["cmd"],
            "params": stage.get("params", {}),
            "read": {
                dep["path"]: dep["md5"] for dep in stage.get("deps", []) if _output_with(dep["path"], made) not in made
            },
        }
        for name, stage in stages.items()
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def content_md5(path: Path) -> str:
    """Return the MD5 of a file or folder as DVC computes it; a folder's is that of a JSON list of its files.

    Raises
    ------
    PromotionError : there is no such file or folder.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        listed = [{"md5": content_md5(file), "relpath": file.relative_to(path).as_posix()} for file in files]
        text = json.dumps(sorted(listed, key=lambda entry: entry["relpath"]), sort_keys=True)
        return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}.dir"
    try:
        return file_digest(path, "md5")
    except FileNotFoundError:
        raise PromotionError(f"{path}: not found; run dvc repro, or dvc checkout") from None


def differing_outputs(root: Path, paths: list[str]) -> list[str]:
    """Return those of `paths` that dvc.lock does not know or whose files differ from what it says.

    A file in a folder that is an output differs if anything in the folder does.
    """
    locked = locked_outputs(root)
    output_of = {path: _output_with(path, locked) for path in paths}
    return [path for path, output in output_of.items() if locked.get(output) != content_md5(root / output)]


def _output_with(path: str, locked: Mapping[str, str]) -> str:
    """Return the output that a path is or lies in; the path itself if there is none."""
    return next((each for each in (path, *map(str, PurePosixPath(path).parents)) if each in locked), path)


def remark_on(root: Path, paths: Sequence[Path]) -> str:
    """Return a line that names those of `paths` which are not what dvc.lock names; "" if all are, or are not there.

    A stage that DVC did not see to its end leaves such files, and so does whoever edits one.
    """
    there = {str(path): os.path.relpath(path, root).replace(os.sep, "/") for path in paths if path.is_file()}
    if not there:
        return ""
    if not (root / LOCK_NAME).is_file():
        return f"there is no {LOCK_NAME}, so nothing says what these results were made from; run dvc repro"
    differing = differing_outputs(root, list(there.values()))
    return (
        f"NOT what {LOCK_NAME} names: {', '.join(differing)}; another start wrote there, or somebody did: run dvc "
        "repro, or dvc checkout for the results that it names"
        if differing
        else ""
    )


def commit_of(root: Path, outputs: dict[str, str]) -> str | None:
    """Return the latest commit of any branch whose dvc.lock has all of `outputs` (path to MD5), or None."""
    if not outputs:
        return None
    one = next(iter(outputs.values()))
    found = git_answer(root, "log", "--all", "--format=%H", "-S", one, "--", LOCK_NAME)
    candidates = ["HEAD", *found.split()] if found is not None else []
    for commit in candidates:
        lock = committed_text(root, commit, LOCK_NAME)
        if lock is not None and outputs.items() <= outputs_in(lock).items():
            return (git_answer(root, "log", "-1", "--format=%H", commit, "--", LOCK_NAME) or "").strip() or None
    return None


def has_commit(root: Path, commit: str) -> bool:
    """Return whether the repository knows a commit."""
    return git_answer(root, "cat-file", "-e", f"{commit}^{{commit}}") is not None


def commit_named(root: Path, name: str) -> str | None:
    """Return the commit that a branch, tag or other revision names; None if git knows no such name."""
    found = git_answer(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return found.strip() if found else None


def experiments_named(root: Path, name: str) -> dict[str, str]:
    """Return the commit of each DVC experiment of this name, by the commit that the experiment began from."""
    listed = git_answer(root, "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps") or ""
    refs = (re.fullmatch(r"refs/exps/(\w{2})/(\w{38})/(\S+) (\w+)", line) for line in listed.splitlines())
    return {ref[1] + ref[2]: ref[4] for ref in refs if ref and ref[3] == name}
