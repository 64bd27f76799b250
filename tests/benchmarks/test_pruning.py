"""Replays of a study under pruners: what they may and may not change."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import pruning
from datspect.tuning.quiet import quiet_optuna


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with quiet_optuna():
        yield


def whole_of(levels: np.ndarray, n_epochs: int = 100, n_folds: int = 10) -> pruning.Whole:
    """Trials whose loss falls from level + 1 to level, the same in every fold."""
    fall = np.linspace(1, 0, n_epochs)
    losses = np.repeat((levels[:, None] + fall)[:, :, None], n_folds, axis=2)
    bounds = np.stack([levels - 0.05, levels + 0.05], axis=1)
    return pruning.Whole(losses, np.full(n_folds, 50), bounds)


def test_without_a_pruner_everything_is_trained_and_the_best_wins() -> None:
    whole = whole_of(np.array([0.5, 0.2, 0.4]))
    replayed = pruning.strategies(10)["none"](whole, [0, 1, 2])
    assert (replayed.winner, replayed.share) == (1, 1.0)


def test_curves_that_never_cross_lose_no_winner_and_save_work() -> None:
    whole = whole_of(np.random.default_rng(3).permutation(40) / 40)
    for name, replay in pruning.strategies(10).items():
        found = pruning.summary(whole, [replay(whole, order) for order in pruning.orders(40, 3)])
        assert found["same_winner"] == found["within_interval"] == 1.0, name
        assert found["largest_excess"] == 0.0
        assert found["share_trained"] < 0.9 or name == "none", name


def test_a_late_riser_is_lost_and_the_loss_is_told() -> None:
    """The best at the end is the worst on the way there."""
    whole = whole_of(np.linspace(0.2, 0.5, 20))
    whole.losses[7, :-1] += 1.0
    whole.losses[7, -1] = 0.0
    order = [*range(7), *range(8, 20), 7]
    replay = pruning.strategies(10)["median by epochs, from 20"]
    assert replay(whole, order).winner == 0
    found = pruning.summary(whole, [replay(whole, order)])
    assert (found["same_winner"], found["within_interval"]) == (0.0, 0.0)
    assert found["mean_excess"] == pytest.approx(0.2)


def test_every_order_begins_with_the_first_trial_and_holds_all() -> None:
    for order in pruning.orders(9, 5):
        assert order[0] == 0
        assert sorted(order) == list(range(9))


def test_a_study_is_read_in_the_order_of_its_trials_and_folds(tmp_path: Path) -> None:
    trials = pd.DataFrame({"trial": range(11, -1, -1), "state": "complete", "log_loss_low": 0.1, "log_loss_high": 0.2})
    trials.loc[trials["trial"] == 3, "state"] = "pruned"
    trials.to_csv(tmp_path / "trials.csv", index=False)
    (tmp_path / "trials-1").mkdir()
    for number in range(12):
        rows = [(f"dev-0{fold}", epoch, number + fold / 10 + epoch) for fold in (1, 2) for epoch in (1, 2, 3)]
        curves = pd.DataFrame(rows, columns=["head", "epoch", "validation_loss"])
        curves.to_csv(tmp_path / "trials-1" / f"trial-{number:04d}.csv", index=False)
    pd.DataFrame({"dev_fold": [0, 0, 1, 2, 2, 2]}).to_csv(tmp_path / "splits.csv", index=False)
    whole = pruning.read_whole(tmp_path, tmp_path / "splits.csv")
    assert whole.losses.shape == (11, 3, 2)
    assert whole.losses[3, 0].tolist() == pytest.approx([5.1, 5.2])  # trial 4, since 3 was pruned
    assert whole.final[0] == pytest.approx(3 + (0.1 + 3 * 0.2) / 4)
