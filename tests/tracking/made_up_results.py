"""What the stages cv, grouped and final would leave on disk, without training: random heads on random features."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd

from datspect.cohort.scope import Scope
from datspect.evaluation.metrics import TABLE_1_MEASURES
from datspect.io.records import read_json
from datspect.io.tables import write_table
from datspect.modeling.heads import FittedHead, Head, initial_weights
from datspect.params.whole import Params, load_params
from datspect.stages import final
from datspect.training import crossval, record, to_mlflow
from datspect.training.data import TrainingData
from datspect.training.out_of_fold import evaluate, write_reports
from datspect.training.settings import Settings, shown

N, N_FEATURES, N_EPOCHS = 24, 6, 5
REQUIREMENTS = ["keras==3.15.0", "numpy==2.4.0"]
PARAMS_PATH = Path(__file__).parents[2] / "params.yaml"


def params() -> Params:
    return load_params(PARAMS_PATH)


def training_data(kind: str, rng: np.random.Generator) -> TrainingData:
    numbers = np.arange(N)
    splits = pd.DataFrame(
        {
            "scan_id": [f"SCAN-OF-{k:02d}" for k in numbers],
            "subject_id": [f"SOMEBODY-{k:02d}" for k in numbers],
            "label": np.where(numbers % 3 > 0, "pd", "control"),
            "fold": numbers // 3 % 4 + 1,
            "role": np.where(numbers < 6, "test", "train"),
            "dev_fold": np.where(numbers < 6, 0, numbers // 3 % 2 + 1),
            "target": (numbers % 3 > 0).astype(np.int64),
        }
    )
    features = {
        "backbone_source": "random",
        "backbone_tensor_digest": "e" * 64,
        "precision": "float32",
        "draws": 2,
        "sha256_by_draw": ["f" * 64] * 3,
    }
    bank = rng.random((3, N, N_FEATURES)).astype(np.float16)
    return TrainingData(splits, bank, {"kind": kind, "n": N, "digest": "d" * 64}, features)


def write_result(root: Path, stage: str, kind: str = "phantom") -> dict[str, Any]:
    """reports/<stage> and models/<stage> below `root`; gives run.json."""
    shutil.copytree(_made(stage, kind), root, dirs_exist_ok=True)
    return dict(read_json(root / "reports" / stage / "run.json"))


@cache
def _made(stage: str, kind: str) -> Path:
    """A copy is quicker than drawing the figures again."""
    folder = Path(mkdtemp(prefix="datspect-test-"))
    WRITERS[stage](folder, kind)
    return folder


def write_cv(root: Path, kind: str = "phantom", run_id: str | None = None) -> None:
    """reports/cv and models/cv below `root`."""
    data = training_data(kind, np.random.default_rng(3))
    heads = crossval.cv_heads(data.splits["fold"].to_numpy(), params().classifier, params().training)
    _write_folds(root, "cv", data, heads, run_id)


def write_grouped(root: Path, kind: str = "phantom") -> None:
    """reports/grouped and models/grouped below `root`: three grouped folds, which are not the random ones."""
    data = training_data(kind, np.random.default_rng(5))
    folds = np.arange(N) // 4 % 3 + 1
    data = replace(data, splits=data.splits.assign(grouped_fold=folds))
    heads = crossval.grouped_heads(folds, params().classifier, params().training)
    _write_folds(root, "grouped", data, heads, place="grouped_fold")


def _write_folds(
    root: Path, stage: str, data: TrainingData, heads: list[Head], run_id: str | None = None, place: str = "fold"
) -> None:
    rng, reports, models = np.random.default_rng(6), root / "reports" / stage, root / "models" / stage
    fitted, scope = [_fitted(head, rng) for head in heads], Scope(data.kind)
    begun = _record(stage, root, data)
    evaluation = evaluate(heads, fitted, data, scope, place=place)
    write_reports(evaluation, fitted, "3-fold cross-validation", scope, "augmented", reports)
    saved = [_saved(models / f"{head.name}.keras", head, [N_FEATURES]) for head in heads]
    record.write_run_record(reports, begun, run_id, heads, fitted, saved, to_mlflow.FILES[stage])


def write_final(root: Path, kind: str = "phantom") -> None:
    """reports/final and models/final below `root`."""
    rng = np.random.default_rng(4)
    data, reports, models = training_data(kind, rng), root / "reports/final", root / "models/final"
    is_test = (data.splits["role"] == "test").to_numpy()
    dev_folds = data.splits["dev_fold"].to_numpy()
    heads = crossval.final_heads(is_test, dev_folds, params().classifier, params().training)
    fitted = [_fitted(head, rng) for head in heads]
    begun = _record("final", root, data)
    said = rng.random(is_test.sum()).astype(np.float32)
    evaluation = final.evaluate(heads, fitted, data, Scope(data.kind), is_test, said)
    final.write_reports(
        evaluation, fitted, rng.random((is_test.sum(), 20, 16, 3)), "augmented", "radiological", reports
    )
    saved = [_saved(models / "model.keras", heads[0], [20, 16, 3])]
    record.write_run_record(reports, begun, None, heads, fitted, saved, to_mlflow.FILES["final"])


def _record(stage: str, root: Path, data: TrainingData) -> dict[str, Any]:
    write_table(root / "splits.csv", data.splits.drop(columns="grouped_fold", errors="ignore"))
    settings = Settings(shown(params().model_dump(mode="json"), data.kind))
    splits = root / "splits.csv"
    return record.run_record(stage, data, params(), [splits], splits, REQUIREMENTS, settings)


def _fitted(head: Head, rng: np.random.Generator) -> FittedHead:
    history = {name: rng.random(N_EPOCHS) for name in (*TABLE_1_MEASURES, "learning_rate")}
    if not len(head.validation_rows):
        history |= {name: np.full(N_EPOCHS, np.nan) for name in ("validation_loss", "validation_accuracy")}
    return FittedHead(head.name, initial_weights(head, N_FEATURES), history)


def _saved(path: Path, head: Head, input_shape: list[int]) -> dict[str, Any]:
    """Bytes in the place of a model: what is sent is a file, which nobody opens on the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"weights of {head.name}".encode())
    return record.saved_model(path, head.name, input_shape)


WRITERS: dict[str, Callable[..., None]] = {"cv": write_cv, "final": write_final, "grouped": write_grouped}
