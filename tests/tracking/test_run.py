import json
import logging
import math
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datspect import tracking


def open_cv(**options):
    return tracking.open_run("cv", stage="cv", experiment="datspect", **options)


def test_metrics_and_curves_are_read_back_as_they_went_in(recorded, rng):
    curves = {"train/loss": rng.random(1200), "validation/accuracy": rng.random(1200)}
    with open_cv() as run:
        run.log_metrics({"cv/accuracy_mean": 0.96})
        run.log_history(curves)
    for key, curve in curves.items():
        assert recorded.history(run.run_id, key) == list(enumerate(curve.tolist(), 1))
    assert recorded.history(run.run_id, "cv/accuracy_mean") == [(0, 0.96)]


def test_no_point_is_sent_twice(recorded):
    with open_cv() as run:
        run.log_history({"loss": np.array([3.0, 2.0])})
        run.log_history({"loss": np.array([3.0, 2.0, 1.0]), "rate": np.array([0.1])})
        run.log_history({"loss": np.array([3.0])})
        run.log_history({"loss": np.array([3.0, 2.0, 1.0])})
    assert recorded.history(run.run_id, "loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert recorded.history(run.run_id, "rate") == [(1, 0.1)]


def test_a_child_that_was_begun_is_gone_on_with(recorded):
    with open_cv() as run:
        begun = run.begin_child("fold-01", params={"fold": 1}, tags={"datspect.fold": 1})
        assert run.begin_child("fold-01") is begun
        begun.log_history({"loss": np.array([3.0])})
        assert recorded.status()["fold-01"] == "RUNNING"
        with run.child("fold-01", params={"fold": 1}) as child:
            child.log_history({"loss": np.array([3.0, 2.0])})
        assert recorded.status() == {"cv": "RUNNING", "fold-01": "FINISHED"}
    assert recorded.history(begun.run_id, "loss") == [(1, 3.0), (2, 2.0)]
    assert len(recorded.runs()) == 2


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (ZeroDivisionError, "FAILED")])
def test_a_child_that_was_begun_ends_with_its_parent(recorded, error, status):
    with pytest.raises(error), open_cv() as run:  # noqa: PT012
        run.begin_child("fold-01")
        raise error
    assert recorded.status() == {"cv": status, "fold-01": status}


def test_a_child_that_nobody_went_on_with_is_not_finished(recorded):
    with open_cv() as run:
        run.begin_child("fold-01")
    assert recorded.status() == {"cv": "FINISHED", "fold-01": "FAILED"}


def test_nan_is_kept_and_an_infinity_becomes_the_largest_double(recorded):
    with open_cv() as run:
        run.log_history({"loss": np.array([np.nan, np.inf, -np.inf])})
    values = [value for _, value in recorded.history(run.run_id, "loss")]
    largest = np.finfo(float).max
    assert math.isnan(values[0])
    assert values[1:] == pytest.approx([largest, -largest])


def test_params_are_flat_and_spelt_as_in_yaml(recorded):
    params = {
        "training": {"epochs": 500, "learning_rate": {"initial": 1e-3, "schedule": "step"}},
        "backbone": {"weights": None, "trainable": False},
        "slices": [40, 41, 42],
    }
    with open_cv(params=params):
        pass
    assert recorded.runs()[0].data.params == {
        "training.epochs": "500",
        "training.learning_rate.initial": "0.001",
        "training.learning_rate.schedule": "step",
        "backbone.weights": "null",
        "backbone.trainable": "false",
        "slices": "[40, 41, 42]",
    }


def test_every_run_says_its_stage_and_commit_and_the_callers_tags(recorded):
    with open_cv(tags={"cohort": "phantom"}) as run, run.child("fold-01", tags={"fold": 1}):
        pass
    runs = recorded.by_name()
    for name in ("cv", "fold-01"):
        assert runs[name].data.tags["datspect.stage"] == "cv"
        assert runs[name].data.tags["datspect.git_commit"] == "none"  # a folder without git
    assert runs["cv"].data.tags["cohort"] == "phantom"
    assert runs["fold-01"].data.tags["fold"] == "1"
    assert runs["fold-01"].data.tags["mlflow.parentRunId"] == runs["cv"].info.run_id


def test_runs_and_children_end_finished_with_their_artifacts_below_the_root(recorded, project):
    figure = project / "roc.png"
    figure.write_bytes(b"picture")
    with open_cv() as run:
        run.log_files([figure], folder="figures")
        with run.child("fold-01"):
            pass
    assert recorded.status() == {"cv": "FINISHED", "fold-01": "FINISHED"}
    found = list((project / "mlruns").rglob("figures/roc.png"))
    assert [path.read_bytes() for path in found] == [b"picture"]


def test_a_file_that_is_missing_is_the_callers_error(recorded):
    with pytest.raises(FileNotFoundError, match="cannot log"), open_cv() as run:
        run.log_files([Path("table1.csv")])
    assert recorded.status() == {"cv": "FAILED"}


def test_a_dataset_is_listed_without_its_values(recorded):
    frame = pd.DataFrame({"subject_id": ["P01", None], "age": [61.5, 70.0], "fold": [1, 2]})
    with open_cv() as run:
        run.log_dataset(frame, name="phantom", digest="a" * 64, context="training")
    (listed,) = recorded.runs()[0].inputs.dataset_inputs
    assert (listed.dataset.name, listed.dataset.digest) == ("phantom", "a" * 36)
    assert {tag.key: tag.value for tag in listed.tags} == {"mlflow.data.context": "training"}
    columns = json.loads(listed.dataset.schema)["mlflow_colspec"]
    assert [(c["name"], c["type"]) for c in columns] == [("subject_id", "string"), ("age", "double"), ("fold", "long")]
    assert json.loads(listed.dataset.profile) == {"num_rows": 2, "num_elements": 6}
    assert "P01" not in str(listed.dataset.to_dictionary())


def test_system_metrics_are_sampled_on_the_parent(recorded, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    with open_cv() as run:
        for _ in range(100):
            if any(key.startswith("system/") for key in recorded.runs()[0].data.metrics):
                break
            signal.sigtimedwait([], 0.1)
    assert "system/cpu_utilization_percentage" in recorded.client.get_run(run.run_id).data.metrics


def test_an_error_of_the_caller_fails_the_run_and_its_child_and_is_not_swallowed(recorded):
    with pytest.raises(ZeroDivisionError), open_cv() as run, run.child("fold-01"):
        _ = 1 / 0
    assert recorded.status() == {"cv": "FAILED", "fold-01": "FAILED"}


def test_ctrl_c_kills_the_run_and_its_child(recorded):
    with pytest.raises(KeyboardInterrupt), open_cv() as run, run.child("fold-01"):
        raise KeyboardInterrupt
    assert recorded.status() == {"cv": "KILLED", "fold-01": "KILLED"}


def test_sigterm_kills_the_run_then_reaches_the_earlier_handler(recorded):
    seen = []
    earlier = signal.signal(signal.SIGTERM, lambda signum, _frame: seen.append((signum, recorded.status())))
    try:
        with pytest.raises(SystemExit) as stopped, open_cv() as run, run.child("fold-01"):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, earlier)
    assert seen == [(signal.SIGTERM, {"cv": "KILLED", "fold-01": "KILLED"})]
    assert stopped.value.code == 128 + signal.SIGTERM


def test_signal_handlers_are_put_back(project):
    before = signal.getsignal(signal.SIGTERM)
    with open_cv():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_of_a_dead_process_is_closed_at_the_next_start_and_others_are_left(recorded):
    with open_cv() as run:
        mine = recorded.client.get_run(run.run_id).data.tags
    del mine["mlflow.runName"]
    client, experiment_id = recorded.client, run.connection.experiment_id
    reused_id = {**mine, "datspect.process_started": "1.0"}
    foreign = {**reused_id, "datspect.host": "elsewhere"}
    for name, tags in {"dead": reused_id, "live": mine, "foreign": foreign}.items():
        client.create_run(experiment_id, tags=tags, run_name=name)
    client.create_run(experiment_id, tags={**reused_id, "datspect.stage": "final"}, run_name="other stage")
    with open_cv():
        pass
    status = recorded.status()
    assert status["dead"] == "KILLED"
    assert {status[name] for name in ("live", "foreign", "other stage")} == {"RUNNING"}


def test_the_run_that_mlflow_run_exports_is_dropped_and_named(recorded, monkeypatch):
    outer = recorded.client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", outer)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    for name in ("cv", "final"):
        with tracking.open_run(name, stage=name, experiment="datspect") as run:
            run.log_metrics({"accuracy": 1.0})
    assert [r.data.tags["datspect.launched_by"] for r in recorded.runs()] == [outer, outer]
    assert recorded.client.get_run(outer).data.metrics == {}


def test_nothing_of_mlflow_reaches_the_user(project, capfd):
    with open_cv() as run:
        run.log_metrics({"accuracy": 1.0})
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("mlflow").level < logging.CRITICAL


def test_without_a_store_there_is_one_warning_and_a_run_that_does_nothing(empty_project, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with open_cv(params={"a": 1}) as run, run.child("fold-01") as child:
        for one in (run, child):
            one.log_metrics({"accuracy": 1.0})
            one.log_history({"loss": np.ones(3)})
            one.log_files([empty_project / "dvc.yaml"])
            one.log_dataset(pd.DataFrame({"a": [1]}), name="phantom", digest="0", context="training")
            assert one.log_keras_model(None, name="model", input_shape=(2,)) is None
            assert one.run_id is None
    (warning,) = caplog.records
    assert "not recorded any further" in warning.getMessage()
    assert warning.getMessage().endswith("`datspect relog` sends it later")
    assert "secret" not in warning.getMessage()


def test_a_store_that_breaks_in_a_run_leaves_it_failed_and_the_caller_unharmed(recorded, monkeypatch, caplog):
    with open_cv() as run:
        run.log_metrics({"cv/accuracy_mean": 0.96})
        run.log_metrics({"a name that MLflow refuses :;#": 1.0})
        with run.child("fold-01") as child:
            assert child.run_id is None
    assert recorded.status() == {"cv": "FAILED"}
    assert len(caplog.records) == 1
