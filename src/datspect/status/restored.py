"""Tell which stages `dvc repro` would restore from DVC's cache instead of running them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datspect.release.dvc_cache import is_cached
from datspect.release.dvc_lock import LOCK_NAME, locked_stages

Changes = Mapping[str, Sequence[Any]]


def unchanged_but_for_outputs(root: Path, changes: Changes) -> list[str]:
    """Return the stages that would not run although `dvc status --json` lists them.

    Of these nothing has changed but outputs, deleted or overwritten, and what they read of other such stages; the cache
    has all that they wrote. A stage without anything to read always runs. What else DVC would find in its run cache,
    from an earlier run with today's parameters and files, is not known here.
    """
    found = {name for name in changes if _only_files(changes[name]) and _can_be_restored(root, name, changes[name])}
    while True:
        written = [path for name in found for path in _changed(changes[name], "changed outs")]
        kept = {
            name for name in found if all(is_within(dep, written) for dep in _changed(changes[name], "changed deps"))
        }
        if kept == found:
            return [name for name in changes if name in found]
        found = kept


def _only_files(changes: Sequence[Any]) -> bool:
    """Return whether only files have changed: no command, no parameter, nothing that is new."""
    kinds = {"changed outs": ("deleted", "modified"), "changed deps": ("deleted", "modified")}
    return all(
        isinstance(change, Mapping)
        and all(how in kinds.get(kind, ()) for kind in change for how in change[kind].values())
        for change in changes
    )


def _can_be_restored(root: Path, name: str, changes: Sequence[Any]) -> bool:
    if not list(_changed(changes, "changed outs")):
        return True
    pipeline, _, stage = name.rpartition(":")  # a stage of another folder is called folder/dvc.yaml:stage
    lock = (root / pipeline).parent / LOCK_NAME if pipeline else root / LOCK_NAME
    locked = locked_stages(lock).get(stage, {}) if lock.is_file() else {}
    outputs = [out["md5"] for out in locked.get("outs", [])]
    return bool(locked.get("deps")) and bool(outputs) and all(is_cached(root, md5) for md5 in outputs)


def is_within(path: str, others: Sequence[str]) -> bool:
    """Return whether a path is one of others, lies in one of them, or holds one.

    >>> is_within("a/b", ["a"]), is_within("a", ["a/b"]), is_within("ab", ["a"])
    (True, True, False)
    """
    return any(path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/") for other in others)


def _changed(changes: Sequence[Any], kind: str) -> Iterator[str]:
    for change in changes:
        yield from change.get(kind, ())
