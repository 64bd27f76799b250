"""What the graph leaves for `datspect register`: made-up results of its stages, in dvc.lock and in MLflow."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tests.release.repositories import commit_lock
from tests.reporting.results import made_up_panel, random_metrics
from tests.tracking.made_up_results import training_data, write_final

from datspect.io.records import read_json, write_json
from datspect.io.tables import write_table
from datspect.prediction.files import ARRAYS_NAME, MODEL_NAME, PARTS_NAME
from datspect.release.dvc_lock import content_md5
from datspect.release.registering import OUTPUTS
from datspect.release.registry import Registry
from datspect.training import to_mlflow


def write_graph_results(root: Path, kind: str = "phantom", weights: str = "weights") -> dict[str, Any]:
    """Every output of a version, and a commit of the dvc.lock that names them; gives run.json of stage `final`."""
    rng = np.random.default_rng(6)
    write_final(root, kind)
    run = read_json(root / "reports/final/run.json") | {"git": {"commit": "c" * 40, "dirty": False, "changed": []}}
    write_json(root / "reports/final/run.json", run)
    splits = training_data(kind, rng).splits
    write_table(root / "data/splits.csv", splits)
    subjects = splits[["scan_id", "subject_id", "label"]].assign(sex="female", age=60.0, site="one")
    write_table(root / "data/images/subjects.csv", subjects)
    folder = root / "models/predictor"
    parts = {"n_train": 18, "n_pd": 12, "preprocess": {"slices": [40]}}
    write_json(folder / PARTS_NAME, parts | {"doubt": {"limit": 0.2}, "withholding": {"at_most": 0.01}})
    (folder / MODEL_NAME).write_text(weights)
    (folder / ARRAYS_NAME).write_text("arrays")
    reports = root / "reports/predictor"
    test = splits[splits["role"] == "test"]
    write_table(reports / "predictions.csv", test.assign(prediction="pd"))
    decisions = random_metrics(rng, ("coverage", "conclusive_accuracy"))
    metrics = {"cohort_kind": kind, "training_role": decisions, "holdout_decisions": decisions}
    metrics |= {"holdout_withheld": {"share": 0.0}}
    write_json(reports / "metrics.json", metrics | {"holdout": random_metrics(rng)})
    (reports / "calibration.png").write_bytes(b"\x89PNG")
    write_robustness(root / "reports/robustness", kind, test)
    commit_lock(root, {path: content_md5(root / path) for path in OUTPUTS})
    return run


def write_robustness(folder: Path, kind: str, test: pd.DataFrame) -> None:
    """What stage `robustness` leaves of these scans in two rows."""
    rng = np.random.default_rng(8)
    write_json(folder / "metrics.json", made_up_panel(rng, kind))
    answers = pd.concat([test.assign(row=row, probability=rng.random(len(test))) for row in ("unaltered", "blur_8")])
    write_table(folder / "predictions.csv", answers)
    (folder / "robustness.png").write_bytes(b"\x89PNG of the panel")


def add_run(registry: Registry, root: Path, status: str = "FINISHED", *, share: bool = False) -> str:
    """The run of stage `final` for what lies below `root`, with its files, as the stage would have sent it."""
    record = read_json(root / "reports/final/run.json")
    with to_mlflow.open_relogged_run(record, registry.connection) as run:
        to_mlflow.log_final(run, root / "reports/final", root / "models/final", share_subject_level=share)
    if status != "FINISHED":
        registry.connection.client.set_terminated(run.run_id, status)
    return str(run.run_id)
