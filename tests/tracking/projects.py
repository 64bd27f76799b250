"""A project folder, a database of MLflow, and what that database holds."""

import os
from pathlib import Path

import pytest

from datspect.tracking.environment import quiet_mlflow
from datspect.tracking.store import connect


def clean_environment(patch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "DVC_", "DATSPECT_")):
            patch.delenv(name)
    # Set and removed: what a test leaves in these is undone afterwards.
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "DATSPECT_LAUNCHED_BY"):
        patch.setenv(name, "")
        patch.delenv(name)


def new_project(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """A repository root without a database, as the current folder."""
    clean_environment(patch)
    root = folder / "a project"
    root.mkdir()
    (root / "dvc.yaml").write_text("stages: {}\n")
    patch.chdir(root)
    return root


def migrate_database(folder: Path) -> None:
    """Make an empty database in a folder."""
    with pytest.MonkeyPatch.context() as patch, quiet_mlflow():
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        connect("template")


class Recorded:
    """What the project's database holds."""

    def __init__(self, root: Path, experiment: str = "datspect") -> None:
        import mlflow

        self.client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
        self.experiment = experiment

    def runs(self, condition: str = "") -> list:
        experiment = self.client.get_experiment_by_name(self.experiment)
        return list(self.client.search_runs([experiment.experiment_id], condition, order_by=["start_time ASC"]))

    def by_name(self) -> dict:
        return {run.info.run_name: run for run in self.runs()}

    def status(self) -> dict[str, str]:
        return {run.info.run_name: run.info.status for run in self.runs()}

    def parents(self) -> list:
        return [run for run in self.runs() if "mlflow.parentRunId" not in run.data.tags]

    def children(self, run_id: str) -> list:
        return [run for run in self.runs() if run.data.tags.get("mlflow.parentRunId") == run_id]

    def history(self, run_id: str, key: str) -> list[tuple[int, float]]:
        return sorted((m.step, m.value) for m in self.client.get_metric_history(run_id, key))

    def files(self, run_id: str) -> set[str]:
        return {Path(file.path).name for file in self.client.list_artifacts(run_id, "reports")}
