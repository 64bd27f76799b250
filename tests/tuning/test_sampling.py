"""Samplers repeat, and pruners stop what is worse."""

import optuna
import pytest

from datspect.tuning.quiet import quiet_optuna
from datspect.tuning.sampling import build_pruner, build_sampler


def chosen(n_trials: int, seed: int, name: str = "tpe", interruptions: int = 0) -> list[float]:
    """Return the values that a study over a parabola tries; the study is loaded anew after each interruption."""
    storage = optuna.storages.InMemoryStorage()
    with quiet_optuna():
        optuna.create_study(study_name="s", storage=storage)
        per_start = n_trials // (interruptions + 1)
        for _ in range(interruptions + 1):
            sampler = build_sampler(name, seed)  # type: ignore[arg-type]
            study = optuna.load_study(study_name="s", storage=storage, sampler=sampler)
            study.optimize(lambda trial: (trial.suggest_float("x", -1, 1) - 0.3) ** 2, n_trials=per_start)
        return [trial.params["x"] for trial in study.trials]


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_a_study_repeats_and_interruptions_change_nothing(name: str) -> None:
    undisturbed = chosen(24, 5, name)
    assert chosen(24, 5, name, interruptions=3) == undisturbed
    assert chosen(24, 6, name) != undisturbed
    assert len(set(undisturbed)) == 24


def test_the_tree_of_parzen_estimators_ends_nearer_to_the_minimum_than_chance() -> None:
    def last_distances(name: str) -> float:
        return sum(abs(x - 0.3) for seed in range(4) for x in chosen(40, seed, name)[-10:])

    assert last_distances("tpe") < last_distances("random") / 2


def curve_pruned_after(name: str, level: float) -> int | None:
    """Return the epoch at which a flat curve at `level` is stopped after ten curves at 0 to 0.9, None for none."""
    with quiet_optuna():
        study = optuna.create_study(pruner=build_pruner(name, 25))  # type: ignore[arg-type]
        for number in range(10):
            earlier = study.ask()
            for epoch in range(25, 501, 25):
                earlier.report(number / 10, epoch)
                earlier.should_prune()  # halving counts the trials that it looked at
            study.tell(earlier, number / 10)
        trial = study.ask()
        for epoch in range(25, 501, 25):
            trial.report(level, epoch)
            if trial.should_prune():
                return epoch
    return None


def test_the_median_stops_the_worse_half_from_the_second_look() -> None:
    assert curve_pruned_after("median", 0.6) == 50
    assert curve_pruned_after("median", 0.3) is None


def test_halving_stops_all_but_the_best_third_at_once() -> None:
    assert curve_pruned_after("halving", 0.6) == 25
    assert curve_pruned_after("halving", -0.1) is None


def test_none_stops_nothing() -> None:
    assert curve_pruned_after("none", 99.0) is None
