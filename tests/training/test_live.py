"""A training shows its curves while it runs: no point twice, none lost when it is killed, all there at its end."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.tracking import made_up_results
from tests.tracking.projects import Recorded

from datspect import tracking
from datspect.commands.relog import relog
from datspect.io.records import read_json
from datspect.io.tables import read_table
from datspect.modeling.heads import FittedHead, Head, HeadWeights
from datspect.tracking import live as tracking_live
from datspect.training import crossval, live, to_mlflow
from datspect.training.curves import Curves

ROOT = Path(__file__).resolve().parents[2]
CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")

# Trains four folds, one after the other, as `fit_networks` reports them, and is killed by the test.
PROGRAM = """
import sys, time
from pathlib import Path
from tests.training.test_live import grow, heads_of
from datspect.io.records import read_json
from datspect.tracking import live as tracking_live
from datspect.training import live, to_mlflow

tracking_live.INTERVAL_SECONDS = 0.2
record = read_json(Path("reports/cv/run.json"))
with to_mlflow.open_stage_run(record) as run:
    with live.shown(run, heads_of("cv"), own_head=None, by_fold=True) as curves:
        grow(curves, Path("reports/cv"), n_folds=2)
        print("grown", flush=True)
        time.sleep(300)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_live, "INTERVAL_SECONDS", 0.05)


def heads_of(stage: str) -> list[Head]:
    params, rng = made_up_results.params(), np.random.default_rng(3)
    splits = made_up_results.training_data("phantom", rng).splits
    if stage == "cv":
        return crossval.cv_heads(splits["fold"].to_numpy(), params.classifier, params.training)
    is_test = (splits["role"] == "test").to_numpy()
    return crossval.final_heads(is_test, splits["dev_fold"].to_numpy(), params.classifier, params.training)


def grow(curves: Curves, reports: Path, n_folds: int | None = None) -> None:
    """Let the folds that lie in history.csv be known, one by one."""
    history = read_table(reports / "history.csv", ["head", "epoch"])
    weights = HeadWeights(np.ones((1, 1)), np.ones(1), np.ones(1), 0.0)
    for head in curves.heads[:n_folds]:
        of_head = history[history["head"] == head.name]
        curves.finish(FittedHead(head.name, weights, {name: of_head[name].to_numpy() for name in CURVES}))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def assert_no_point_twice(recorded: Recorded) -> None:
    for run in recorded.runs():
        for key in run.data.metrics:
            if not key.startswith("system/"):
                steps = [step for step, _ in recorded.history(run.info.run_id, key)]
                assert len(steps) == len(set(steps)), (run.info.run_name, key)


def progress_of(recorded: Recorded) -> str:
    return str(recorded.parents()[0].data.tags.get("datspect.progress"))


def mean_loss(reports: Path) -> list[tuple[int, float]]:
    means = read_table(reports / "curves.csv")
    return list(zip(means["epoch"], means["train_loss"], strict=True))


def test_the_means_of_a_stack_stand_on_its_run_while_it_trains(project: Path, recorded: Recorded) -> None:
    record = made_up_results.write_result(project, "cv")
    reports = project / "reports/cv"
    with to_mlflow.open_stage_run(record) as run:
        with live.shown(run, heads_of("cv"), own_head=None, by_fold=False) as curves:
            grow(curves, reports, n_folds=3)
            time.sleep(0.3)
            assert recorded.history(str(run.run_id), "epoch/train_loss") == []  # one fold has not begun
            grow(curves, reports)
            wait_for(lambda: "datspect.progress" in recorded.client.get_run(run.run_id).data.tags)
            wait_for(lambda: len(recorded.history(str(run.run_id), "epoch/train_loss")) == made_up_results.N_EPOCHS)
            assert len(recorded.runs()) == 1
        to_mlflow.log_cv(run, reports, project / "models/cv", share_subject_level=False)
    assert [value for _, value in recorded.history(str(run.run_id), "epoch/train_loss")] == pytest.approx(
        [value for _, value in mean_loss(reports)]
    )
    assert len(recorded.children(str(run.run_id))) == 4
    assert_no_point_twice(recorded)


def test_each_fine_tuned_fold_has_its_run_from_its_first_epoch_on(project: Path, recorded: Recorded) -> None:
    record = made_up_results.write_result(project, "cv")
    reports = project / "reports/cv"
    with to_mlflow.open_stage_run(record) as run:
        with live.shown(run, heads_of("cv"), own_head=None, by_fold=True) as curves:
            curves.add("fold-01", 0, np.ones((2, 4), np.float32))
            wait_for(lambda: "datspect.progress" in recorded.client.get_run(run.run_id).data.tags)
            (child,) = recorded.children(str(run.run_id))
            assert (child.info.run_name, child.info.status) == ("fold-01", "RUNNING")
            assert (child.data.params["fold"], child.data.tags["datspect.fold"]) == ("1", "1")
            assert len(recorded.history(child.info.run_id, "epoch/train_loss")) == 2
            grow(curves, reports)
            wait_for(lambda: len(recorded.children(str(run.run_id))) == 4)
        to_mlflow.log_cv(run, reports, project / "models/cv", share_subject_level=False)
    status = recorded.status()
    assert status == dict.fromkeys(("cv", "fold-01", "fold-02", "fold-03", "fold-04"), "FINISHED")
    for child in recorded.children(str(run.run_id)):
        assert len(recorded.history(child.info.run_id, "epoch/train_loss")) == made_up_results.N_EPOCHS
        assert "fold/validation_loss" in child.data.metrics
    assert_no_point_twice(recorded)


def test_the_final_head_is_shown_beside_the_means_of_the_development_heads(project: Path, recorded: Recorded) -> None:
    record = made_up_results.write_result(project, "final")
    reports = project / "reports/final"
    with to_mlflow.open_stage_run(record) as run:
        with live.shown(run, heads_of("final"), own_head="final", by_fold=False) as curves:
            grow(curves, reports, n_folds=1)
            wait_for(lambda: len(recorded.history(str(run.run_id), "epoch/train_loss")) == made_up_results.N_EPOCHS)
            assert recorded.history(str(run.run_id), "dev_epoch/validation_loss") == []
            grow(curves, reports)
            wait_for(lambda: bool(recorded.history(str(run.run_id), "dev_epoch/validation_loss")))
        to_mlflow.log_final(run, reports, project / "models/final", share_subject_level=False)
    assert recorded.children(str(run.run_id)) == []
    assert recorded.history(str(run.run_id), "epoch/validation_loss") == []
    assert_no_point_twice(recorded)


def test_a_short_training_sends_its_curves_at_its_end(
    project: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_live, "INTERVAL_SECONDS", 60.0)
    record = made_up_results.write_result(project, "cv")
    reports = project / "reports/cv"
    with to_mlflow.open_stage_run(record) as run:
        with live.shown(run, heads_of("cv"), own_head=None, by_fold=True) as curves:
            grow(curves, reports)
        assert recorded.children(str(run.run_id)) == []
        to_mlflow.log_cv(run, reports, project / "models/cv", share_subject_level=False)
    assert recorded.history(str(run.run_id), "epoch/train_loss") == mean_loss(reports)
    assert_no_point_twice(recorded)


def test_a_store_that_dies_costs_one_warning_and_no_training(
    project: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import mlflow

    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise OSError("no space left on device")

    record = made_up_results.write_result(project, "cv")
    reports = project / "reports/cv"
    with to_mlflow.open_stage_run(record) as run:
        monkeypatch.setattr(mlflow.MlflowClient, "log_batch", refuse)
        with live.shown(run, heads_of("cv"), own_head=None, by_fold=True) as curves:
            grow(curves, reports)
            wait_for(lambda: not run.connection.alive)
            time.sleep(0.2)
        to_mlflow.log_cv(run, reports, project / "models/cv", share_subject_level=False)
    warnings = [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].endswith("`datspect relog` sends it later")


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_of_a_killed_training_everything_up_to_then_is_there_and_relog_sends_the_whole(
    project: Path, recorded: Recorded, signum: signal.Signals
) -> None:
    made_up_results.write_result(project, "cv")
    program = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n" + PROGRAM
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    process = Popen([sys.executable, "-c", program], env=environment, stdout=PIPE, stderr=PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "grown\n":
        pytest.fail(process.communicate(timeout=60)[1])
    if signum == signal.SIGKILL:  # which leaves no time for what came since the last sending
        wait_for(lambda: progress_of(recorded).startswith("10 of"))
    process.send_signal(signum)
    process.communicate(timeout=60)
    made = read_json(project / "reports/cv/run.json")
    with tracking.required_connection(made["mlflow"]["experiment"]) as connection:
        tracking.earlier_runs(connection, "cv", made["result_id"])  # closes what a dead process left open
    assert recorded.status() == {"cv": "KILLED", "fold-01": "KILLED", "fold-02": "KILLED"}
    (parent,) = recorded.parents()
    assert progress_of(recorded).startswith(f"{2 * made_up_results.N_EPOCHS} of")
    history = read_table(project / "reports/cv/history.csv")
    for child in recorded.children(parent.info.run_id):
        curve = history.loc[history["head"] == child.info.run_name, "train_loss"]
        assert recorded.history(child.info.run_id, "epoch/train_loss") == list(enumerate(curve, 1))
    relog(params=made_up_results.PARAMS_PATH)
    (whole,) = (run for run in recorded.parents() if run.info.status == "FINISHED")
    assert len(recorded.children(whole.info.run_id)) == 4
    assert_no_point_twice(recorded)


def test_a_mean_waits_for_every_head() -> None:
    table = pd.DataFrame({"head": ["a", "a", "b"], "epoch": [1, 2, 1], "train_loss": [1.0, 2.0, 3.0]})
    assert {key: list(curve) for key, curve in to_mlflow.stage_curves(table, 2, None).items()} == {
        "epoch/train_loss": [2.0]
    }
    assert to_mlflow.stage_curves(table, 3, None) == {}
