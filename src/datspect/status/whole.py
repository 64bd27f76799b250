"""Put the status of a project together: MLflow and DVC are asked by programs of their own, side by side."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from datspect.errors import ParamsError, WeightsError
from datspect.params.whole import Params, load_params
from datspect.prediction.files import predictor_digest
from datspect.running.addresses import sqlite_path
from datspect.running.programs import ended_with_block, said_by
from datspect.status.graph import graph_status
from datspect.status.project import as_numbers, cohort_status, recipe_status, results_status, study_status
from datspect.tracking.secrets import without_secrets
from datspect.tracking.store import tracking_uri

PREDICTOR = Path("models/predictor")
HEADLINES = ("roc_auc", "accuracy", "sensitivity", "specificity", "loss")
"""Measures of a version that are shown, out of fold on its training role."""
_VERSIONS = [sys.executable, "-m", "datspect.release.standing"]

Status = dict[str, Any]


def project_status(root: Path, seconds: float) -> Status:
    """Return where the project stands.

    Raises
    ------
    ParamsError : there is no project here, or params.yaml cannot be used.
    """
    missing = [name for name in ("dvc.yaml", "params.yaml") if not (root / name).is_file()]
    if missing:
        raise ParamsError(
            f"no project here: neither this folder nor one above it has {' and '.join(missing)}; change into a clone "
            "of the project (datspect doctor works everywhere)"
        )
    params = load_params(root / "params.yaml")
    with ThreadPoolExecutor(2) as pool, ended_with_block():
        graph, versions = pool.submit(graph_status, root, seconds), pool.submit(versions_status, root, seconds)
        here = {
            "cohort": cohort_status(root, params),
            "recipe": recipe_status(root),
            "study": study_status(root, params),
            "model": model_status(root, params),
            "results": results_status(root),
        }
        return {
            **here,
            "versions": _with_workspace(versions.result(), here["model"]["digest"]),
            "graph": graph.result(),
        }


def model_status(root: Path, params: Params) -> Status:
    """Return which model the parameters ask for, and the digest of the predictor on disk, None if there is none."""
    try:
        digest = predictor_digest(root / PREDICTOR)
    except WeightsError:
        digest = None
    return {"model": params.model, "digest": digest}


def versions_status(root: Path, seconds: float) -> Status:
    """Return the version of each alias, None where there is none, and why they are not known, "" if they are."""
    uri = tracking_uri(root)
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        return {"named": {}, "unknown": ""}
    said = said_by(_VERSIONS, seconds=seconds, folder=root)
    if said.code:
        return {"named": {}, "unknown": without_secrets(said.last_line.removeprefix("error: "), uri)}
    return {"named": json.loads(said.out.splitlines()[-1]), "unknown": ""}


def _with_workspace(found: Status, digest: str | None) -> Status:
    """Return champion and challenger with their headline figures, and whether the model on disk is either."""
    record: Status = {"champion": None, "challenger": None, "previous": None}
    for alias, version in found["named"].items():
        if version:
            measures = {name: as_numbers(text) for name, text in version["measures"].items()}
            shown = {name: measures[name] for name in HEADLINES if measures.get(name)}
            record[alias] = version | {"measures": shown, "is_workspace": digest == version["model_digest"]}
    return record | {"unknown": found["unknown"]}
