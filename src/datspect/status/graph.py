"""Say what `dvc repro` would do: which stages would run and why, and which may follow; DVC is asked as a program."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from datspect.running.programs import Said, said_by
from datspect.status.restored import is_within, unchanged_but_for_outputs

_STATUS = [sys.executable, "-m", "dvc", "status", "--json"]

Graph = dict[str, Any]


def graph_status(root: Path, seconds: float) -> Graph:
    """Return the stages that would run with their reasons, those that run if these make something else, and the rest.

    Keys: up_to_date (None if DVC did not answer), stages (reasons by stage), then (names), restored (reasons by stage
    that DVC's cache has all outputs of, so that it is not run), unknown (why).
    """
    said = said_by(_STATUS, seconds=seconds, folder=root, environment={"DVC_NO_ANALYTICS": "1"})
    if said.code:
        return {"up_to_date": None, "stages": {}, "then": [], "restored": {}, "unknown": why_unknown(said)}
    changes = json.loads(said.out)
    aside = unchanged_but_for_outputs(root, changes)
    stages = {name: reasons(each) for name, each in changes.items() if name not in aside}
    restored = {name: outputs for name in aside if (outputs := output_reasons(changes[name]))}
    pipeline = YAML(typ="safe", pure=True).load((root / "dvc.yaml").read_text("utf-8")) or {}
    following = followers(pipeline.get("stages") or {}, list(stages))
    return {"up_to_date": not changes, "stages": stages, "then": following, "restored": restored, "unknown": ""}


def why_unknown(said: Said) -> str:
    """Return why DVC could not say it.

    >>> why_unknown(Said(1, "", "ERROR: 'data/x' is busy, it is being blocked by:"))
    'DVC is at work here; ask again when it is done'
    """
    if " is busy" in said.err or "Unable to acquire lock" in said.err:
        return "DVC is at work here; ask again when it is done"
    errors = [line.removeprefix("ERROR: ") for line in said.err.splitlines() if line.startswith("ERROR: ")]
    return next(iter(errors), said.last_line) or f"dvc status ended with code {said.code}"


def reasons(changes: Sequence[Any]) -> list[str]:
    """Return why a stage would run, a line each, from what `dvc status --json` says of it.

    >>> reasons([{"changed deps": {"params.yaml": {"classifier.width": "modified"}, "src/a.py": "modified"}}])
    ['params.yaml: classifier.width modified', 'src/a.py modified']
    """
    return [line for change in changes for line in _lines(change)]


def output_reasons(changes: Sequence[Any]) -> list[str]:
    """Return those of the reasons that are outputs.

    >>> output_reasons([{"changed deps": {"x": "deleted"}}, {"changed outs": {"y": "deleted"}}])
    ['y deleted']
    """
    return [f"{path} {how}" for change in changes for path, how in change.get("changed outs", {}).items()]


def _lines(change: Any) -> Iterator[str]:
    if not isinstance(change, Mapping):
        yield str(change)  # changed command, always changed
        return
    for kind, paths in change.items():
        for path, how in paths.items():
            if isinstance(how, Mapping):
                yield f"{path}: {', '.join(f'{key} {what}' for key, what in how.items())}"
            else:
                yield f"{path} {how}{' (an output)' if kind == 'changed outs' else ''}"


def followers(stages: Mapping[str, Any], changed: Sequence[str]) -> list[str]:
    """Return the stages that read what the changed ones write, directly or not, in the order of dvc.yaml.

    >>> followers({"a": {"outs": ["x"]}, "b": {"deps": ["x"], "outs": ["y"]}, "c": {"deps": ["y"]}}, ["a"])
    ['b', 'c']
    """
    reached = set(changed)
    while True:
        written = [path for name in reached for path in _outputs(stages.get(name, {}))]
        more = {
            name for name, stage in stages.items() if any(is_within(dep, written) for dep in stage.get("deps", []))
        } - reached
        if not more:
            return [name for name in stages if name in reached - set(changed)]
        reached |= more


def _outputs(stage: Mapping[str, Any]) -> Iterator[str]:
    for kind in ("outs", "metrics", "plots"):
        for entry in stage.get(kind, []):
            yield from [entry] if isinstance(entry, str) else entry
