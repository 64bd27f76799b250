"""Part 3: two folds, fine-tuned by the product's own stages and recorded by them in MLflow on an SQLite database.

Stages `split` (in two), `features` (of the clean images) and `cv`, in the folder that `unpack.py` has laid out; then
what MLflow holds is read back: parameters, curves, metrics of each fold, system metrics, models.

    python -m gpu_bundle.training OUT [--epochs 30]
"""

import argparse
import json
import logging
import sqlite3
import time
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from datspect.modeling.compilation import on_accelerator
from datspect.params.whole import load_params
from datspect.stages import cv, features, split

IMAGES, BACKBONE, FEATURES = Path("data/images"), Path("models/backbone"), Path("data/features")
SPLITS, PARAMS = Path("data/two_folds.csv"), Path("two_folds.yaml")
DATABASE = Path("mlflow.db")
INITIAL_RATE = 1e-4
"""At the paper's 1e-3 fine-tuning ends at the share of the larger class (docs/gpu.md)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("datspect").setLevel(logging.INFO)
    write_params(arguments.epochs)
    seconds: dict[str, float] = {}
    result: dict[str, Any] = {"epochs": arguments.epochs, "seconds": seconds}
    stages = {
        "split": lambda: split.main(IMAGES / "subjects.csv", SPLITS, PARAMS),
        "features": lambda: features.main(IMAGES, BACKBONE, FEATURES, PARAMS),
        "cv": lambda: cv.main(IMAGES, FEATURES, BACKBONE, SPLITS, Path("models/cv"), Path("reports/cv"), PARAMS),
    }
    for name, run in stages.items():
        began = time.perf_counter()
        run()
        seconds[name] = time.perf_counter() - began
        write(arguments.out, result)
    result["metrics"] = json.loads(Path("reports/cv/metrics.json").read_text(encoding="utf-8"))
    result["mlflow"] = recorded(DATABASE, load_params(PARAMS).tracking.experiment)
    copy_database(DATABASE, arguments.out / DATABASE.name)
    write(arguments.out, result)
    out_of_fold = result["metrics"]["out_of_fold"]
    print(f"out of fold: accuracy {out_of_fold['accuracy']:.4f}, ROC AUC {out_of_fold['roc_auc']:.4f}")


def write(out: Path, result: dict[str, Any]) -> None:
    """training.json as far as it is known."""
    (out / "training.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def write_params(n_epochs: int) -> None:
    """The parameters of the bundle for two folds, all layers, few epochs; whole models go to MLflow."""
    params = load_params().model_dump(mode="json")
    params["split"] |= {"n_folds": 2, "n_dev_folds": 2}
    params["backbone"] |= {"trainable": "all", "precision": "float32"}
    params["finetuning"]["precision"] = "bfloat16" if on_accelerator() else "float32"
    params["training"]["epochs"] = n_epochs
    params["training"]["learning_rate"]["initial"] = INITIAL_RATE
    params["executor"] |= {"kind": "local", "workers": 1}
    params["tracking"]["log_fold_models"] = "all"
    PARAMS.write_text(json.dumps(params), encoding="utf-8")  # every JSON file is one of YAML


def recorded(database: Path, experiment_name: str) -> dict[str, Any]:
    """What MLflow holds of the run and of its children, one a fold."""
    client = MlflowClient(tracking_uri=f"sqlite:///{database.absolute()}")
    experiment = client.get_experiment_by_name(experiment_name)
    runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    models = client.search_logged_models([experiment.experiment_id])
    described = [_described(client, run) for run in runs]
    return {
        "run": next(each for each in described if each["parent"] is None),
        "folds": [each for each in described if each["parent"] is not None],
        "models": [_model(model) for model in models],
    }


def _described(client: Any, run: Any) -> dict[str, Any]:
    curves = {name: value for name, value in run.data.metrics.items() if name.startswith("epoch/")}
    system = {name: value for name, value in run.data.metrics.items() if name.startswith("system/")}
    history = {name: client.get_metric_history(run.info.run_id, name) for name in (*curves, *system)}
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "parent": run.data.tags.get("mlflow.parentRunId"),
        "tags": {name: value for name, value in run.data.tags.items() if name.startswith("datspect.")},
        "params": run.data.params,
        "metrics": {name: value for name, value in run.data.metrics.items() if name not in {*curves, *system}},
        "curves": {name: [point.value for point in history[name]] for name in curves},
        "system": {name: {"n": len(history[name]), "max": max(p.value for p in history[name])} for name in system},
    }


def _model(model: Any) -> dict[str, Any]:
    folder = Path(model.artifact_location.removeprefix("file://"))
    files = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    status = str(getattr(model.status, "value", model.status))
    return {"name": model.name, "run": model.source_run_id, "status": status, "files": files}


def copy_database(source: Path, target: Path) -> None:
    """A whole copy, whatever is still in SQLite's journal."""
    with sqlite3.connect(source) as given, sqlite3.connect(target) as copy:
        given.backup(copy)
    given.close()
    copy.close()


if __name__ == "__main__":
    main()
