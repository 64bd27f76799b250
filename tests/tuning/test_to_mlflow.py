"""Each trial of a study reaches MLflow once, whichever process sends it and whatever kills it."""

import logging
import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import PIPE, Popen

import numpy as np
import pandas as pd
import pytest
from tests.tracking.projects import Recorded

from datspect.errors import CohortError
from datspect.io.tables import write_table
from datspect.tracking import joining
from datspect.tuning import to_mlflow
from datspect.tuning.trials import Trial

STARTED = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
STARTED_MS = int(STARTED.timestamp() * 1000)
FOLD_SCORES = (0.2, 0.3, 0.25)
VALUES = {"dropout": 0.5, "width": 64, "initial": 1e-3, "schedule": "constant"}
MEASURES = {"log_loss": 0.25, "log_loss_low": 0.2, "log_loss_high": 0.3, "roc_auc": 0.9}

PROGRAM = """
import os, sys, time
from pathlib import Path
from tests.tuning.test_to_mlflow import open_study, trial
from datspect.tuning import to_mlflow
from datspect.tracking import Run

def hang(*_args):
    print("sending", flush=True)
    time.sleep(300)

if sys.argv[1] == "hang":
    Run.log_history = hang
with open_study() as run:
    Path(f"open-{os.getpid()}").touch()
    while len(list(Path().glob("open-*"))) < int(sys.argv[2]):
        time.sleep(0.01)
    to_mlflow.log_missing(run, [trial(number) for number in range(3)], Path("curves"), "log_loss")
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_SETTLING_SECONDS", 0.0)


@pytest.fixture
def folder(project: Path) -> Path:
    """The study's folder, with the curves of its first three trials."""
    folder = project / "curves"
    for number in range(3):
        write_table(folder / f"trial-{number:04d}.csv", history())
    return folder


def open_study(study_id: str = "abc"):
    return to_mlflow.open_study_run(
        "dropout", study_id, experiment="datspect", params={"trials": 20}, tags={"objective": "log_loss"}
    )


def trial(number: int, state="complete", **changes) -> Trial:
    known = {
        "values": VALUES,
        "score": 0.25,
        "measures": MEASURES,
        "fold_scores": FOLD_SCORES,
        "n_epochs": 4,
        "started": STARTED,
        "ended": STARTED + timedelta(seconds=90),
    }
    return Trial(number, state, **{**known, **changes})


def history() -> pd.DataFrame:
    """Two heads over four epochs: the loss of the second is always 2 above that of the first."""
    epochs = np.arange(1, 5)
    heads = [
        pd.DataFrame(
            {
                "head": f"fold-{k + 1:02d}",
                "epoch": epochs,
                "train_loss": 1 / epochs + 2 * k,
                "train_accuracy": 0.5 + 0.1 * k,
                "validation_loss": 2 / epochs + 2 * k,
                "validation_accuracy": 0.4 + 0.1 * k,
                "learning_rate": 0.001 / epochs,
            }
        )
        for k in range(2)
    ]
    return pd.concat(heads, ignore_index=True)


def send(folder: Path, trials) -> None:
    with open_study() as run:
        to_mlflow.log_missing(run, trials, folder, "log_loss")


def finished_trials(recorded: Recorded) -> list[str]:
    """Names of the children that are FINISHED, as often as they are there."""
    (parent,) = recorded.parents()
    children = recorded.children(parent.info.run_id)
    return sorted(run.info.run_name for run in children if run.info.status == "FINISHED")


def test_importing_it_imports_neither_mlflow_nor_optuna_nor_keras():
    program = "import sys, datspect.tuning.to_mlflow; sys.exit(bool({'mlflow', 'optuna', 'keras'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_complete_trial_arrives_with_its_values_measures_and_times(recorded, folder):
    with open_study() as run:
        to_mlflow.log_trial(run, trial(2), folder, "log_loss")
    child = recorded.by_name()["trial-0002"]
    assert child.info.status == "FINISHED"
    assert (child.info.start_time, child.info.end_time) == (STARTED_MS, STARTED_MS + 90_000)
    assert child.data.params == {"dropout": "0.5", "width": "64", "initial": "0.001", "schedule": "constant"}
    single = {name: value for name, value in child.data.metrics.items() if not name.startswith(("epoch/", "fold_"))}
    assert single == {**MEASURES, "score": 0.25, "n_epochs": 4.0, "seconds": 90.0}
    tags = {name: child.data.tags.get(f"datspect.{name}") for name in ("trial", "trial_state", "study", "objective")}
    assert tags == {"trial": "2", "trial_state": "complete", "study": "dropout", "objective": "log_loss"}
    assert not {"datspect.pruned_after", "datspect.study_id"} & set(child.data.tags)


def test_curves_are_means_over_the_heads_and_fold_scores_count_from_one(recorded, folder):
    with open_study() as run:
        to_mlflow.log_trial(run, trial(0), folder, "log_loss")
    child = recorded.by_name()["trial-0000"].info.run_id
    expected = {
        "train_loss": [2.0, 1.5, 4 / 3, 1.25],
        "validation_loss": [3.0, 2.0, 5 / 3, 1.5],
        "train_accuracy": [0.55] * 4,
        "validation_accuracy": [0.45] * 4,
        "learning_rate": [0.001, 0.0005, 0.001 / 3, 0.00025],
    }
    for name, curve in expected.items():
        steps, values = zip(*recorded.history(child, f"epoch/{name}"), strict=True)
        assert steps == (1, 2, 3, 4)
        assert values == pytest.approx(curve)
    assert recorded.history(child, "fold_score") == list(enumerate(FOLD_SCORES, 1))


def test_a_fold_without_a_score_and_a_trial_without_curves_are_sent_as_they_are(recorded, project):
    with open_study() as run:
        to_mlflow.log_trial(run, trial(7, fold_scores=(math.nan, 0.5)), project / "no curves", "roc_auc")
    child = recorded.by_name()["trial-0007"]
    assert not [name for name in child.data.metrics if name.startswith("epoch/")]
    (_, first), (_, second) = recorded.history(child.info.run_id, "fold_score")
    assert math.isnan(first)
    assert second == 0.5


def test_a_pruned_trial_is_finished_and_says_when_it_was_pruned(recorded, folder):
    with open_study() as run:
        to_mlflow.log_trial(run, trial(1, "pruned", n_epochs=3), folder, "log_loss")
    child = recorded.by_name()["trial-0001"]
    assert child.info.status == "FINISHED"
    assert (child.data.tags["datspect.trial_state"], child.data.tags["datspect.pruned_after"]) == ("pruned", "3")


@pytest.mark.parametrize("state", ["failed", "running", "waiting"])
def test_a_trial_without_a_result_is_not_sent(recorded, folder, state):
    with open_study() as run:
        to_mlflow.log_trial(run, trial(0, state), folder, "log_loss")
        to_mlflow.log_missing(run, [trial(0, state)], folder, "log_loss")
    assert finished_trials(recorded) == []


def test_a_resumed_study_sends_what_is_missing_below_the_same_parent_and_nothing_twice(recorded, folder):
    with open_study() as run:
        to_mlflow.log_trial(run, trial(0), folder, "log_loss")
    for _ in range(2):
        send(folder, [trial(0), trial(1, "pruned"), trial(2)])
    with open_study() as run:
        to_mlflow.log_trial(run, trial(2), folder, "log_loss")
    assert finished_trials(recorded) == ["trial-0000", "trial-0001", "trial-0002"]
    (parent,) = recorded.parents()
    assert parent.info.run_name == "dropout"
    assert parent.data.params == {"trials": "20"}
    tags = {name: parent.data.tags[f"datspect.{name}"] for name in ("stage", "study", "study_id")}
    assert tags == {"stage": "tune", "study": "dropout", "study_id": "abc"}


def test_trials_of_other_machines_are_left_to_them(recorded, folder):
    send(folder, [trial(1), trial(3)])
    assert finished_trials(recorded) == ["trial-0001"]


def test_a_study_begun_again_under_its_name_has_a_run_of_its_own(recorded, folder):
    send(folder, [trial(0)])
    with open_study("abd") as run:
        to_mlflow.log_missing(run, [trial(0)], folder, "log_loss")
    assert [len(recorded.children(parent.info.run_id)) for parent in recorded.parents()] == [1, 1]


def test_a_child_that_stayed_unfinished_hides_no_trial(recorded, folder):
    with open_study() as run:
        tags = {"datspect.trial": 0}
        with pytest.raises(ZeroDivisionError), run.child("failed", tags=tags):
            _ = 1 / 0
        with run.child("left open", tags=tags):
            to_mlflow.log_missing(run, [trial(0)], folder, "log_loss")
            runs = recorded.by_name()
    sent = runs["trial-0000"].info.run_id
    assert finished_trials(recorded).count("trial-0000") == 1
    assert {runs[name].info.status for name in ("failed", "left open")} == {"FAILED", "KILLED"}
    assert {runs[name].data.tags["datspect.superseded_by"] for name in ("failed", "left open")} == {sent}


def test_a_trial_that_another_process_sends_for_ever_is_left_with_a_warning(recorded, folder, monkeypatch, caplog):
    monkeypatch.setattr(to_mlflow, "_LOCK_SECONDS", 0.1)
    holder = "import sys, time, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(flush=True); "
    holding = Popen([sys.executable, "-c", holder + "time.sleep(300)", folder / "mlflow.lock"], stdout=PIPE)
    try:
        assert holding.stdout.readline()
        with caplog.at_level(logging.WARNING):
            send(folder, [trial(0)])
    finally:
        holding.kill()
        holding.communicate()
    assert [record.getMessage().startswith("trial 0 not sent to MLflow") for record in caplog.records] == [True]
    assert finished_trials(recorded) == []
    send(folder, [trial(0)])
    assert finished_trials(recorded) == ["trial-0000"]


def test_the_study_as_a_whole_keeps_older_values_beside_newer_ones(recorded, project):
    for name in ("study.json", "history.png", "subjects.csv"):
        (project / name).write_text(name)
    for n_trials, best in ((20, 0.3), (50, 0.25)):
        with open_study() as run:
            files = [project / "study.json", project / "history.png"]
            to_mlflow.log_summary(run, {"best_score": best}, files, n_trials)
    (parent,) = recorded.parents()
    assert recorded.history(parent.info.run_id, "best_score") == [(20, 0.3), (50, 0.25)]
    assert parent.data.metrics["best_score"] == 0.25
    stored = {path.name for path in (project / "mlruns").rglob("artifacts/study/*")}
    assert stored == {"study.json", "history.png"}


def test_a_second_start_without_a_new_trial_sends_the_summary_no_second_time(recorded, project):
    (project / "study.json").write_text("{}")
    for _ in range(2):
        with open_study() as run:
            to_mlflow.log_summary(run, {"best_score": 0.3}, [project / "study.json"], 20)
    (parent,) = recorded.parents()
    assert recorded.history(parent.info.run_id, "best_score") == [(20, 0.3)]


def ended(number: int, score: float | None, minutes: int, state="complete") -> Trial:
    return trial(number, state, score=score, ended=STARTED + timedelta(minutes=minutes))


def test_the_best_score_so_far_counts_complete_trials_in_the_order_of_their_end():
    trials = [ended(0, 0.5, 9), ended(1, 0.1, 2, "pruned"), ended(2, 0.4, 3), ended(3, 0.3, 5, "failed")]
    assert to_mlflow.best_so_far(trials, lower_is_better=True) == {2: 0.4, 3: 0.4}
    assert to_mlflow.best_so_far(trials, lower_is_better=False) == {2: 0.4, 3: 0.5}
    assert to_mlflow.best_so_far([ended(0, None, 1), trial(1, "running", ended=None)], lower_is_better=True) == {}


def test_a_studys_run_shows_the_best_score_so_far_and_each_step_once(recorded, folder):
    trials = [ended(0, 0.5, 1), ended(1, 0.6, 2), ended(2, 0.4, 3)]
    for n in (1, 1, 2, 3, 3):
        with open_study() as run:
            to_mlflow.log_progress(run, trials[:n], folder, lower_is_better=True)
    (parent,) = recorded.parents()
    assert recorded.history(parent.info.run_id, "score") == [(1, 0.5), (2, 0.5), (3, 0.4)]


def test_without_a_store_there_is_one_warning_and_the_study_goes_on(project, folder, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with open_study() as run:
        to_mlflow.log_trial(run, trial(0), folder, "log_loss")
        to_mlflow.log_missing(run, [trial(0), trial(1)], folder, "log_loss")
        to_mlflow.log_summary(run, {"best_score": 0.25}, [folder / "trial-0000.csv"], 2)
    assert len(caplog.records) == 1


def test_what_a_broken_store_missed_is_sent_at_the_next_start(recorded, folder, caplog):
    with open_study() as run:
        run.log_metrics({"a name that MLflow refuses :;#": 1.0})
        to_mlflow.log_missing(run, [trial(0), trial(1)], folder, "log_loss")
    assert len(caplog.records) == 1
    assert recorded.status() == {"dropout": "FAILED"}
    send(folder, [trial(0), trial(1)])
    assert recorded.status() == {"dropout": "FINISHED", "trial-0000": "FINISHED", "trial-0001": "FINISHED"}


def test_curves_that_are_no_table_are_named(recorded, folder):
    (folder / "trial-0000.csv").write_text("")
    with pytest.raises(CohortError, match=r"trial-0000\.csv"):
        send(folder, [trial(0)])


def program(how: str, n_processes: int) -> "Popen[str]":
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{PROGRAM}", how, str(n_processes)]
    return Popen(command, stdout=PIPE, stderr=PIPE, text=True)


@pytest.mark.slow
def test_a_trial_that_was_being_sent_when_its_process_was_killed_is_sent_again(recorded, folder):
    killed = program("hang", 1)
    assert killed.stdout.readline() == "sending\n"
    killed.kill()
    killed.communicate(timeout=60)
    assert recorded.status() == {"dropout": "RUNNING", "trial-0000": "RUNNING"}
    (lost,) = (run.info.run_id for run in recorded.runs() if run.info.run_name == "trial-0000")
    send(folder, [trial(number) for number in range(3)])
    assert finished_trials(recorded) == ["trial-0000", "trial-0001", "trial-0002"]
    lost_run = recorded.client.get_run(lost)
    assert lost_run.info.status == "KILLED"
    assert recorded.client.get_run(lost_run.data.tags["datspect.superseded_by"]).info.status == "FINISHED"


@pytest.mark.slow
def test_two_processes_that_send_at_once_send_each_trial_once(recorded, folder):
    processes = [program("send", 2) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in processes]
    assert answers == [("", ""), ("", "")]
    assert finished_trials(recorded) == ["trial-0000", "trial-0001", "trial-0002"]
    assert len(recorded.runs()) == 4


def test_the_link_to_the_pictures_moves_to_the_best_trial_and_leaves_what_somebody_wrote(recorded, folder):
    note = "mlflow.note.content"
    with open_study() as run:
        to_mlflow.log_missing(run, [trial(0), trial(1)], folder, "log_loss")
        first, second = sorted(recorded.children(run.run_id), key=lambda child: child.data.tags["datspect.trial"])
        recorded.client.set_tag(first.info.run_id, note, "Looks odd")
        to_mlflow.point_to_pictures(run, trial(0), ["history"])
        written = recorded.client.get_run(first.info.run_id).data.tags[note]
        assert written.startswith("Looks odd\n\nBest trial of the [study](#/experiments/")
        assert f"/runs/{run.run_id}/artifacts/study/history.png)" in written
        to_mlflow.point_to_pictures(run, trial(1), ["history"])
        assert recorded.client.get_run(first.info.run_id).data.tags[note] == "Looks odd"
        assert recorded.client.get_run(second.info.run_id).data.tags[note].startswith("Best trial of the [study]")
