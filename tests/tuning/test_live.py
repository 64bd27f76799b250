"""A trial shows its curves while it runs; its end completes them, and no point comes twice."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from tests.tracking.projects import Recorded
from tests.tuning.made_up_data import add_studies, write_inputs, write_params, write_slab_inputs
from tests.tuning.test_striatum_study import write_striatum_params

from datspect.params.whole import load_params
from datspect.tracking import live as tracking_live
from datspect.tuning import whole_study
from datspect.tuning.quiet import quiet_optuna
from datspect.tuning.scoring import Outcome, outcomes

ALL = [1, 2, 3, 4, 5, 6]


@pytest.fixture(autouse=True)
def studies(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("datspect.tracking.joining._SETTLING_SECONDS", 0.0)
    monkeypatch.setattr("datspect.tuning.search._SECONDS_OF_A_CLAIM", 0.0)
    monkeypatch.setattr(tracking_live, "INTERVAL_SECONDS", 0.05)
    add_studies(project)
    with quiet_optuna():
        yield


def chosen(folder: Path, **tune: Any) -> whole_study.Chosen:
    params = load_params(write_params(folder, trials=1, pruner="none", **tune))
    return whole_study.choose(params, write_inputs(folder), folder / "reports" / "tune")


def at_first_look(monkeypatch: pytest.MonkeyPatch, look: Callable[[], None]) -> None:
    """Call `look` when the pruner may look at a trial for the first time, which is after two epochs, or a fold."""
    looks: list[None] = []

    def watched(*arguments: Any) -> Iterator[Outcome]:
        for outcome in outcomes(*arguments):
            if not looks:
                looks.append(None)
                look()
            yield outcome

    monkeypatch.setattr("datspect.tuning.search.outcomes", watched)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def trial_runs(folder: Path) -> dict[str, Any]:
    """The runs of trials by name; each name once, and in no run a point twice."""
    recorded = Recorded(folder)
    (parent,) = recorded.parents()
    children = recorded.children(parent.info.run_id)
    for run in children:
        for key in run.data.metrics:
            sent = steps(folder, run, key)
            assert sent == sorted(set(sent)), key
    assert len({run.info.run_name for run in children}) == len(children)
    return {run.info.run_name: run for run in children}


def steps(folder: Path, run: Any, key: str) -> list[int]:
    return [step for step, _ in Recorded(folder).history(run.info.run_id, key)]


def grown(folder: Path, key: str) -> list[int]:
    """Steps of a curve of the first trial, which runs. What it tries is sent after its run begins, before any point."""
    begun = trial_runs(folder).get("trial-0000")
    sent = steps(folder, begun, key) if begun else []
    if sent:
        run = trial_runs(folder)["trial-0000"]
        assert (run.info.status, run.data.tags["datspect.trial_state"]) == ("RUNNING", "running")
        assert "dropout" in run.data.params
    return sent


@pytest.mark.parametrize("pruned", [False, True])
def test_the_end_of_a_trial_completes_what_was_shown_while_it_ran(
    project: Path, monkeypatch: pytest.MonkeyPatch, pruned: bool
) -> None:
    at_first_look(monkeypatch, lambda: wait_for(lambda: grown(project, "epoch/train_loss") == [1, 2]))
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda _: pruned)
    whole_study.search(chosen(project))
    (run,) = trial_runs(project).values()
    assert run.info.status == "FINISHED"
    assert run.data.tags["datspect.trial_state"] == ("pruned" if pruned else "complete")
    assert run.data.tags.get("datspect.pruned_after") == ("2" if pruned else None)
    assert steps(project, run, "epoch/validation_loss") == (ALL[:2] if pruned else ALL)
    assert steps(project, run, "fold_score") == [1, 2, 3]


def test_folds_that_train_one_after_another_show_their_own_losses(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = write_striatum_params(project, trials=1, pruner="none")
    inputs = write_slab_inputs(project, params)
    at_first_look(monkeypatch, lambda: wait_for(lambda: grown(project, "dev-01/train_loss") == [1, 2]))
    whole_study.search(whole_study.choose(load_params(params), inputs, project / "reports" / "tune"))
    (run,) = trial_runs(project).values()
    curves = ("dev-01/train_loss", "dev-02/validation_loss", "dev-03/train_loss", "epoch/train_loss")
    assert [steps(project, run, key) for key in curves] == [[1, 2]] * 4


def test_a_trial_that_is_stopped_keeps_its_points_and_its_values_begin_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        wait_for(lambda: bool(grown(project, "epoch/train_loss")))
        raise KeyboardInterrupt

    at_first_look(monkeypatch, stop)
    with pytest.raises(KeyboardInterrupt):
        whole_study.search(chosen(project))
    (run,) = trial_runs(project).values()
    assert (run.info.status, steps(project, run, "epoch/train_loss")) == ("KILLED", [1, 2])
    whole_study.search(chosen(project))
    runs = trial_runs(project)
    assert {name: run.info.status for name, run in runs.items()} == {"trial-0000": "KILLED", "trial-0001": "FINISHED"}
    assert runs["trial-0001"].data.params["dropout"] == run.data.params["dropout"]
    assert steps(project, runs["trial-0001"], "epoch/train_loss") == ALL


@pytest.mark.parametrize("late", [False, True])
def test_what_a_worker_tells_grows_the_run_unless_the_trial_was_sent_before(
    project: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    told: list[Any] = []

    def completed(
        work: Any, share: Any, _pieces: Any, _params: Any, report: Any, **_: Any
    ) -> Iterator[tuple[int, Any]]:
        def pass_on(found: Any) -> None:
            told.append(found)
            if not late:
                report(0, found)

        yield 0, work(share, 0, pass_on)
        for found in [told[-1], *told] if late else ():
            report(0, found)

    monkeypatch.setattr(whole_study, "places", lambda _: 2)
    monkeypatch.setattr(whole_study, "completed", completed)
    at_first_look(
        monkeypatch, lambda: wait_for(lambda: bool(told) if late else grown(project, "epoch/train_loss") == [1, 2])
    )
    whole_study.search(chosen(project))
    (run,) = trial_runs(project).values()
    assert (run.info.status, steps(project, run, "epoch/train_loss")) == ("FINISHED", ALL)


def test_a_trial_shorter_than_the_interval_begins_no_run_before_its_end(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_live, "INTERVAL_SECONDS", 300.0)
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda _: True)
    whole_study.search(chosen(project))
    (run,) = trial_runs(project).values()
    assert run.info.end_time - run.info.start_time == pytest.approx(1000 * run.data.metrics["seconds"], abs=2)
