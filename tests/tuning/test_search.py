"""A search tells its pace, over all processes and without pauses, and loses no trial that is killed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from tests.tuning.made_up_data import add_studies

from datspect.tuning import search as search_module
from datspect.tuning import study as study_module
from datspect.tuning.lost import lost
from datspect.tuning.quiet import quiet_optuna
from datspect.tuning.sampling import build_pruner, build_sampler
from datspect.tuning.search import LostTrials, Search, run_trials, seconds_a_trial
from datspect.tuning.storage import open_storage
from datspect.tuning.study import Identity, Study, finished, open_study
from datspect.tuning.trials import State, Trial

START = datetime(2026, 1, 1)


def ended(number: int, minute: float, seconds: float = 90, state: State = "complete") -> Trial:
    end = START + timedelta(minutes=minute)
    return Trial(number, state, {}, started=end - timedelta(seconds=seconds), ended=end)


def test_the_pace_is_that_of_all_processes_together() -> None:
    """Two processes, 90 s a trial each: one ends every 45 s."""
    trials = [ended(number, 1 + 0.75 * number) for number in range(8)]
    assert seconds_a_trial(trials, START) == pytest.approx(45)


def test_the_pace_is_the_latest_one_and_knows_no_pause_before_this_start() -> None:
    before = [ended(number, number) for number in range(5)]
    slow = [ended(5 + number, 100 + 10 * number) for number in range(5)]
    fast = [ended(10 + number, 150 + number / 2) for number in range(10)]
    assert seconds_a_trial([*before, *slow, *fast], START + timedelta(minutes=90)) == pytest.approx(30)


def test_pruned_trials_count_and_failed_ones_do_not() -> None:
    trials = [ended(0, 1), ended(1, 2, state="pruned"), ended(2, 2.1, state="failed"), ended(3, 3)]
    assert seconds_a_trial(trials, START) == pytest.approx(60)


def test_the_first_trial_is_its_own_measure() -> None:
    assert seconds_a_trial([ended(0, 2, seconds=70)], START) == 70
    assert seconds_a_trial([], START) == 0


class Killed(BaseException):
    """Stands for the end of a process: Optuna does not see it, and the trial runs on as far as it knows."""


class Machine:
    """Runs searches whose trials end as `fates` says, by their numbers; `None` is a kill, all others are done."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fates: dict[int, BaseException | None] = {}
        self.is_poison: Callable[[optuna.Trial], bool] = lambda _: False
        self.poison: BaseException = Killed()
        self._address = add_studies(folder)
        self._folder = folder
        monkeypatch.setattr(search_module, "fail_stale_trials", self._fail_running)
        monkeypatch.setattr(search_module, "_SECONDS_OF_A_CLAIM", 0.0)
        monkeypatch.setattr(Search, "objective", lambda _, trial: self._objective(trial))

    def study(self) -> Study:
        identity = Identity("log_loss", {}, {}, "data", "split")
        options: Any = {"sampler": build_sampler("random", 1), "pruner": build_pruner("none", 1), "first": PAPER}
        return open_study("tune", open_storage(self._address), identity, **options)

    def start(self, n_trials: int) -> list[Trial]:
        """Start a search, and return the trials as it leaves them."""
        study = self.study()
        search = Search(study, Any, Any, 1, self._folder)  # type: ignore[arg-type]  # objective uses none of them
        with suppress(Killed, OSError, KeyboardInterrupt), quiet_optuna():
            run_trials(search, n_trials, None, lambda _: None)
        return study.trials()

    def _objective(self, trial: optuna.Trial) -> float:
        trial.set_user_attr(study_module.BEGUN, True)
        dropout = trial.suggest_float("dropout", 0.0, 0.9)
        if trial.number in self.fates or self.is_poison(trial):
            raise self.fates.get(trial.number) or self.poison
        trial.set_user_attr(study_module.MEASURES, {"log_loss": dropout})
        return dropout

    @staticmethod
    def _fail_running(study: optuna.Study) -> None:
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            study._storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)


PAPER = {"dropout": 0.5}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with quiet_optuna():
        yield Machine(tmp_path, monkeypatch)


def done_with(trials: Sequence[Trial], values: dict[str, Any]) -> int:
    return sum(trial.values == values for trial in trials if trial.state == "complete")


@pytest.mark.parametrize(
    ("n_kills", "ending"), [(1, None), (3, KeyboardInterrupt()), (4, None), (4, OSError("no space left")), (6, None)]
)
def test_the_papers_trial_is_done_once_however_often_its_process_ends(
    machine: Machine, n_kills: int, ending: BaseException | None
) -> None:
    """Here nobody but the machine ends it: every trial that runs first in a start does."""
    for kill in range(n_kills):
        machine.fates = dict.fromkeys(range(100), ending)
        machine.start(3)
        assert len([trial for trial in machine.study().trials() if trial.state != "waiting"]) == kill + 1
    machine.fates = {}
    trials = machine.start(3)
    assert done_with(trials, PAPER) == 1
    assert finished(trials) == 3
    assert lost(trials) == []


@pytest.mark.parametrize("poison", [Killed(), OSError("no space left")])
def test_a_trial_that_ends_its_process_every_time_holds_up_no_other(
    machine: Machine, poison: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """An error in it does not either: the start after the one that ended as the last trial goes on without it."""
    machine.is_poison = lambda trial: trial.params == PAPER
    machine.poison = poison
    for _ in range(4):
        assert finished(machine.start(4)) == 0  # before all others
    assert finished(machine.start(4)) == 3  # as the last
    with caplog.at_level("WARNING"):
        assert finished(machine.start(4)) == 4  # given up, and another in its place
    assert (
        f"trial 0 (dropout 0.5) is given up until the next start; error {type(poison).__name__} 5 times" in caplog.text
    )
    (given,) = lost(machine.study().trials())
    assert given.values == PAPER


def test_a_trial_given_up_is_tried_at_the_next_start_although_all_trials_are_done(machine: Machine) -> None:
    machine.is_poison = lambda trial: trial.params == PAPER
    for _ in range(6):
        machine.start(4)
    machine.is_poison = lambda _: False
    trials = machine.start(4)
    assert done_with(trials, PAPER) == 1
    assert finished(trials) == 5
    assert machine.start(4) == trials


def test_a_lost_trial_is_queued_once_by_those_who_see_it_at_the_same_moment(machine: Machine) -> None:
    machine.fates = {0: None}
    machine.start(1)
    one, other = (LostTrials(machine.study(), 1) for _ in range(2))
    one.queued()
    other.queued()
    assert [trial.state for trial in machine.study().trials()] == ["failed", "waiting"]


def test_who_claims_last_queues(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.fates = {0: None}
    machine.start(1)
    study = machine.study()

    def other_claims(_: float) -> None:
        monkeypatch.setattr(search_module.time, "sleep", lambda _: None)
        LostTrials(machine.study(), 1).queued()

    monkeypatch.setattr(search_module.time, "sleep", other_claims)
    LostTrials(study, 1).queued()
    assert [trial.state for trial in machine.study().trials()] == ["failed", "waiting"]
