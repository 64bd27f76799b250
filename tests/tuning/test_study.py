"""A study begins once, goes on under its name, and is compared with what it was begun with."""

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from tests.tuning.made_up_data import add_studies

from datspect.errors import TuningError
from datspect.tuning import study as study_module
from datspect.tuning.quiet import quiet_optuna
from datspect.tuning.sampling import build_pruner, build_sampler
from datspect.tuning.storage import open_storage
from datspect.tuning.study import Identity, Study, added, finished, open_study

IDENTITY = Identity("log_loss", {"varied": {"dropout": {"low": 0.0}}, "fixed": {}}, {"epochs": 6}, "data", "split")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with quiet_optuna():
        yield


@pytest.fixture
def address(tmp_path: Path) -> str:
    return add_studies(tmp_path)


def opened(address: str, identity: Identity = IDENTITY, name: str = "tune") -> Study:
    sampler, pruner = build_sampler("random", 1), build_pruner("none", 1)
    return open_study(name, open_storage(address), identity, sampler=sampler, pruner=pruner, first={"dropout": 0.5})


def add(study: Study, score: float | None) -> None:
    """Add a trial that ended with `score`, or a pruned one for None."""

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("dropout", 0.0, 0.9)
        if score is None:
            trial.report(0.001, 1)
            trial.set_user_attr(study_module.MEASURES, {"log_loss": 0.001})
            trial.set_user_attr(study_module.N_EPOCHS, 1)
            raise optuna.TrialPruned
        trial.set_user_attr(study_module.MEASURES, {"log_loss": score})
        return score

    study.optuna.optimize(objective, n_trials=1)


def test_a_new_study_begins_with_the_values_of_params_and_goes_on_under_its_id(address: str) -> None:
    first, second = opened(address), opened(address)
    assert first.id == second.id
    assert [trial.state for trial in second.trials()] == ["waiting"]
    add(second, 0.4)
    assert opened(address).trials()[0].values == {"dropout": 0.5}
    assert len(opened(address).trials()) == 1


def test_only_complete_trials_win_and_ties_go_to_the_first(address: str) -> None:
    study = opened(address)
    assert study.best() is None
    for score in (0.4, None, 0.3, 0.3):
        add(study, score)
    assert [trial.state for trial in study.trials()] == ["complete", "pruned", "complete", "complete"]
    best = study.best()
    assert best is not None
    assert (best.number, best.score) == (2, 0.3)
    assert study.trials()[1].score == 0.001
    assert finished(study.trials()) == 4


def test_a_higher_area_wins(address: str) -> None:
    study = opened(address, replace(IDENTITY, objective="roc_auc"))
    for score in (0.8, 0.9, 0.7):
        add(study, score)
    best = study.best()
    assert best is not None
    assert best.number == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            replace(IDENTITY, space={"varied": {"dropout": {"low": 0.2}}, "fixed": {}}),
            r'space: .*"low": 0.0.*"low": 0.2',
        ),
        (replace(IDENTITY, data="other"), 'data: "data", now "other"'),
        (replace(IDENTITY, split="other"), 'split: "split", now "other"'),
        (replace(IDENTITY, training={"epochs": 7}), 'training: {"epochs": 6}, now {"epochs": 7}'),
        (replace(IDENTITY, objective="roc_auc"), 'objective: "log_loss", now "roc_auc"'),
    ],
)
def test_a_study_begun_with_something_else_is_refused_and_left_alone(
    address: str, changed: Identity, said: str
) -> None:
    add(opened(address), 0.4)
    with pytest.raises(TuningError, match=rf"study tune was begun with something else(.|\n)*{said}"):
        opened(address, changed)
    assert [trial.score for trial in opened(address).trials()] == [0.4]
    assert opened(address, changed, name="another").trials()[0].state == "waiting"


def test_a_study_whose_creator_died_half_way_is_made_whole(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_module, "_SECONDS_FOR_A_CREATOR", 0.1)
    optuna.create_study(study_name="tune", storage=open_storage(address), direction="minimize")
    study = opened(address)
    assert study.id
    assert [trial.state for trial in study.trials()] == ["waiting"]


@pytest.mark.slow
def test_processes_that_begin_a_study_at_once_end_in_one_with_one_first_trial(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'new.db'}"  # the tables are made by whoever comes first
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_open_in_process, args=(address,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(opened(address).trials()) == 1


def _open_in_process(address: str) -> None:
    with quiet_optuna():
        opened(address)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("nonsense", "nonsense cannot be used"),
        ("sqlite:////proc/nowhere/optuna.db", "/proc/nowhere/optuna.db cannot be used"),
        ("postgresql://someone:secret@127.0.0.1:1/studies", r"postgresql://127.0.0.1:1/studies cannot be used"),
        ("oranges://host/studies", "oranges://host/studies cannot be used"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(
    address: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datspect.tuning.storage._ATTEMPTS", 1)
    with pytest.raises(TuningError, match=reason) as raised:
        open_storage(address)
    assert "secret" not in str(raised.value)


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datspect.tuning.storage._ATTEMPTS", 1)
    path = tmp_path / "optuna.db"
    path.write_text("notes\n" * 300)
    with pytest.raises(TuningError, match="not a database"):
        open_storage(f"sqlite:///{path}")
    assert path.read_text() == "notes\n" * 300


def test_a_running_trial_whose_reports_are_not_seen_yet_has_no_score(address: str) -> None:
    """A database may give attributes of another process' trial that are newer than its reports."""
    study, seen = opened(address), []

    def objective(trial: optuna.Trial) -> float:
        trial.set_user_attr(study_module.BEGUN, True)
        trial.set_user_attr(study_module.MEASURES, {"log_loss": 0.2})
        seen.append(study.trials()[0])
        trial.report(0.2, 1)
        seen.append(study.trials()[0])
        return 0.2

    study.optuna.optimize(objective, n_trials=1)
    assert [(record.state, record.score) for record in seen] == [("running", None), ("running", 0.2)]


def test_trials_that_somebody_added_neither_win_nor_count(address: str) -> None:
    study = opened(address)
    add(study, 0.4)
    add(study, None)
    somebody = optuna.load_study(study_name="tune", storage=address)
    somebody.tell(somebody.ask(), -1.0)
    somebody.tell(somebody.ask(), state=optuna.trial.TrialState.PRUNED)
    somebody.ask()
    assert [trial.state for trial in study.trials()] == ["complete", "pruned", "added", "added", "added"]
    best = study.best()
    assert best is not None
    assert (best.number, best.score) == (0, 0.4)
    assert finished(study.trials()) == 2
    assert added(study.trials()) == 3
    assert [trial.number for trial in study.without_added().trials] == [0, 1]
    assert len(study.optuna.trials) == 5


def test_a_study_without_added_trials_is_shown_as_it_is(address: str) -> None:
    study = opened(address)
    add(study, 0.4)
    assert study.without_added() is study.optuna


def test_a_study_that_was_created_to_look_for_something_else_is_refused_and_left_alone(address: str) -> None:
    """As `optuna create-study --direction maximize`, or the dashboard, creates it."""
    created = optuna.create_study(study_name="tune", storage=address, direction="maximize")
    with pytest.raises(
        TuningError, match=r"study tune was created to maximize, but tune.objective log_loss needs minim"
    ):
        opened(address)
    assert created.user_attrs == {}
    assert created.trials == []
