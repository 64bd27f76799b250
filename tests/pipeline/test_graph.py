"""The graph as a user runs it: what it leaves, what it skips, what it restores, and what survives a kill."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from .conftest import MEASURED, STAGES, Graph, new_graph, stages_run

pytestmark = pytest.mark.slow

QUICK_STAGES = {"split": 0.1, "baselines": 0.5, "report": 0.5}
"""Those that are done within seconds, and how far into them they are killed."""


def read_metrics(graph: Graph, stage: str) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads(graph.metrics()[stage])
    return metrics


def test_every_subject_is_predicted_once_and_called_a_phantom(tiny_graph: Graph) -> None:
    reports = tiny_graph.folder / "reports"
    out_of_fold = pd.read_csv(reports / "cv" / "predictions.csv")
    holdout = pd.read_csv(reports / "final" / "predictions.csv")
    development = pd.read_csv(reports / "final" / "dev_predictions.csv")
    assert len(out_of_fold) == out_of_fold["subject_id"].nunique() == 24
    assert out_of_fold["probability"].between(0, 1).all()
    assert set(holdout["subject_id"]).isdisjoint(development["subject_id"])
    assert len(holdout) + len(development) == 24
    for stage in MEASURED:
        assert read_metrics(tiny_graph, stage)["cohort_kind"] == "phantom"


def test_metrics_follow_from_the_predictions(tiny_graph: Graph) -> None:
    table = pd.read_csv(tiny_graph.folder / "reports/cv/predictions.csv")
    right = ((table["probability"] >= 0.5) == (table["label"] == "pd")).mean()
    metrics = read_metrics(tiny_graph, "cv")
    assert metrics["out_of_fold"]["accuracy"] == pytest.approx(right)
    folds = pd.read_csv(tiny_graph.folder / "reports/cv/table1.csv")
    # Without dropout in validation, the last epoch's accuracy of a fold is that of its stored predictions.
    by_fold = (
        ((table["probability"] >= 0.5) == (table["label"] == "pd")).groupby(table["fold"]).mean().to_numpy(np.float64)
    )
    np.testing.assert_allclose(folds["validation_accuracy"], by_fold, atol=1e-6)
    assert metrics["cv"]["validation_accuracy_sd"] == pytest.approx(np.std(by_fold))


def test_the_saved_model_and_the_bank_agree(tiny_graph: Graph) -> None:
    assert read_metrics(tiny_graph, "final")["bank_difference_max"] < 0.02


def test_both_tables_are_printed(tiny_graph: Graph) -> None:
    printed = tiny_graph.run("datspect", "tables")
    assert "PHANTOM" in printed
    assert "Table 1: 3-fold" in printed
    accuracy = read_metrics(tiny_graph, "final")["holdout"]["accuracy"]
    assert f"{accuracy:.4f}" in printed
    assert "0.9848" in printed


def test_the_report_is_one_page_that_calls_the_cohort_a_phantom(tiny_graph: Graph) -> None:
    markdown = (tiny_graph.folder / "reports/report.md").read_text("utf-8")
    page = (tiny_graph.folder / "reports/report.html").read_text("utf-8")
    assert "PHANTOM" in markdown.splitlines()[0]
    for stage, place in (("cv", "out_of_fold"), ("final", "holdout")):
        metrics = read_metrics(tiny_graph, stage)[place]
        shown = f"{metrics['roc_auc']:.4f} ({metrics['roc_auc_low']:.4f} to {metrics['roc_auc_high']:.4f})"
        assert shown in markdown
        assert shown in page
        record = json.loads((tiny_graph.folder / "reports" / stage / "run.json").read_text("utf-8"))
        assert record["mlflow"]["run_id"] in page
    assert 'src="data:image/png' in page
    assert "<script" not in page


def test_dvc_shows_metrics_and_plots(tiny_graph: Graph) -> None:
    shown = json.loads(tiny_graph.run("dvc", "metrics", "show", "--json"))[""]["data"]
    assert set(shown) == {f"reports/{stage}/metrics.json" for stage in MEASURED if stage != "checks"}
    tiny_graph.run("dvc", "plots", "show", "-o", "plots")
    page = (tiny_graph.folder / "plots/index.html").read_text("utf-8")
    assert "calibration" in page
    assert "roc" in page


def test_a_second_repro_does_nothing(tiny_graph: Graph) -> None:
    started = time.monotonic()
    output = tiny_graph.repro()
    assert stages_run(output) == []
    assert "up to date" in output
    assert time.monotonic() - started < 15  # 5 on a quiet machine; the benchmark holds it to that


def test_one_parameter_reruns_what_depends_on_it_and_going_back_restores(tiny_graph: Graph) -> None:
    before = tiny_graph.metrics()
    tiny_graph.set_params(classifier={"dropout": 0.1})
    assert stages_run(tiny_graph.repro()) == ["checks", "cv", "final", "predictor", "baselines", "report"]
    assert tiny_graph.metrics() != before
    tiny_graph.set_params(classifier={"dropout": 0.5})
    assert stages_run(tiny_graph.repro()) == []
    assert tiny_graph.metrics() == before


def test_a_wrong_parameter_stops_the_graph_with_its_name(tiny_graph: Graph) -> None:
    tiny_graph.set_params(split={"n_folds": 30})
    process = tiny_graph.start("dvc", "repro")
    output, _ = process.communicate(timeout=120)
    tiny_graph.set_params(split={"n_folds": 3})
    assert process.returncode != 0
    assert "split.n_folds = 30: at most 8" in output
    assert "Traceback" not in output


def test_mlflow_has_a_parent_with_a_child_per_fold_and_the_final_run(tiny_graph: Graph) -> None:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tiny_graph.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("datspect")
    record = json.loads((tiny_graph.folder / "reports/cv/run.json").read_text("utf-8"))
    parent = client.get_run(record["mlflow"]["run_id"])
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["datspect.result_id"] == record["result_id"]
    assert parent.data.tags["datspect.cohort_kind"] == "phantom"
    assert len(parent.data.tags["datspect.weights_sha256"]) == 64
    accuracy = read_metrics(tiny_graph, "cv")["out_of_fold"]["accuracy"]
    assert parent.data.metrics["out_of_fold/accuracy"] == pytest.approx(accuracy)
    children = client.search_runs(
        [experiment.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'", order_by=["start_time"]
    )
    assert sorted(child.info.run_name for child in children) == ["fold-01", "fold-02", "fold-03"]
    history = pd.read_csv(tiny_graph.folder / "reports/cv/history.csv")
    for child in children:
        assert child.info.status == "FINISHED"
        curve = client.get_metric_history(child.info.run_id, "epoch/train_loss")
        expected = history.loc[history["head"] == child.info.run_name, "train_loss"]
        np.testing.assert_allclose([point.value for point in sorted(curve, key=lambda p: p.step)], expected)
        assert len(child.outputs.model_outputs) == 1
    final = client.search_runs([experiment.experiment_id], "tags.`datspect.stage` = 'final'")
    assert [run.info.status for run in final] == ["FINISHED"] * len(final)
    assert all(len(run.outputs.model_outputs) == 1 for run in final)


def test_mlflow_run_starts_the_graph_and_does_not_swallow_its_runs(tiny_graph: Graph) -> None:
    import mlflow

    tiny_graph.set_params(training={"seed": 2})
    tiny_graph.run("mlflow", "run", ".", "-e", "cv", "--env-manager", "local")
    tiny_graph.set_params(training={"seed": 1})
    record = json.loads((tiny_graph.folder / "reports/cv/run.json").read_text("utf-8"))
    tiny_graph.repro()
    client = mlflow.MlflowClient(f"sqlite:///{tiny_graph.folder / 'mlflow.db'}")
    run = client.get_run(record["mlflow"]["run_id"])
    launcher = run.data.tags["datspect.launched_by"]
    assert launcher != run.info.run_id
    assert "out_of_fold/accuracy" not in client.get_run(launcher).data.metrics


def test_killing_any_stage_and_running_again_ends_in_the_same_metrics(tiny_graph: Graph, tmp_path: Path) -> None:
    weights = tiny_graph.folder / "models/backbone/backbone.weights.h5"
    graph = new_graph(tmp_path / "project", backbone={"weights": str(weights)})
    for number, stage in enumerate(STAGES):
        process = graph.start("dvc", "repro")
        victim = _wait_for_stage(process, stage)
        time.sleep(QUICK_STAGES.get(stage, 1.5 + number / 2))
        assert victim.is_running()
        # In turn the stage alone, and the whole tree as a power cut would: DVC first, before it hears of its stage.
        victims = [victim] if number % 2 else [process, *psutil.Process(process.pid).children(recursive=True)]
        for one in victims:
            _kill(one.pid)
        process.communicate(timeout=60)
    assert stages_run(graph.repro()) == ["report"]
    assert graph.metrics() == tiny_graph.metrics()


def test_a_lock_file_that_a_power_cut_left_half_written_is_removed(tiny_graph: Graph) -> None:
    lock = tiny_graph.folder / ".dvc/tmp/rwlock"
    lock.write_text('{"/some', encoding="utf-8")
    tiny_graph.prepare()
    assert not lock.exists()
    assert stages_run(tiny_graph.repro()) == []
    lock.write_text("{}", encoding="utf-8")
    tiny_graph.prepare()
    assert lock.exists()


def _wait_for_stage(dvc: "subprocess.Popen[str]", stage: str) -> psutil.Process:
    for _ in range(2400):
        if dvc.poll() is not None:
            raise AssertionError(f"DVC ended before stage {stage} began:\n{dvc.communicate()[0]}")
        for child in psutil.Process(dvc.pid).children(recursive=True):
            try:
                if f"datspect.stages.{stage}" in child.cmdline():
                    return child
            except psutil.Error:
                continue
        time.sleep(0.05)
    dvc.kill()
    raise AssertionError(f"stage {stage} did not start:\n{dvc.communicate()[0]}")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
