"""Stage `grouped`: whole groups held out, compared with the random folds of stage `cv`, recorded as its runs are."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from datspect.commands.relog import relog
from datspect.errors import CohortError
from datspect.evaluation.metrics import binary_metrics
from datspect.io.tables import read_table, write_table
from datspect.modeling.model_files import read_model
from datspect.training.to_mlflow import read_whole_record

from .conftest import Inputs


def metrics_of(reports: Path) -> dict:
    return json.loads((reports / "metrics.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def done(made_up: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Random folds and folds grouped by site."""
    inputs = made_up.copied(tmp_path_factory.mktemp("done"))
    inputs.change(split={"group": "site"})
    with inputs.tracked():
        inputs.cv("cv")
        inputs.grouped("cv", "grouped")
    return inputs


def test_each_subject_is_judged_by_a_head_that_has_seen_nobody_of_its_group(done: Inputs) -> None:
    predictions = pd.read_csv(done.root / "grouped/predictions.csv")
    cameras = read_table(done.root / "cameras.csv").set_index("scan_id").loc[predictions["scan_id"]]
    assert predictions["grouped_fold"].tolist() == cameras["grouped_fold"].tolist()
    bank = np.load(done.root / "features/bank.npy")
    for fold, rows in predictions.groupby("grouped_fold"):
        head = read_model(done.root / f"models/grouped/grouped-{fold:02d}.keras")
        expected = head.predict(bank[0, rows.index].astype(np.float32), verbose=0)[:, 0]
        np.testing.assert_allclose(rows["probability"], expected, atol=1e-5)
    record = json.loads((done.root / "grouped/run.json").read_text("utf-8"))
    sizes = predictions["grouped_fold"].value_counts().sort_index()
    assert [head["n_train"] for head in record["heads"]] == (len(predictions) - sizes).tolist()


def test_the_measures_are_those_of_both_sets_of_folds(done: Inputs) -> None:
    metrics = metrics_of(done.root / "grouped")
    labels = None
    for name, folder in (("random", "cv"), ("out_of_fold", "grouped")):
        table = pd.read_csv(done.root / folder / "predictions.csv")
        labels = (table["label"] == "pd").to_numpy().astype(int)
        assert metrics[name] == pytest.approx(binary_metrics(labels, table["probability"].to_numpy()))
    assert metrics["random"] == pytest.approx(metrics_of(done.root / "cv")["out_of_fold"])
    lost = metrics["grouped_minus_random"]
    assert lost["loss_difference"] == pytest.approx(metrics["out_of_fold"]["loss"] - metrics["random"]["loss"])
    assert (metrics["group"], metrics["n_groups"], metrics["n_random_folds"]) == ("site", 5, 4)
    assert sum(fold["n_control"] + fold["n_pd"] for fold in metrics["folds"]) == len(labels)
    assert metrics["cohort_kind"] == "phantom"


def test_its_run_stands_beside_that_of_cv_and_can_be_told_from_it(done: Inputs) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{done.root / 'mlflow.db'}")
    record = read_whole_record(done.root / "grouped", done.root / "models/grouped")
    run = client.get_run(record["mlflow"]["run_id"])
    assert run.info.run_name.startswith("grouped by site")
    assert run.info.status == "FINISHED"
    assert (run.data.tags["datspect.stage"], run.data.tags["datspect.group"]) == ("grouped", "site")
    assert run.data.metrics["grouped_minus_random/loss_difference"] == pytest.approx(
        metrics_of(done.root / "grouped")["grouped_minus_random"]["loss_difference"]
    )
    assert "With whole groups held out, 24 subjects" in run.data.tags["mlflow.note.content"]
    children = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'")
    assert sorted(child.info.run_name for child in children) == [f"grouped-{k:02d}" for k in range(1, 6)]
    cv = client.get_run(json.loads((done.root / "cv/run.json").read_text("utf-8"))["mlflow"]["run_id"])
    assert "datspect.group" not in cv.data.tags


def test_it_repeats_byte_for_byte(done: Inputs, tmp_path: Path) -> None:
    inputs = done.copied(tmp_path)
    with inputs.tracked():
        again = inputs.grouped("cv", "again")
    for name in ("metrics.json", "predictions.csv", "history.csv", "table1.csv", "roc.png"):
        assert (again / name).read_bytes() == (done.root / "grouped" / name).read_bytes(), name
    first, second = (json.loads((f / "run.json").read_text("utf-8")) for f in (done.root / "grouped", again))
    assert first["result_id"] == second["result_id"]


def test_other_grouped_folds_are_another_result(done: Inputs, tmp_path: Path) -> None:
    inputs = done.copied(tmp_path)
    cameras = read_table(inputs.root / "cameras.csv")
    write_table(inputs.root / "cameras.csv", cameras.assign(grouped_fold=cameras["grouped_fold"].replace(5, 4)))
    with inputs.tracked():
        other = inputs.grouped("cv", "other")
    assert len(metrics_of(other)["folds"]) == 4
    first, second = (json.loads((f / "run.json").read_text("utf-8")) for f in (done.root / "grouped", other))
    assert first["result_id"] != second["result_id"]


def test_relog_sends_what_did_not_arrive(done: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = done.copied(tmp_path)
    (inputs.root / "reports").mkdir()
    (inputs.root / "grouped").rename(inputs.root / "reports/grouped")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'another.db'}")
    relog(inputs.root / "reports", inputs.root / "models", inputs.params, again=False)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'another.db'}")
    experiment = client.get_experiment_by_name("datspect")
    runs = client.search_runs([experiment.experiment_id], "tags.`datspect.stage` = 'grouped'")
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.data.tags["datspect.relogged"] == "true"
    assert len(runs) == 1 + 5


def test_without_a_group_nothing_is_trained_or_recorded(inputs: Inputs) -> None:
    reports = inputs.grouped("no cv at all", "grouped")
    assert metrics_of(reports) == {"cohort_kind": "phantom", "group": "none"}
    assert [path.name for path in reports.iterdir()] == ["metrics.json"]
    assert not list((inputs.root / "models/grouped").iterdir())


def test_a_table_without_grouped_folds_is_refused(inputs: Inputs) -> None:
    inputs.change(split={"group": "site"})
    cameras = read_table(inputs.root / "cameras.csv")
    write_table(inputs.root / "cameras.csv", cameras.assign(group="none", grouped_fold=0))
    write_table(inputs.root / "cv/predictions.csv", cameras.assign(fold=1, probability=0.5))
    with pytest.raises(CohortError, match=r"no grouped folds, but split\.group is site"):
        inputs.grouped("cv", "grouped")
