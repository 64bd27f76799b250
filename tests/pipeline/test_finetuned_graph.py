"""The tiny graph with a network that is fine-tuned, through a kill -9, and both ways to train on JAX."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from .conftest import Graph, stages_run

pytestmark = pytest.mark.slow

TRAINED: dict[str, dict[str, Any]] = {
    "backbone": {"architecture": "MobileNetV2", "weights": None, "trainable": "Conv_1"},
    "finetuning": {"precision": "float32"},
    "training": {"epochs": 20},
}


def copied(graph: Graph, folder: Path) -> Graph:
    """The graph with its results in a folder of its own, and nothing in MLflow yet."""
    shutil.copytree(graph.folder, folder, ignore=shutil.ignore_patterns("mlflow.db*", "mlruns", "__pycache__"))
    return Graph(folder)


def out_of_fold(graph: Graph) -> pd.DataFrame:
    return pd.read_csv(graph.folder / "reports/cv/predictions.csv").set_index("scan_id")


def kill_once_a_fold_is_finished(graph: Graph) -> None:
    """Start the graph and end it, DVC, stage and workers, as a power cut would."""
    process = graph.start("dvc", "repro", "cv")
    deadline = time.monotonic() + 300
    while not list(graph.folder.glob("models/.unfinished/cv/*/fold-*.npz")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for one in [process, *psutil.Process(process.pid).children(recursive=True)]:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    process.communicate(timeout=60)


def test_a_kill_costs_unfinished_folds_only_and_changes_nothing(tiny_graph: Graph, tmp_path: Path) -> None:
    import mlflow

    graph = copied(tiny_graph, tmp_path / "project")
    graph.set_params(**TRAINED, executor={"workers": 2})
    kill_once_a_fold_is_finished(graph)
    kept = {path.stem for path in graph.folder.glob("models/.unfinished/cv/*/fold-*.npz")}
    assert 0 < len(kept) < 3
    graph.prepare()
    output = graph.repro()
    assert f"cv: {len(kept)} of 3 folds are finished from an earlier start" in output
    assert not list(graph.folder.glob("models/.unfinished/*"))
    bank = json.loads((graph.folder / "data/features/features.json").read_text("utf-8"))
    assert bank["draws"] == 0
    after_the_kill = graph.metrics()

    client = mlflow.MlflowClient(f"sqlite:///{graph.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("datspect")
    runs = client.search_runs([experiment.experiment_id], "tags.`datspect.stage` = 'cv'")
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert sorted(run.info.status for run in parents) == ["FINISHED", "KILLED"]
    (whole,) = [run for run in parents if run.info.status == "FINISHED"]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == whole.info.run_id]
    assert sorted(run.info.run_name for run in children) == ["fold-01", "fold-02", "fold-03"]
    for child in children:
        steps = sorted(point.step for point in client.get_metric_history(child.info.run_id, "epoch/train_loss"))
        assert (child.info.status, steps) == ("FINISHED", list(range(1, 21)))

    graph.run("dvc", "repro", "-f", "-s", "cv")
    assert graph.metrics() == after_the_kill
    scan = next((graph.folder / "data/phantom/cohort/volumes").glob("*.nii"))
    output = graph.run("datspect", "predict", str(scan), "--format", "json")
    answer, _ = json.JSONDecoder().raw_decode(output[output.index("[\n") :])
    assert answer[0]["agreement"] is None
    assert 0 <= answer[0]["probability"] <= 1


def test_the_graph_runs_on_jax_and_ends_the_same(
    tiny_graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = copied(tiny_graph, tmp_path / "project")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    ran = stages_run(graph.run("dvc", "repro", "-f", "--downstream", "features"))
    assert ran == ["features", "checks", "cv", "final", "predictor", "baselines", "report"]
    record = json.loads((graph.folder / "reports/cv/run.json").read_text("utf-8"))
    assert any(requirement.startswith("jax==") for requirement in record["requirements"])
    difference = (out_of_fold(graph)["probability"] - out_of_fold(tiny_graph)["probability"]).abs()
    assert (difference < 0.02).mean() >= 0.99
    graph.set_params(**TRAINED)
    graph.run("dvc", "repro", "cv")
    on_jax = out_of_fold(graph)
    monkeypatch.delenv("KERAS_BACKEND")
    graph.run("dvc", "repro", "-f", "-s", "cv")
    assert ((on_jax["probability"] - out_of_fold(graph)["probability"]).abs() < 0.05).mean() >= 0.9
