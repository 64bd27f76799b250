"""A study as a person runs it: honest about test subjects, resumed after any end, shared by processes, applied."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from tests.tracking.projects import Recorded
from tests.tuning.made_up_data import add_studies, write_inputs, write_params
from tests.tuning.postgres import postgres_server

from datspect.commands.tune import tune
from datspect.errors import CohortError, ParamsError, TuningError
from datspect.params.whole import load_params
from datspect.training.data import TrainingInputs
from datspect.tuning import whole_study
from datspect.tuning.quiet import quiet_optuna
from datspect.tuning.scoring import Outcome, outcomes
from datspect.tuning.storage import ADDRESS_VARIABLE

# As `datspect tune`, with trials that are taken for dead after seconds, not a minute. A shell that starts the tests
# in the background makes them ignore Ctrl-C, and the program would inherit that.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from datspect.tuning import storage
storage.HEARTBEAT_SECONDS, storage.GRACE_SECONDS = 1, 4
from datspect.__main__ import main
main()
"""


@pytest.fixture(autouse=True)
def studies(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("datspect.tracking.joining._SETTLING_SECONDS", 0.0)  # nobody else creates a run here
    add_studies(project)
    with quiet_optuna():
        yield


def chosen(
    folder: Path, *, inputs: TrainingInputs | None = None, name: str | None = None, **tune: Any
) -> whole_study.Chosen:
    params = load_params(write_params(folder, **tune))
    return whole_study.choose(params, inputs or write_inputs(folder), folder / "reports" / "tune", name=name)


def trials(folder: Path, name: str = "tune", address: str | None = None) -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(address or f"sqlite:///{folder / 'optuna.db'}")
    try:
        return optuna.load_study(study_name=name, storage=storage).trials
    finally:
        storage.engine.dispose()


def counting(found: list[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in found if trial.state.name in ("COMPLETE", "PRUNED")]


def parents(folder: Path, name: str) -> list[Any]:
    return [run for run in Recorded(folder).parents() if run.info.run_name == name]


def children(folder: Path, parent: Any) -> list[Any]:
    return Recorded(folder).children(parent.info.run_id)


def start(folder: Path, *options: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "tune", *options],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def write_project(folder: Path, **tune: Any) -> None:
    """What the command reads by default, in the current folder."""
    write_inputs(folder / "data")
    write_params(folder, **tune)


@pytest.mark.slow
def test_a_study_is_the_same_whatever_the_test_subjects_are(project: Path) -> None:
    clean, spoilt = project / "clean", project / "spoilt"
    for folder, spoil in ((clean, False), (spoilt, True)):
        inputs = write_inputs(folder, spoil_test=spoil)
        whole_study.search(chosen(folder, inputs=inputs, name=folder.name))
    ours, theirs = trials(project, "clean"), trials(project, "spoilt")
    assert [trial.params for trial in ours] == [trial.params for trial in theirs]
    assert [trial.values for trial in ours] == [trial.values for trial in theirs]
    assert [trial.intermediate_values for trial in ours] == [trial.intermediate_values for trial in theirs]
    assert [trial.user_attrs for trial in ours] == [trial.user_attrs for trial in theirs]


def test_a_study_leaves_its_result_on_disk_and_in_one_run_that_grows(project: Path) -> None:
    text = whole_study.search(chosen(project, pruner="none"))
    assert "PHANTOM" in text
    assert "optimistic" in text
    (parent,) = parents(project, "tune")
    assert parent.data.params["preprocess.intensity"] == "image_max"
    assert parent.data.params["classifier.width"] == str(load_params(project / "params.yaml").classifier.width)
    assert "optuna.db" not in str(parent.data.params)
    assert parent.data.params["features.precision"] == "float32"
    assert "features.sha256_by_draw" not in parent.data.params  # one for each draw: too long for a parameter
    assert len(children(project, parent)) == 4
    summary = json.loads((project / "reports/tune/tune/study.json").read_text("utf-8"))
    complete = [trial.value for trial in trials(project)]
    assert summary["best"]["score"] == min(complete)
    assert summary["values_of_params_yaml"]["score"] == complete[0]
    whole_study.search(chosen(project, pruner="none", trials=6))
    (same,) = parents(project, "tune")
    assert same.info.run_id == parent.info.run_id
    so_far = Recorded(project).history(same.info.run_id, "score")
    assert [step for step, _ in so_far] == [1, 2, 3, 4, 5, 6]
    assert [best for _, best in so_far] == list(np.minimum.accumulate([trial.value for trial in trials(project)]))
    assert same.info.status == "FINISHED"
    assert sorted(run.data.tags["datspect.trial"] for run in children(project, same)) == list("012345")
    for name in ("history", "parallel", "importances", "slices"):
        assert (project / f"reports/tune/tune/{name}.png").stat().st_size > 5000
    (curves,) = (project / "reports/tune/tune").glob("trials-*/trial-0000.csv")
    history = pd.read_csv(curves)
    assert history.groupby("head").size().to_dict() == {"dev-01": 6, "dev-02": 6, "dev-03": 6}


@pytest.mark.slow
def test_the_score_of_a_trial_is_that_of_a_study_without_pruning(project: Path) -> None:
    """A pruner may stop a trial, and changes nothing in those it lets run."""
    whole_study.search(chosen(project, name="whole", pruner="none", sampler="random", trials=12))
    whole_study.search(chosen(project, name="pruned", pruner="halving", sampler="random", trials=12))
    whole, pruned = trials(project, "whole"), trials(project, "pruned")
    states = [trial.state.name for trial in pruned]
    assert set(states) == {"COMPLETE", "PRUNED"}
    for with_pruner, without in zip(pruned, whole, strict=True):
        assert with_pruner.params == without.params
        reported = without.intermediate_values
        assert with_pruner.intermediate_values == {e: reported[e] for e in with_pruner.intermediate_values}
        if with_pruner.state.name == "COMPLETE":
            assert with_pruner.value == without.value


@pytest.mark.slow
def test_trials_are_shared_out_and_all_arrive(project: Path) -> None:
    """Two processes on one study: no trial twice, every one in MLflow under the one run, the files as ever."""
    of_two = with_workers(chosen(project, trials=5, sampler="random", pruner="none"), 2)
    whole_study.search(of_two)
    summary = json.loads((of_two.folder / "study.json").read_text("utf-8"))
    table = pd.read_csv(of_two.folder / "trials.csv")
    assert summary["n_trials"]["complete"] >= 5
    assert table["trial"].is_unique
    (parent,) = parents(project, "tune")
    assert parent.info.status == "FINISHED"
    sent = children(project, parent)
    assert sorted(run.data.tags["datspect.trial"] for run in sent) == sorted(map(str, table["trial"]))
    # The same trial, wherever it runs, has the same score.
    alone = chosen(project, trials=1, name="alone")
    whole_study.search(alone)
    first = pd.read_csv(alone.folder / "trials.csv")
    assert table.loc[table["trial"] == 0, "score"].item() == pytest.approx(first["score"].item(), abs=1e-6)


def with_workers(one: whole_study.Chosen, n: int) -> whole_study.Chosen:
    executor = one.params.executor.model_copy(update={"workers": n})
    return replace(one, params=one.params.model_copy(update={"executor": executor}))


def test_a_study_of_a_network_that_is_fine_tuned_is_refused(project: Path) -> None:
    params = load_params(write_params(project))
    trained = params.model_copy(update={"backbone": params.backbone.model_copy(update={"trainable": "all"})})
    with pytest.raises(ParamsError, match="a study trains heads on the bank of features"):
        whole_study.choose(trained, write_inputs(project), project / "reports" / "tune")


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["roc_auc", "accuracy"])
def test_other_objectives_are_made_large(project: Path, objective: str) -> None:
    whole_study.search(chosen(project, objective=objective, pruner="none"))
    summary = json.loads((project / "reports/tune/tune/study.json").read_text("utf-8"))
    assert summary["best"]["score"] == max(trial.value or 0 for trial in trials(project))
    assert summary["best"]["measures"][objective] == pytest.approx(summary["best"]["score"])


def test_an_applied_winner_is_what_params_then_hold(project: Path) -> None:
    study = chosen(project)
    with pytest.raises(TuningError, match="study tune: no complete trial yet"):
        whole_study.apply_winner(study, project / "params.yaml")
    whole_study.search(study)
    said = whole_study.apply_winner(study, project / "params.yaml")
    assert "+parameters_from: {study: tune, trial:" in said
    params = load_params(project / "params.yaml")
    best = json.loads((project / "reports/tune/tune/study.json").read_text("utf-8"))["best"]
    held = {"dropout": params.classifier.dropout, "width": params.classifier.width}
    held |= params.training.learning_rate.model_dump()
    assert {name: held[name] for name in best["values"]} == best["values"]
    assert params.parameters_from is not None
    assert params.parameters_from.trial == best["trial"]
    again = whole_study.choose(params, TrainingInputs.within(*_places(project)), project / "reports" / "tune")
    assert "already" in whole_study.apply_winner(again, project / "params.yaml")


def add_with_optuna(folder: Path, value: float | None) -> None:
    """Add a trial as `optuna ask` and, with a value, `optuna tell` do."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")
    study = optuna.load_study(study_name="tune", storage=storage)
    asked = study.ask({"dropout": optuna.distributions.FloatDistribution(0.0, 0.8)})
    if value is not None:
        study.tell(asked, value)
    storage.engine.dispose()


def test_trials_that_somebody_added_are_left_aside_and_never_applied(project: Path) -> None:
    whole_study.search(chosen(project, trials=1))
    add_with_optuna(project, -1.0)
    add_with_optuna(project, None)  # still runs, as far as Optuna knows
    text = whole_study.search(chosen(project, trials=3, pruner="none"))
    assert "2 trials left aside: added with `optuna ask`" in text
    assert "3 complete;" in text
    summary = json.loads((project / "reports/tune/tune/study.json").read_text("utf-8"))
    assert (summary["n_trials"], summary["n_added"]) == ({"complete": 3}, 2)
    assert summary["best"]["trial"] in (0, 3, 4)
    table = pd.read_csv(project / "reports/tune/tune/trials.csv")
    assert table["trial"].tolist() == [0, 3, 4]
    said = whole_study.apply_winner(chosen(project), project / "params.yaml")
    assert f"trial {summary['best']['trial']} (" in said
    assert "2 trials left aside" in said


def test_a_study_of_added_trials_alone_has_nothing_to_apply(project: Path) -> None:
    optuna.create_study(study_name="tune", storage=f"sqlite:///{project / 'optuna.db'}")
    add_with_optuna(project, 0.01)
    before = write_params(project).read_bytes()
    with pytest.raises(TuningError, match=r"no complete trial yet.*\(1 trial left aside: added with"):
        whole_study.apply_winner(chosen(project, minutes=None), project / "params.yaml")
    assert (project / "params.yaml").read_bytes() == before


def test_the_best_trial_links_to_the_pictures_and_hands_the_link_on(project: Path, monkeypatch: Any) -> None:
    whole_study.search(chosen(project, pruner="none"))
    (parent,) = parents(project, "tune")
    experiment, run_id = parent.info.experiment_id, parent.info.run_id
    link = f"(#/experiments/{experiment}/runs/{run_id}/artifacts/study/history.png)"
    assert described(project, parent) == {summary_of(project)["best"]["trial"]: link}
    worst = max(trials(project), key=lambda trial: trial.value or 0).number
    whole = whole_study.Study.best
    monkeypatch.setattr(whole_study.Study, "best", lambda self: whole(self) and self.trials()[worst])
    whole_study.search(chosen(project, pruner="none"))
    assert described(project, parent) == {worst: link}
    files = Recorded(project).client.list_artifacts(run_id, "study")
    assert "study/history.png" in [file.path for file in files]


def summary_of(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "reports/tune/tune/study.json").read_text("utf-8"))
    return summary


def described(folder: Path, parent: Any) -> dict[int, str]:
    """The trials whose description links to the history, and that link."""
    found = {}
    for run in children(folder, parent):
        text = run.data.tags.get("mlflow.note.content", "")
        if "[history]" in text:
            found[int(run.data.tags["datspect.trial"])] = text.partition("[history]")[2].partition(",")[0]
    return found


def _places(folder: Path) -> tuple[Path, Path, Path]:
    return folder / "images", folder / "features", folder / "splits.csv"


@pytest.mark.slow
def test_a_nested_search_ends_with_its_gap_and_goes_on_where_it_was(project: Path) -> None:
    study = chosen(project, minutes=1e-9)
    with pytest.raises(TuningError, match="tune-nested-1: 0 of 2 trials done"):
        whole_study.nested_search(study)
    text = whole_study.nested_search(chosen(project))
    assert "gap, outer less naive" in text
    result = json.loads((project / "reports/tune/tune/nested.json").read_text("utf-8"))
    best = [min(t.value for t in trials(project, f"tune-nested-{k}") if t.value) for k in (1, 2, 3)]
    assert [winner["score"] for winner in result["winners"]] == best
    before = [trial.datetime_complete for trial in trials(project, "tune-nested-2")]
    assert whole_study.nested_search(chosen(project)) == text
    assert [trial.datetime_complete for trial in trials(project, "tune-nested-2")] == before
    (run,) = parents(project, "tune-nested")
    assert run.data.metrics["gap"] == pytest.approx(result["gap"])


def test_data_that_are_missing_or_changed_are_named(project: Path) -> None:
    inputs = write_inputs(project)
    whole_study.search(chosen(project, inputs=inputs, trials=1))
    bank = np.load(inputs.bank)
    np.save(inputs.bank, bank * np.float16(2))
    with pytest.raises(TuningError, match=r"begun with something else(.|\n)*data:"):
        whole_study.search(chosen(project, inputs=inputs, trials=2))
    inputs.bank.unlink()
    with pytest.raises(CohortError, match=r"bank\.npy"):
        chosen(project, inputs=inputs)


def test_a_trial_that_diverges_ends_without_a_score_and_the_study_goes_on(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def nan_in_the_second(*arguments: Any) -> Iterator[Outcome]:
        for outcome in outcomes(*arguments):
            diverged = arguments[3].endswith("trial 1") and outcome.n_epochs > 2
            yield replace(outcome, probabilities=outcome.probabilities * np.nan) if diverged else outcome

    monkeypatch.setattr("datspect.tuning.search.outcomes", nan_in_the_second)
    caplog.set_level("INFO")
    whole_study.search(chosen(project, trials=3, pruner="none"))
    assert [trial.state.name for trial in trials(project)] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert "trial 1: diverged after 4 epochs, pruned" in caplog.text
    (parent,) = parents(project, "tune")
    assert len(children(project, parent)) == 3


@pytest.mark.parametrize("name", ["../elsewhere", "a b", "-x"])
def test_a_name_that_is_no_folder_is_refused(project: Path, name: str) -> None:
    with pytest.raises(ParamsError, match=r"--study .*: expected a letter or digit first"):
        chosen(project, name=name)


def test_values_outside_of_the_space_are_said_not_to_be_a_trial(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = load_params(write_params(project)).tune.space.model_dump()
    space["paper"]["dropout"] = {"low": 0.6, "high": 0.8, "scale": "linear"}
    text = whole_study.search(chosen(project, space=space, trials=1))
    assert "lie outside of tune.space" in caplog.text
    assert "values of params.yaml" not in text


def wait_for(condition: Any, process: "subprocess.Popen[str]", seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def running(folder: Path, address: str | None = None) -> list[int]:
    try:
        return [trial.number for trial in trials(folder, address=address) if trial.state.name == "RUNNING"]
    except (KeyError, RuntimeError, optuna.exceptions.StorageInternalError):  # no study yet
        return []


def in_training(folder: Path) -> list[int]:
    """Running trials that have drawn all their values and trained some epochs."""
    return [number for number in running(folder) if trials(folder)[number].intermediate_values]


@pytest.mark.slow
def test_the_papers_trial_killed_twice_is_done_in_the_end_counts_once_and_the_summary_tells(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("datspect.tuning.storage.HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr("datspect.tuning.storage.GRACE_SECONDS", 4)
    write_project(project, pruner="none", trials=2)
    _make_trials_long(project, epochs=1500)
    for n_killed in range(2):
        killed = start(project)
        wait_for(lambda n=n_killed: len(trials_so_far(project)) > n and in_training(project), killed)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        time.sleep(6)  # until the trial counts as dead, so that the next start does not begin another one
    _make_trials_long(project, epochs=1500)
    tune()
    found = trials(project)
    assert [trial.state.name for trial in found[:2]] == ["FAIL"] * 2
    assert len(counting(found)) == 2
    _each_is_in_mlflow_once(project, found)
    summary = json.loads((project / "reports/tune/tune/study.json").read_text("utf-8"))
    assert summary["values_of_params_yaml"]["values"] == found[0].params
    assert summary["given_up"] == []
    assert (summary["disturbed"]["n_ended_early"], summary["disturbed"]["first"]) == (2, 0)
    assert "the sampling differs from that of an undisturbed study" in capsys.readouterr().out


def trials_so_far(folder: Path) -> list[optuna.trial.FrozenTrial]:
    try:
        return trials(folder)
    except (KeyError, RuntimeError, optuna.exceptions.StorageInternalError):  # no study yet
        return []


def test_what_was_given_up_is_said_with_its_reason(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as an error in every trial with the values of params.yaml."""

    def failing(*arguments: Any) -> Iterator[Outcome]:
        if arguments[0].classifier.dropout == 0.5:
            raise MemoryError
        return outcomes(*arguments)

    monkeypatch.setattr("datspect.tuning.search.outcomes", failing)
    monkeypatch.setattr("datspect.tuning.search._SECONDS_OF_A_CLAIM", 0.0)
    for _ in range(5):
        with pytest.raises(MemoryError):
            whole_study.search(chosen(project, pruner="none", trials=2))
    text = whole_study.search(chosen(project, pruner="none", trials=2))
    assert "2 complete, 5 failed" in text
    assert "given up: trial 0 (the values of params.yaml: dropout 0.5, " in text
    assert "error MemoryError 5 times. Start the command again to try it once more" in text
    (given,) = json.loads((project / "reports/tune/tune/study.json").read_text("utf-8"))["given_up"]
    assert given["of_params_yaml"]
    assert given["attempts"] == [0, 1, 2, 3, 5]


@pytest.mark.long
def test_ctrl_c_in_a_trial_ends_at_once_and_leaves_the_trial_to_the_next_start(project: Path) -> None:
    write_project(project, pruner="none", trials=3)
    _make_trials_long(project)
    stopped = start(project)
    wait_for(lambda: in_training(project) == [1], stopped)
    stopped.send_signal(signal.SIGINT)
    output, _ = stopped.communicate(timeout=60)
    assert stopped.returncode != 0
    assert "Traceback" not in output
    assert [trial.state.name for trial in trials(project)] == ["COMPLETE", "FAIL"]
    (parent,) = parents(project, "tune")
    assert parent.info.status == "KILLED"
    _goes_on_to_the_end(project, lost=1)


def _make_trials_long(folder: Path, epochs: int = 700) -> None:
    """Trials of some seconds, so that one can be hit."""
    from ruamel.yaml import YAML

    path = folder / "params.yaml"
    params = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    params["training"]["epochs"] = epochs
    params["tune"]["check_epochs"] = 50
    YAML().dump(params, path)


def _goes_on_to_the_end(folder: Path, lost: int) -> None:
    """A second start ends the study: three trials count, the lost one's values were tried, MLflow has each once."""
    lost_values = trials(folder)[lost].params
    tune()
    found = trials(folder)
    assert len(counting(found)) == 3
    assert found[lost].state.name == "FAIL"
    assert lost_values in [trial.params for trial in counting(found)]
    assert not [trial for trial in found if trial.state.name in ("RUNNING", "WAITING")]
    _each_is_in_mlflow_once(folder, found)


def _each_is_in_mlflow_once(folder: Path, found: list[optuna.trial.FrozenTrial]) -> None:
    (parent,) = parents(folder, "tune")
    recorded = [run for run in children(folder, parent) if run.info.status == "FINISHED"]
    assert parent.info.status == "FINISHED"
    assert sorted(int(run.data.tags["datspect.trial"]) for run in recorded) == sorted(t.number for t in counting(found))


@pytest.mark.long
def test_processes_share_a_study_on_postgresql_and_one_is_killed(project: Path, tmp_path_factory: Any) -> None:
    write_project(project, pruner="halving", sampler="tpe", trials=7)
    _make_trials_long(project, epochs=1000)
    with postgres_server(tmp_path_factory.mktemp("postgres")) as address:
        environment = {ADDRESS_VARIABLE: address}
        workers = [start(project, **environment) for _ in range(3)]
        wait_for(lambda: len(running(project, address)) == 3, workers[0])
        workers[1].send_signal(signal.SIGKILL)
        outputs = [worker.communicate(timeout=400)[0] for worker in workers]
        assert [worker.returncode for worker in workers] == [0, -signal.SIGKILL, 0], outputs
        found = trials(project, address=address)
    counted = counting(found)
    # Two that look at the same moment may both begin the last trial.
    assert 7 <= len(counted) <= 8
    failed = [trial for trial in found if trial.state.name == "FAIL"]
    assert len(failed) == 1
    # Killed between the drawing of two values, it is tried again with those that it had.
    assert any(failed[0].params.items() <= trial.params.items() for trial in counted)
    assert not [trial for trial in found if trial.state.name in ("RUNNING", "WAITING")]
    assert len({json.dumps(trial.params, sort_keys=True) for trial in counted}) == len(counted)
    best = min(trial.value for trial in counted if trial.state.name == "COMPLETE" and trial.value is not None)
    summary = json.loads((project / "reports/tune/tune/study.json").read_text("utf-8"))
    assert summary["best"]["score"] == best
    (parent,) = parents(project, "tune")
    recorded = [run for run in children(project, parent) if run.info.status == "FINISHED"]
    assert sorted(int(run.data.tags["datspect.trial"]) for run in recorded) == sorted(t.number for t in counted)


def test_a_winner_that_cannot_be_written_is_told_with_its_values(project: Path, monkeypatch: Any) -> None:
    study = chosen(project)
    whole_study.search(study)
    before = (project / "params.yaml").read_bytes()

    @contextmanager
    def refuse(path: Path) -> Iterator[Path]:
        raise OSError(28, "No space left on device")
        yield path

    monkeypatch.setattr(whole_study, "replacing", refuse)
    with pytest.raises(TuningError, match=r"No space left on device\); study tune, trial \d+ has .*dropout"):
        whole_study.apply_winner(study, project / "params.yaml")
    assert (project / "params.yaml").read_bytes() == before
