"""Run trials one after another until there are enough, while others may work on the same study."""

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import optuna
from optuna.storages import fail_stale_trials

from datspect.io.tables import write_table
from datspect.training.curves import Curves
from datspect.tuning import study as study_attributes
from datspect.tuning.development import Development
from datspect.tuning.live import Growing, told
from datspect.tuning.lost import MOST_AT_ONCE, Lost, again, lost
from datspect.tuning.scoring import TITLES, Outcome, fold_scores, measures, outcomes, score, trial_heads
from datspect.tuning.space import Configuration, SearchSpace
from datspect.tuning.study import Study, finished
from datspect.tuning.trials import Trial, history_path, values_text

log = logging.getLogger("datspect.tune")

_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_OF_A_CLAIM = 1.0  # in which every process that claims the same has written so
_TRIALS_OF_THE_PACE = 10
_GIVEN_UP = "given_up"  # attribute of a study: numbers of trials that an earlier start has given up


@dataclass(frozen=True)
class Search:
    """What a trial needs; `folder` takes the curves of each trial, `tell` what they are while it runs."""

    study: Study
    space: SearchSpace
    data: Development
    check_epochs: int
    folder: Path
    tell: Callable[[Growing], None] = lambda _growing: None

    def objective(self, trial: optuna.Trial) -> float:
        """Train the configuration that the trial chooses, and return its score.

        Raises
        ------
        TrialPruned : it is worse than others were after as many epochs, or it has diverged.
        """
        trial.set_user_attr(study_attributes.BEGUN, True)
        configuration = self.space.suggested(trial)
        heads, by_fold = trial_heads(configuration, self.data), self.data.slabs is not None
        with told(self.tell, trial.number, trial.params, heads, by_fold=by_fold) as curves:
            return self._judged(trial, configuration, curves)

    def _judged(self, trial: optuna.Trial, configuration: Configuration, curves: Curves) -> float:
        name = f"{self.study.name}, trial {trial.number}"
        for outcome in outcomes(configuration, self.data, self.check_epochs, name, curves):
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

    `ended` gets each trial that this process ended. While other processes run the last trials, this one waits and takes
    over if such a process dies. Values of a trial that ended before it was done are tried again (`LostTrials`), also
    beyond `n_trials`.
    """
    started, since, said_waiting = time.monotonic(), datetime.now(), False
    losses = LostTrials(search.study, n_trials)
    while (n_done := finished(trials := losses.queued())) < n_trials or again(trials):
        if minutes is not None and time.monotonic() - started > 60 * minutes:
            log.info("%s: %g min are over, %d of %d trials done", search.study.name, minutes, n_done, n_trials)
            return
        if not again(trials) and n_done + _n_running(trials) >= n_trials:
            if not said_waiting:
                log.info("%s: the last of %d trials run in other processes; waiting", search.study.name, n_trials)
            said_waiting = True
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            continue
        trial = _one_trial(search)
        ended(trial)
        _say(search.study, trial, n_trials, since)


class LostTrials:
    """Finds the trials of a study that ended before they were done, and queues their values again.

    Some times this happens at once. A trial that was lost oftener may be what kills its process: it begins as the last,
    when the others are done. If it is lost then too it is given up, with a warning, until the next start.
    """

    def __init__(self, study: Study, n_trials: int) -> None:
        self._study = study
        self._n_trials = n_trials
        self._given_up_before: set[int] = set(study.optuna.user_attrs.get(_GIVEN_UP, []))
        self._said: set[int] = set()

    def queued(self) -> list[Trial]:
        """Queue what is due, and return the trials of the study as they are then."""
        trials = _without_stale(self._study)
        found = lost(trials)
        last = [each for each in found if not each.at_once and self._may_begin(each)]
        is_end = finished(trials) + _n_running(trials) + len(last) >= self._n_trials
        due = [each for each in found if each.at_once] + (last if is_end else [])
        for each in found:
            self._say(each, is_due=each in due)
        for each in due:
            _queue(self._study, each)
        return self._study.trials() if due else trials

    def _may_begin(self, each: Lost) -> bool:
        """Tell whether a trial that was lost too often for another one at once may begin as the last."""
        return each.number in self._given_up_before or len(each.attempts) == MOST_AT_ONCE + 1

    def _say(self, each: Lost, *, is_due: bool) -> None:
        if is_due:
            log.info("%s: the values of trial %d begin again; %s", self._study.name, each.first, each.why)
        elif each.number not in self._said:
            self._said.add(each.number)
            until = "until all others are done" if self._may_begin(each) else "until the next start"
            log.warning(
                "%s: trial %d (%s) is given up %s; %s", self._study.name, each.first, values_text(each.values), until,
                each.why,
            )  # fmt: skip
            if not self._may_begin(each):
                self._study.optuna.set_user_attr(_GIVEN_UP, sorted({*self._given_up_before, *self._said}))


def _queue(study: Study, each: Lost) -> None:
    """Queue lost values, once, although other processes may find them lost at the same moment."""
    claim, mine = f"again:{each.number}", uuid.uuid4().hex
    study.optuna.set_user_attr(claim, mine)
    time.sleep(_SECONDS_OF_A_CLAIM)
    is_mine = study.optuna.user_attrs.get(claim) == mine
    if is_mine and any(other.number == each.number for other in lost(study.trials())):
        study.optuna.enqueue_trial(each.values)


def _without_stale(study: Study) -> list[Trial]:
    fail_stale_trials(study.optuna)
    return study.trials()


def _n_running(trials: Sequence[Trial]) -> int:
    return sum(trial.state == "running" for trial in trials)


def _one_trial(search: Search) -> Trial:
    """Run a trial within `optimize`, which sends its heartbeat; one that an exception ends keeps its name."""
    numbers: list[int] = []

    def objective(trial: optuna.Trial) -> float:
        numbers.append(trial.number)
        try:
            return search.objective(trial)
        except optuna.TrialPruned:
            raise
        except BaseException as error:
            trial.set_user_attr(study_attributes.ENDED_BY, type(error).__name__)
            raise

    search.study.optuna.optimize(objective, n_trials=1)
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
