"""Say by which commands outputs become what dvc.lock names again."""

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from datspect.release.dvc_cache import cached_path
from datspect.release.verifying import Difference, Output

Found = Mapping[Output, Sequence[Difference]]
"""How each output differs; those that are whole may be left out."""


def commands(root: Path, found: Found) -> list[str]:
    """Return the commands that mend what was found, stage after stage in the order of `found`.

    What is damaged in the cache is removed there first: DVC takes whatever lies under the right name for whole.
    """
    stages = dict.fromkeys(output.stage for output, ones in found.items() if ones)
    return [line for stage in stages for line in _of_stage(root, stage, found)]


def _of_stage(root: Path, stage: str, found: Found) -> list[str]:
    at = {
        place: [
            output
            for output, ones in found.items()
            if output.stage == stage and any(one.place == place for one in ones)
        ]
        for place in ("cache", "workspace")
    }
    in_cache = [one for output in at["cache"] for one in found[output] if one.place == "cache"]
    damaged = [one for one in in_cache if one.is_damage]
    lines = [f"rm -f {_shown(cached_path(root, one.expected))}" for one in damaged]
    if set(at["cache"]) & set(at["workspace"]) or any(output.in_git for output in at["workspace"]):
        remade = f"dvc repro {'--force -s ' if damaged else ''}{stage}"
        fetched = f"dvc fetch {_named(at['cache'])} && dvc checkout --force {_named(at['workspace'])}"
        return [*dict.fromkeys(lines), remade, f"  # or, if a remote of DVC has them: {fetched}"]
    if at["workspace"]:
        lines.append(f"dvc checkout --force {_named(at['workspace'])}")
    if at["cache"]:  # the workspace has all of it
        lines.append(f"dvc commit {stage}")
    return list(dict.fromkeys(lines))


def _named(outputs: Iterable[Output]) -> str:
    return shlex.join(output.path for output in outputs)


def _shown(path: Path) -> str:
    """Return a path as a shell takes it, from the current folder if it lies below."""
    here = Path.cwd()
    return shlex.quote(os.path.relpath(path, here) if path.is_relative_to(here) else str(path))
