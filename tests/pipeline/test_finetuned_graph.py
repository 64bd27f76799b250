"""A graph with a network that is fine-tuned, through a kill -9, and both ways to train on JAX."""

import json
import time
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from datspect.training.bank import read_bank

from .conftest import SMALL_NETWORK, Graph, copied, stages_run

pytestmark = pytest.mark.slow

TRAINED: dict[str, dict[str, Any]] = {
    "preprocess": {"input_size": [48, 40]},
    "backbone": SMALL_NETWORK | {"trainable": "Conv_1"},
    "finetuning": {"precision": "float32"},
    "training": {"epochs": 20},
    "executor": {"workers": 2},
}


@pytest.fixture(scope="module")
def trained(tiny_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The cohort of the tiny graph without git and with nothing in MLflow yet, for a network that is fine-tuned."""
    graph = copied(tiny_graph, tmp_path_factory.mktemp("trained") / "project", ".git", "mlflow.db*", "mlruns")
    graph.prepare()
    graph.set_params(**TRAINED)
    return graph


def out_of_fold(graph: Graph) -> pd.DataFrame:
    return pd.read_csv(graph.folder / "reports/cv/predictions.csv").set_index("scan_id")


def kill_dvc_once_a_fold_is_finished(graph: Graph) -> None:
    """Start the graph and end DVC alone, as a scheduler does; stage and workers end by themselves."""
    process = graph.start("dvc", "repro", "cv")
    deadline = time.monotonic() + 600
    while not list(graph.folder.glob("models/.unfinished/cv/*/fold-*.npz")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=60)
    _, alive = psutil.wait_procs(below, timeout=60)
    assert not alive
    assert not list((graph.folder / "models").rglob("*-unfinished-*"))


def test_a_kill_costs_unfinished_folds_only_and_changes_nothing(trained: Graph) -> None:
    import mlflow

    kill_dvc_once_a_fold_is_finished(trained)
    kept = {path.stem for path in trained.folder.glob("models/.unfinished/cv/*/fold-*.npz")}
    assert 0 < len(kept) < 3
    trained.prepare()
    output = trained.repro()
    assert f"cv: {len(kept)} of 3 folds are finished from an earlier start" in output
    assert [path for path in trained.folder.glob("models/.unfinished/*") if path.is_dir()] == []
    bank = json.loads((trained.folder / "data/features/features.json").read_text("utf-8"))
    assert bank["draws"] == 0
    after_the_kill = trained.metrics()

    client = mlflow.MlflowClient(f"sqlite:///{trained.folder / 'mlflow.db'}")
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

    trained.run("dvc", "repro", "-f", "-s", "cv")
    assert trained.metrics() == after_the_kill
    scan = next((trained.folder / "data/phantom/cohort/volumes").glob("*.nii"))
    code, output = trained.command("predict", str(scan), "--format", "json")
    assert code == 0, output
    answer, _ = json.JSONDecoder().raw_decode(output[output.index("[\n") :])
    assert 0 <= answer[0]["error_risk"] <= 1
    assert 0 <= answer[0]["probability"] <= 1


def test_a_graph_that_fine_tunes_runs_on_jax_and_ends_the_same(trained: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    trained.run("dvc", "repro", "cv")  # again, should the test above not have come so far
    on_tensorflow = out_of_fold(trained)
    trained.set_params(executor={"workers": 1})  # which compiles once
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    ran = stages_run(trained.run("dvc", "repro", "-f", "--downstream", "features"))
    assert ran == [
        "features",
        "checks",
        "cv",
        "grouped",
        "final",
        "predictor",
        "other_groups",
        "robustness",
        "baselines",
        "report",
    ]
    assert_made_with_jax(trained)
    difference = (out_of_fold(trained)["probability"] - on_tensorflow["probability"]).abs()
    assert (difference < 0.05).mean() >= 0.9


def test_the_bank_and_the_heads_on_it_are_the_same_on_jax(
    tiny_graph: Graph, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = copied(tiny_graph, tmp_path_factory.mktemp("jax") / "project", ".git", "mlflow.db*", "mlruns")
    graph.prepare()
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    graph.run("dvc", "repro", "-f", "-s", "features")
    banks = [read_bank(one.folder / "data/features/bank.npy").astype(np.float32) for one in (graph, tiny_graph)]
    np.testing.assert_allclose(banks[0], banks[1], atol=5e-3 * banks[1].max())
    graph.run("dvc", "repro", "-f", "-s", "cv")
    assert_made_with_jax(graph)
    difference = (out_of_fold(graph)["probability"] - out_of_fold(tiny_graph)["probability"]).abs()
    assert (difference < 0.02).mean() >= 0.99


def assert_made_with_jax(graph: Graph) -> None:
    record = json.loads((graph.folder / "reports/cv/run.json").read_text("utf-8"))
    assert any(requirement.startswith("jax==") for requirement in record["requirements"])
