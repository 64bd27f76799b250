"""Build samplers and pruners by their names in params.yaml."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

_STARTUP_TRIALS = 5  # the median means nothing before so many trials are complete
_HALVING_FACTOR = 3


class SeededByTrial(BaseSampler):
    """A sampler that gets a new seed for every trial, from the trial's number.

    A study that was stopped between two trials therefore goes on as if it had not been, and processes that share a
    study do not repeat each other.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._sampler = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed the sampler for the trial that begins."""
        self._sampler = self._make(int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0]))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Ask the seeded sampler."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Ask the seeded sampler."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Ask the seeded sampler."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Tell the seeded sampler."""
        self._sampler.after_trial(study, trial, state, values)


def build_sampler(name: Literal["tpe", "random"], seed: int) -> BaseSampler:
    """Return the sampler of that name; equal seeds give equal trials."""
    match name:
        case "tpe":
            # In groups, because some values exist under some schedules only.
            return SeededByTrial(lambda s: TPESampler(seed=s, multivariate=True, group=True, constant_liar=True), seed)
        case "random":
            return SeededByTrial(lambda s: RandomSampler(seed=s), seed)


def build_pruner(name: Literal["median", "halving", "none"], first_look: int) -> BasePruner:
    """Return the pruner of that name, which stops no trial before step `first_look`; steps are epochs or folds."""
    match name:
        case "median":
            return MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=2 * first_look)
        case "halving":
            return SuccessiveHalvingPruner(min_resource=first_look, reduction_factor=_HALVING_FACTOR)
        case "none":
            return NopPruner()
