"""Read the results of a commit, a DVC experiment or the workspace, with the parameters that they were made with."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from datspect.release.comparing import Contender
from datspect.release.dvc_cache import cached_file
from datspect.release.dvc_lock import LOCK_NAME, commit_named, experiments_named, outputs_in
from datspect.release.stage_results import JUDGED_SETS, STAGES, ComparisonError, Judged, JudgedSet, read_stage
from datspect.tracking.labels import flat_params, same_value
from datspect.tracking.provenance import committed_text

_PARAMS_NAME = "params.yaml"
_PHANTOM_LOCK = "data/phantom/dvc.lock"
_MAKERS = ("phantom", "preprocess", "split", "backbone", "features", "final", "cv")
"""Stages that make the results, in an order in which the last has the last word on a parameter that several use."""
_SHORT = 9  # characters of a commit in a title


def of_workspace(name: str, root: Path) -> Contender:
    """Return the results that lie on disk; `name` is what the user called them."""

    def find(stage: str, file: str) -> Path:
        path = root / "reports" / stage / file
        if not path.is_file():
            raise ComparisonError(f"reports/{stage}/{file} is not on disk; run dvc repro, or dvc checkout")
        return path

    judged, absent = _stages(find)
    texts = {path: _text_on_disk(root / path) for path in (_PARAMS_NAME, LOCK_NAME, _PHANTOM_LOCK)}
    params, remarks = _params(name, texts)
    return Contender(name, "the results on disk", params, judged, absent, remarks)


def of_commit(name: str, value: str, root: Path) -> Contender:
    """Return the results that dvc.lock of a commit names; `value` names the commit, or a DVC experiment.

    Raises
    ------
    ComparisonError : there is no such commit, or it has no dvc.lock.
    """
    commit, what = _commit(value, root)
    texts = {path: committed_text(root, commit, path) for path in (_PARAMS_NAME, LOCK_NAME, _PHANTOM_LOCK)}
    lock = texts[LOCK_NAME]
    if lock is None:
        raise ComparisonError(f"{value}: its commit {commit[:_SHORT]} has no {LOCK_NAME}, so it names no results")
    outputs = _outputs(lock, value)

    def find(stage: str, file: str) -> Path:
        path = f"reports/{stage}/{file}"
        if path not in outputs:
            raise ComparisonError(f"{LOCK_NAME} of {value} has no {path}: the stage was not run there")
        found = cached_file(root, outputs[path])
        if found is None:
            wanted = [path for path in _files_of(stage) if path in outputs and not cached_file(root, outputs[path])]
            raise ComparisonError(_to_fetch(commit, wanted))
        return found

    judged, absent = _stages(find)
    params, remarks = _params(name, texts)
    return Contender(name, f"{what}, commit {commit[:_SHORT]}", params, judged, absent, remarks)


def _files_of(stage: str) -> list[str]:
    files = ["run.json", *(each.file for each in JUDGED_SETS if each.stage == stage)]
    return [f"reports/{stage}/{file}" for file in files]


def _to_fetch(commit: str, paths: list[str]) -> str:
    listed = " ".join(paths)
    return (
        f"not in DVC's cache: {listed}. Check commit {commit[:_SHORT]} out, and dvc fetch them from a DVC remote (an "
        "experiment: dvc exp pull) or make them again with dvc repro"
    )


def _commit(name: str, root: Path) -> tuple[str, str]:
    """Return the commit that a DVC experiment or a revision of git names, and what it is."""
    experiments = experiments_named(root, name)
    head = commit_named(root, "HEAD")
    if len(experiments) > 1 and head in experiments:
        experiments = {head: experiments[head]}
    if len(experiments) > 1:
        listed = ", ".join(f"rev:{commit[:_SHORT]} (from {base[:_SHORT]})" for base, commit in experiments.items())
        raise ComparisonError(f"{name}: {len(experiments)} DVC experiments have this name; write one of {listed}")
    for commit in experiments.values():
        return commit, f"DVC experiment {name}"
    named = commit_named(root, name)
    if named is None:
        raise ComparisonError(
            f"{name}: no DVC experiment, branch, tag or commit of this repository. A and B may be an id of a run, a "
            "number or alias of a version (3, champion, version:NAME), a DVC experiment or a revision of git "
            "(rev:NAME), or workspace"
        )
    return named, f"revision {name}"


def _stages(find: Callable[[str, str], Path]) -> tuple[dict[JudgedSet, Judged], dict[str, str]]:
    """Return what the stages judged; a stage whose results are not to be had is named with the reason."""
    judged: dict[JudgedSet, Judged] = {}
    absent: dict[str, str] = {}
    for stage in STAGES:
        try:
            judged |= read_stage(stage, partial(find, stage))
        except ComparisonError as error:
            absent[stage] = str(error)
    return judged, absent


def _params(name: str, texts: Mapping[str, str | None]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return params.yaml as the results were made with it, and a remark where dvc.lock holds another value."""
    written = flat_params(_yaml(texts[_PARAMS_NAME], f"{_PARAMS_NAME} of {name}"))
    locks = [_yaml(texts[path], f"{path} of {name}").get("stages", {}) for path in (_PHANTOM_LOCK, LOCK_NAME)]
    by_stage = {stage: _locked_params(lock[stage]) for lock in locks for stage in _MAKERS if stage in lock}
    used = {key: value for stage in _MAKERS for key, value in by_stage.get(stage, {}).items()}
    changed = _differing(written, used)
    unlike = _differing(by_stage.get("cv", {}), by_stage.get("final", {}))
    remarks = []
    if changed:
        said = f"{name}: {_PARAMS_NAME} was changed after its results were made; shown is what they were made with"
        remarks.append(f"{said} ({', '.join(changed)}).")
    if unlike:
        said = f"{name}: stages cv and final were made with different values; shown are those of cv"
        remarks.append(f"{said} ({', '.join(unlike)}).")
    return written | used, tuple(remarks)


def _locked_params(stage: Mapping[str, Any]) -> dict[str, str]:
    files: Mapping[str, Any] = stage.get("params", {})
    return {key: value for params in files.values() for key, value in flat_params(params).items()}


def _differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    return sorted(key for key in first.keys() & second.keys() if not same_value(first[key], second[key]))


def _outputs(lock: str, name: str) -> dict[str, str]:
    try:
        return outputs_in(lock)
    except (YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ComparisonError(f"{LOCK_NAME} of {name}: not a lock file of DVC ({type(error).__name__})") from error


def _yaml(text: str | None, what: str) -> dict[str, Any]:
    try:
        content = YAML(typ="safe", pure=True).load(text or "") or {}
    except YAMLError as error:
        raise ComparisonError(f"{what}: not valid YAML") from error
    if not isinstance(content, dict):
        raise ComparisonError(f"{what}: no keys in it, but {type(content).__name__}")
    return content


def _text_on_disk(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
