"""The graph as a user runs it: what it leaves, what it skips, and what stops it."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from .conftest import MEASURED, Graph, copied, stages_run

pytestmark = pytest.mark.slow


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
    code, printed = tiny_graph.command("tables", "--holdout")
    assert code == 0
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


def test_other_groups_are_answered_if_asked_for_and_nobody_learns_from_them(tiny_graph: Graph) -> None:
    reports = tiny_graph.folder / "reports"
    truth = pd.read_csv(tiny_graph.folder / "data/phantom/truth.csv").set_index("scan_id")["label"]
    answers = pd.read_csv(reports / "other_groups/predictions.csv")
    assert sorted(answers["label"]) == ["atypical", "atypical", "swedd"]
    assert (truth[answers["scan_id"]].to_numpy() == answers["label"]).all()
    splits = pd.read_csv(tiny_graph.folder / "data/splits.csv")
    assert set(truth[splits["scan_id"]]) == {"control", "pd"}
    assert set(answers["scan_id"]).isdisjoint(splits["scan_id"])
    assert set(answers["scan_id"]) < set(pd.read_csv(tiny_graph.folder / "data/images/excluded.csv")["scan_id"])
    bank = np.load(tiny_graph.folder / "data/features/bank.npy", mmap_mode="r")
    assert bank.shape[1] == len(splits) == 24
    markdown = (reports / "report.md").read_text("utf-8")
    assert "## Other groups" in markdown
    assert "3 scans that are neither PD nor control" in markdown
    assert "| pd, holdout " in markdown


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
    assert all("dev_out_of_fold/accuracy" in run.data.metrics for run in final)
    assert not [name for run in final for name in run.data.metrics if name.startswith("holdout")]
    assert [run.info.status for run in final] == ["FINISHED"] * len(final)
    assert all(len(run.outputs.model_outputs) == 1 for run in final)


@pytest.fixture(scope="module")
def graph(tiny_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A copy to change."""
    return copied(tiny_graph, tmp_path_factory.mktemp("graph") / "project")


def test_dvc_shows_metrics_and_plots(graph: Graph) -> None:
    shown = json.loads(graph.run("dvc", "metrics", "show", "--json"))[""]["data"]
    assert set(shown) == {"reports/metrics.json"}
    graph.run("dvc", "plots", "show", "-o", "plots")
    page = (graph.folder / "plots/index.html").read_text("utf-8")
    for title in ("Mean loss over the folds", "ROC curve out of fold", "Confusion out of fold"):
        assert f"{title}, cohort data/phantom/cohort" in page
    assert "holdout" not in page


def test_a_second_repro_does_nothing(graph: Graph) -> None:
    before = os.times()
    output = graph.repro()
    assert stages_run(output) == []
    assert "up to date" in output
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 15  # of the processor, so that other work beside the tests does not count; 3 to 5 are usual


def test_a_wrong_parameter_stops_the_graph_with_its_name(graph: Graph) -> None:
    graph.set_params(split={"n_folds": 30})
    process = graph.start("dvc", "repro")
    output, _ = process.communicate(timeout=120)
    graph.set_params(split={"n_folds": 3})
    assert process.returncode != 0
    assert "split.n_folds = 30: at most 8" in output
    assert "Traceback" not in output


@pytest.mark.long
def test_with_a_group_the_report_holds_random_against_grouped_folds(tiny_graph: Graph, tmp_path: Path) -> None:
    assert "Random against grouped folds" not in (tiny_graph.folder / "reports/report.md").read_text("utf-8")
    graph = copied(tiny_graph, tmp_path / "project", "mlruns")
    graph.set_params(split={"group": "site"})
    assert stages_run(graph.repro()) == ["split", "cameras", "checks", "grouped", "report"]
    cameras = pd.read_csv(graph.folder / "data/cameras.csv")
    assert cameras.groupby("group")["grouped_fold"].nunique().tolist() == [1, 1, 1]
    grouped = json.loads((graph.folder / "reports/grouped/metrics.json").read_text("utf-8"))
    lost = grouped["grouped_minus_random"]
    assert grouped["random"] == pytest.approx(read_metrics(tiny_graph, "cv")["out_of_fold"])
    for name in ("report.md", "report.html"):
        report = (graph.folder / "reports" / name).read_text("utf-8")
        section = report[report.index("Random against grouped folds") :]
        assert "grouped minus random" in section
        assert f"{lost['loss_difference']:+.4f} ({lost['loss_difference_low']:+.4f} to" in section


def test_a_lock_file_that_a_power_cut_left_half_written_is_removed(graph: Graph) -> None:
    lock = graph.folder / ".dvc/tmp/rwlock"
    lock.write_text('{"/some', encoding="utf-8")
    graph.prepare()
    assert not lock.exists()
    assert stages_run(graph.repro()) == []
    lock.write_text("{}", encoding="utf-8")
    graph.prepare()
    assert lock.exists()


def test_a_key_that_only_commands_read_reruns_no_stage(tiny_graph: Graph, tmp_path: Path) -> None:
    graph = copied(tiny_graph, tmp_path / "project", "mlruns")
    for part, name in (("promotion", "PromotionParams"), ("tuning", "TuneParams")):
        path = graph.folder / f"src/datspect/params/{part}.py"
        text = path.read_text(encoding="utf-8")
        begun = text.index('"""\n', text.index(f"class {name}(")) + 4
        path.write_text(f"{text[:begun]}\n    new_key: int = Field(ge=0)\n{text[begun:]}", encoding="utf-8")
    graph.set_params(promotion={"new_key": 1}, tune={"new_key": 2})
    graph.run("datspect", "tables", "--help")  # the package imports
    assert json.loads(graph.run("dvc", "status", "--json")) == {}
