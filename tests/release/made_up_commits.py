"""Results of the stages cv and final in commits of a repository, with DVC's cache, but without DVC."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tests.release.repositories import commit, run
from tests.tracking.made_up_results import PARAMS_PATH, write_result

from datspect.io.digests import file_digest
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table, write_table
from datspect.release.dvc_lock import content_md5

FILES = {"cv": ("run.json", "predictions.csv"), "final": ("run.json", "predictions.csv", "dev_predictions.csv")}


def write_results(root: Path, *stages: str, kind: str = "phantom", worse: bool = False) -> None:
    """Reports of stages on disk; with `worse` the first ten subjects of every table get the opposite answer."""
    for stage in stages:
        write_result(root, stage, kind)
        if worse:
            turn_answers(root / "reports" / stage)


def turn_answers(reports: Path, n: int = 10) -> None:
    record = read_json(reports / "run.json") | {"result_id": "another result"}
    for name in FILES[reports.name][1:]:
        table = read_table(reports / name)
        table.loc[: n - 1, "probability"] = 1 - table.loc[: n - 1, "probability"]
        write_table(reports / name, table)
        record["files"][name] = file_digest(reports / name)
    write_json(reports / "run.json", record)


def new_repository(root: Path) -> None:
    (root / ".gitignore").write_text("*\n!dvc.lock\n!params.yaml\n!.gitignore\n", encoding="utf-8")
    shutil.copy(PARAMS_PATH, root)
    run(root, "git", "init", "--quiet", "--initial-branch", "main")


def commit_results(root: Path, *stages: str, made_with: Mapping[str, Any] | None = None) -> str:
    """Put the reports on disk into the cache, and a dvc.lock that names them into a commit; return the commit.

    `made_with` are parameters of stage cv in dvc.lock.
    """
    locked = {}
    for stage in stages:
        outs = []
        for name in FILES[stage]:
            path = root / "reports" / stage / name
            md5 = content_md5(path)
            cached = root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
            cached.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, cached)
            outs.append({"path": f"reports/{stage}/{name}", "md5": md5})
        locked[stage] = {"cmd": "none", "params": {"params.yaml": dict(made_with or {})}, "outs": outs}
    with (root / "dvc.lock").open("w", encoding="utf-8") as file:
        YAML().dump({"schema": "2.0", "stages": locked}, file)
    return commit(root, "results")


def forget(root: Path, commit_name: str, path: str) -> None:
    """Remove from the cache what a commit's dvc.lock calls `path`."""
    lock = YAML(typ="safe").load(run(root, "git", "show", f"{commit_name}:dvc.lock"))
    (md5,) = [out["md5"] for stage in lock["stages"].values() for out in stage["outs"] if out["path"] == path]
    (root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
