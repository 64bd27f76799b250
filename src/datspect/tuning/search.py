"""Run trials one after another until there are enough, while others may work on the same study."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import optuna
from optuna.storages import fail_stale_trials

from datspect.io.tables import write_table
from datspect.tuning import study as study_attributes
from datspect.tuning.development import Development
from datspect.tuning.scoring import TITLES, Outcome, fold_scores, measures, outcomes, score
from datspect.tuning.space import SearchSpace
from datspect.tuning.study import Study, finished
from datspect.tuning.trials import Trial, history_path

log = logging.getLogger("datspect.tune")

_SECONDS_BETWEEN_LOOKS = 2.0
_TRIALS_OF_THE_PACE = 10


@dataclass(frozen=True)
class Search:
    """What a trial needs; `folder` takes the curves of each trial."""

    study: Study
    space: SearchSpace
    data: Development
    check_epochs: int
    folder: Path

    def objective(self, trial: optuna.Trial) -> float:
        """Train the configuration that the trial chooses, and return its score.

        Raises
        ------
        TrialPruned : it is worse than others were after as many epochs, or it has diverged.
        """
        trial.set_user_attr(study_attributes.BEGUN, True)
        configuration = self.space.suggested(trial)
        name = f"{self.study.name}, trial {trial.number}"
        for outcome in outcomes(configuration, self.data, self.check_epochs, name):
            judged = outcome.judged
            if not np.isfinite(outcome.probabilities[judged]).all():
                self._keep_curves(trial, outcome)
                raise optuna.TrialPruned  # diverged: a trial without a score
            so_far = score(self.study.objective, self.data.targets[judged], outcome.probabilities[judged])
            trial.report(so_far, outcome.step)
            is_last = outcome.n_epochs == configuration.training.last_epoch and bool(judged.all())
            pruned = not is_last and trial.should_prune()
            if is_last or pruned:
                self._keep(trial, outcome)
            if pruned:
                raise optuna.TrialPruned
        return so_far

    def _keep(self, trial: optuna.Trial, outcome: Outcome) -> None:
        """Write curves to disk and measures to the study, before the trial counts as ended."""
        self._keep_curves(trial, outcome)
        by_fold = fold_scores(self.study.objective, self.data, outcome)
        trial.set_user_attr(study_attributes.FOLD_SCORES, by_fold)
        judged = outcome.judged
        found = measures(self.data.targets[judged], outcome.probabilities[judged])
        trial.set_user_attr(study_attributes.MEASURES, found)

    def _keep_curves(self, trial: optuna.Trial, outcome: Outcome) -> None:
        write_table(history_path(self.folder, trial.number), outcome.history)
        trial.set_user_attr(study_attributes.N_EPOCHS, outcome.n_epochs)
        if outcome.n_folds is not None:
            trial.set_user_attr(study_attributes.N_FOLDS, outcome.n_folds)


def run_trials(search: Search, n_trials: int, minutes: float | None, ended: Callable[[Trial], None]) -> None:
    """Work on the study until `n_trials` are complete or pruned; begin no trial once `minutes` are over.

    `ended` gets each trial that this process ended. A trial whose process died begins again with the same values. While
    other processes run the last trials, this one waits and takes over if such a process dies.
    """
    started, since, said_waiting = time.monotonic(), datetime.now(), False
    while (n_done := finished(trials := _without_stale(search.study))) < n_trials:
        if minutes is not None and time.monotonic() - started > 60 * minutes:
            log.info("%s: %g min are over, %d of %d trials done", search.study.name, minutes, n_done, n_trials)
            return
        if n_done + sum(trial.state == "running" for trial in trials) >= n_trials:
            if not said_waiting:
                log.info("%s: the last of %d trials run in other processes; waiting", search.study.name, n_trials)
            said_waiting = True
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            continue
        trial = _one_trial(search)
        ended(trial)
        _say(search.study, trial, n_trials, since)


def _without_stale(study: Study) -> list[Trial]:
    fail_stale_trials(study.optuna)
    return study.trials()


def _one_trial(search: Search) -> Trial:
    """Run a trial within `optimize`, which sends its heartbeat; the next start repeats one that Ctrl-C ended."""
    numbers: list[int] = []
    study = search.study.optuna

    def objective(trial: optuna.Trial) -> float:
        numbers.append(trial.number)
        return search.objective(trial)

    try:
        study.optimize(objective, n_trials=1)
    except KeyboardInterrupt:
        interrupted = search.study.trials()[numbers[0]] if numbers else None
        if interrupted is not None and interrupted.state == "failed":
            study.enqueue_trial(interrupted.values)
        raise
    return search.study.trials()[numbers[0]]


def _say(study: Study, trial: Trial, n_trials: int, since: datetime) -> None:
    """Log what came out, the best so far, and how long it still takes."""
    trials, title, best = study.trials(), TITLES[study.objective], study.best()
    n_done = finished(trials)
    result = "diverged" if trial.score is None else f"{title} {trial.score:.4f}"
    if trial.state == "pruned":
        result += f" after {trial.reached}, pruned"
    standing = f"best {best.score:.4f}, trial {best.number}" if best else "none complete yet"
    left = seconds_a_trial(trials, since) * max(n_trials - n_done, 0) / 60
    log.info(
        "[%d/%d] trial %d: %s, %.0f s (%s); about %.0f min left",
        n_done, n_trials, trial.number, result, trial.seconds or 0.0, standing, left,
    )  # fmt: skip


def seconds_a_trial(trials: Sequence[Trial], since: datetime) -> float:
    """Return the mean time between two ends, in any process, over the last trials that ended after `since`."""
    recent = [
        trial for trial in trials if trial.state in ("complete", "pruned") and trial.ended and trial.ended >= since
    ]
    ends = sorted(trial.ended for trial in recent if trial.ended)[-_TRIALS_OF_THE_PACE:]
    if len(ends) > 1:
        return (ends[-1] - ends[0]).total_seconds() / (len(ends) - 1)
    return max((trial.seconds or 0.0 for trial in recent), default=0.0)
