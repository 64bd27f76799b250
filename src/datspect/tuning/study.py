"""Open a study in its database, compare it with what it was begun with, and read its trials as plain records."""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from datspect.errors import TuningError
from datspect.tuning.scoring import Objective, lower_is_better
from datspect.tuning.trials import State, Trial

BEGUN, MEASURES, FOLD_SCORES, N_EPOCHS, N_FOLDS = "begun", "measures", "fold_scores", "n_epochs", "n_folds"
ENDED_BY = "ended_by"
"""Attributes of a trial. `BEGUN` marks one that a search runs; `ENDED_BY` names the exception that ended it."""

_QUEUED_WITH = "fixed_params"  # Optuna's attribute of a trial that was queued

_IDENTITY, _ID, _READY = "identity", "id", "ready"
_SECONDS_FOR_A_CREATOR = 30.0
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
# What a trial of a search carries in each state. A failed trial may have died before it got its mark.
_MARKS = {TrialState.COMPLETE: MEASURES, TrialState.PRUNED: N_EPOCHS, TrialState.RUNNING: BEGUN}


@dataclass(frozen=True)
class Identity:
    """What must stay the same over all trials of a study, for their scores to be comparable."""

    objective: Objective
    space: Mapping[str, Any]
    training: Mapping[str, Any]
    data: str
    split: str

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """Return the parts, as `name: theirs, now ours`, in which the record `other` differs."""
        ours = self.as_record()
        return [
            f"{name}: {_brief(other.get(name))}, now {_brief(ours[name])}"
            for name in ours
            if other.get(name) != ours[name]
        ]

    def as_record(self) -> dict[str, Any]:
        """Return the parts as JSON gives them back."""
        record: dict[str, Any] = json.loads(json.dumps(vars(self), default=dict))
        return record


class Study:
    """An Optuna study; only its complete trials can win."""

    def __init__(self, study: optuna.Study, objective: Objective) -> None:
        self.optuna = study
        self.objective = objective
        self.id = str(study.user_attrs[_ID])
        """An id for good: a study that is deleted and begun again has another."""

    @property
    def name(self) -> str:
        """The name in the database."""
        return self.optuna.study_name

    def trials(self) -> list[Trial]:
        """Return all trials, by number, also those that somebody added."""
        return [_record(trial) for trial in self.optuna.get_trials(deepcopy=False)]

    def without_added(self) -> optuna.Study:
        """Return the Optuna study; if somebody added trials to it, a copy in memory without them."""
        kept = [
            trial
            for trial, record in zip(self.optuna.get_trials(deepcopy=False), self.trials(), strict=True)
            if record.state != "added"
        ]
        if len(kept) == len(self.optuna.trials):
            return self.optuna
        copy = optuna.create_study(study_name=self.name, direction=self.optuna.direction)
        copy.add_trials(kept)
        return copy

    def best(self) -> Trial | None:
        """Return the complete trial with the best score, the first of equals; None while a search completed none."""
        scored = [
            (trial.score, trial) for trial in self.trials() if trial.state == "complete" and trial.score is not None
        ]
        if not scored:
            return None
        sign = 1 if lower_is_better(self.objective) else -1
        return min(scored, key=lambda pair: (sign * pair[0], pair[1].number))[1]


def open_study(
    name: str,
    storage: RDBStorage,
    identity: Identity,
    *,
    sampler: BaseSampler,
    pruner: optuna.pruners.BasePruner,
    first: Mapping[str, Any] | None = None,
) -> Study:
    """Begin a study, or go on with the one of that name.

    Parameters
    ----------
    first : values of the first trial of a new study

    Raises
    ------
    TuningError : the study of that name was begun with something else than `identity`, or its scores are made large
        where they should be small; it is left as it is.
    """
    direction: Literal["minimize", "maximize"] = "minimize" if lower_is_better(identity.objective) else "maximize"
    options: dict[str, Any] = {"study_name": name, "storage": storage, "sampler": sampler, "pruner": pruner}
    try:
        study = optuna.create_study(direction=direction, **options)
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(**options)
        _wait_for_creator(study)
    if _READY not in study.user_attrs:  # new, or its creator died before it was done
        _check_direction(study, direction, identity.objective)
        _prepare(study, identity, first)
    _check(study, identity)
    return Study(study, identity.objective)


def _prepare(study: optuna.Study, identity: Identity, first: Mapping[str, Any] | None) -> None:
    study.set_user_attr(_IDENTITY, identity.as_record())
    study.set_user_attr(_ID, uuid.uuid4().hex)
    if first is not None:
        study.enqueue_trial(dict(first), skip_if_exists=True)
    study.set_user_attr(_READY, True)


def _wait_for_creator(study: optuna.Study) -> None:
    deadline = time.monotonic() + _SECONDS_FOR_A_CREATOR
    while _READY not in study.user_attrs and time.monotonic() < deadline:
        time.sleep(0.2)


def _check_direction(study: optuna.Study, direction: str, objective: Objective) -> None:
    """Refuse a study that another program created, which looks for something else."""
    found = [one.name.lower() for one in study.directions]
    if found != [direction]:
        raise TuningError(
            f"study {study.study_name} was created to {' and '.join(found)}, but tune.objective {objective} needs "
            f"{direction}. It is left as it is. Choose another name (tune.study or --study)"
        )


def _check(study: optuna.Study, identity: Identity) -> None:
    begun_with = study.user_attrs.get(_IDENTITY, {})
    if differences := identity.differences(begun_with):
        lines = [
            f"study {study.study_name} was begun with something else, so new trials could not be compared with its "
            f"{len(study.trials)}. It is left as it is. Choose another name (tune.study or --study), or go back to:",
            *differences,
        ]
        raise TuningError("\n  ".join(lines))


def _record(trial: FrozenTrial) -> Trial:
    attributes = trial.user_attrs
    return Trial(
        number=trial.number,
        state="added" if _is_added(trial) else _STATES[trial.state],
        values=dict(trial.params),
        score=_score(trial),
        measures=dict(attributes.get(MEASURES, {})),
        fold_scores=tuple(attributes.get(FOLD_SCORES, ())),
        n_epochs=int(attributes.get(N_EPOCHS, 0)),
        n_folds=attributes.get(N_FOLDS),
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        asked=dict(trial.system_attrs.get(_QUEUED_WITH, {})),
        begun=BEGUN in attributes,
        ended_by=attributes.get(ENDED_BY),
    )


def _is_added(trial: FrozenTrial) -> bool:
    mark = _MARKS.get(trial.state)
    return mark is not None and mark not in trial.user_attrs


def _score(trial: FrozenTrial) -> float | None:
    if trial.state == TrialState.COMPLETE:
        return trial.value
    if MEASURES not in trial.user_attrs:  # it still runs, or has diverged
        return None
    # A database may give attributes of a running trial that are newer than its reports.
    return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None


def _brief(value: object) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 300 else text[:300] + "..."


def finished(trials: Sequence[Trial]) -> int:
    """Count the trials that a search has completed or pruned."""
    return sum(trial.state in ("complete", "pruned") for trial in trials)


def added(trials: Sequence[Trial]) -> int:
    """Count the trials that somebody added."""
    return sum(trial.state == "added" for trial in trials)
