"""What pruning saves, and what it costs: a study that ran without it, replayed under pruners in many orders.

    datspect tune --study whole          # with tune.pruner: none and tune.sampler: random
    python benchmarks/pruning.py reports/tune/whole [--orders 50] [--quick] [--json FILE] [--into PAGE]

Every trial's curves are known to the end, so a pruner can be asked what it would have done, on the very same trials.
By epochs all folds train side by side and a look comes every `tune.check_epochs`. By folds the trials train two folds
at a time to the end. Each replay takes the trials in another order; the first stays first, as in a study.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.pruners import BasePruner, MedianPruner, SuccessiveHalvingPruner, WilcoxonPruner

from datspect.io.tables import read_table
from datspect.reporting.markdown import markdown_table
from datspect.tuning.quiet import quiet_optuna
from measuring import BenchmarkError, page_parser, publish

FOLDS_AT_ONCE = 2  # as many as there are cores
SEED = 1


@dataclass(frozen=True)
class Whole:
    """Trials that ran to the end: validation loss by trial, epoch and fold; the winner's interval by trial."""

    losses: NDArray[np.float64]  # (trial, epoch, fold)
    sizes: NDArray[np.int64]  # (fold,)
    bounds: NDArray[np.float64]  # (trial, 2)

    @property
    def by_epoch(self) -> NDArray[np.float64]:
        """Out-of-fold log loss, shape (trial, epoch)."""
        return np.asarray(np.average(self.losses, axis=2, weights=self.sizes))

    @property
    def final(self) -> NDArray[np.float64]:
        """At the end, shape (trial,)."""
        return self.by_epoch[:, -1]


@dataclass(frozen=True)
class Replayed:
    """One order under one pruner: who won, and which share of the training was done."""

    winner: int
    share: float


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("folder", type=Path, help="of a study without pruning")
    parser.add_argument("--splits", type=Path, default=Path("data/splits.csv"))
    parser.add_argument("--orders", type=int, default=50)
    parser.add_argument("--check-epochs", type=int, default=25)
    arguments = parser.parse_args()
    whole = read_whole(arguments.folder, arguments.splits)
    n_orders = 2 if arguments.quick else arguments.orders
    result = {
        "n_trials": len(whole.losses),
        "n_orders": n_orders,
        "strategies": {
            name: summary(whole, [replay(whole, order) for order in orders(len(whole.losses), n_orders)])
            for name, replay in strategies(arguments.check_epochs).items()
        },
    }
    said = f"{result['n_trials']} trials, each pruner in {n_orders} orders of them."
    publish(arguments, [said, table(result)], result)


def read_whole(folder: Path, splits: Path) -> Whole:
    """The complete trials of a study, with their curves.

    Raises
    ------
    BenchmarkError : fewer than ten.
    """
    trials = read_table(folder / "trials.csv", ["trial", "state", "log_loss_low", "log_loss_high"])
    trials = trials[trials["state"] == "complete"].sort_values("trial")
    if len(trials) < 10:
        raise BenchmarkError(f"{folder}: {len(trials)} complete trials, at least 10 wanted; run it without pruning")
    (curve_folder,) = folder.glob("trials-*")
    curves = [read_table(curve_folder / f"trial-{number:04d}.csv") for number in trials["trial"]]
    losses = [c.pivot_table(index="epoch", columns="head", values="validation_loss").to_numpy() for c in curves]
    dev_folds = read_table(splits, ["dev_fold"])["dev_fold"].value_counts().drop(0, errors="ignore").sort_index()
    bounds = trials[["log_loss_low", "log_loss_high"]].to_numpy()
    return Whole(np.array(losses), dev_folds.to_numpy(), bounds)


def orders(n_trials: int, n_orders: int) -> list[NDArray[np.int64]]:
    """Orders of the trials, the first trial first in all."""
    rng = np.random.default_rng(SEED)
    return [np.concatenate([[0], 1 + rng.permutation(n_trials - 1)]) for _ in range(n_orders)]


def strategies(every: int) -> dict[str, Callable[[Whole, Sequence[int]], Replayed]]:
    """By name: a replay of one order."""

    def by_epoch(pruner: Callable[[], BasePruner]) -> Callable[[Whole, Sequence[int]], Replayed]:
        return lambda whole, order: replay_epochs(whole, order, pruner(), every)

    def by_folds(pruner: Callable[[], BasePruner]) -> Callable[[Whole, Sequence[int]], Replayed]:
        return lambda whole, order: replay_folds(whole, order, pruner())

    return {
        "none": by_epoch(optuna.pruners.NopPruner),
        **{
            f"median by epochs, from {first}": by_epoch(
                lambda first=first: MedianPruner(n_startup_trials=5, n_warmup_steps=first)  # type: ignore[misc]
            )
            for first in (every, 2 * every, 4 * every)
        },
        **{
            f"halving by epochs, from {first}": by_epoch(
                lambda first=first: SuccessiveHalvingPruner(min_resource=first, reduction_factor=3)  # type: ignore[misc]
            )
            for first in (every, 2 * every, 4 * every)
        },
        "Wilcoxon by folds, p 0.1": by_folds(lambda: WilcoxonPruner(p_threshold=0.1, n_startup_steps=2)),
        "Wilcoxon by folds, p 0.2": by_folds(lambda: WilcoxonPruner(p_threshold=0.2, n_startup_steps=2)),
    }


def replay_epochs(whole: Whole, order: Sequence[int], pruner: BasePruner, every: int) -> Replayed:
    """Trials in `order`, each looked at every so many epochs."""
    n_epochs = whole.losses.shape[1]
    curves, done, study = whole.by_epoch, 0, optuna.create_study(pruner=pruner)
    for index in order:
        trial, pruned = study.ask(), False
        for epoch in [*range(every, n_epochs, every), n_epochs]:
            trial.report(float(curves[index, epoch - 1]), epoch)
            pruned = epoch < n_epochs and trial.should_prune()
            if pruned:
                break
        done += epoch
        _tell(study, trial, index, None if pruned else float(whole.final[index]))
    return Replayed(_winner(study), done / (n_epochs * len(order)))


def replay_folds(whole: Whole, order: Sequence[int], pruner: BasePruner) -> Replayed:
    """Trials in `order`, each trained to the end on two folds at a time."""
    n_folds = whole.losses.shape[2]
    done, study = 0, optuna.create_study(pruner=pruner)
    for index in order:
        trial, pruned = study.ask(), False
        for first in range(0, n_folds, FOLDS_AT_ONCE):
            block = range(first, min(first + FOLDS_AT_ONCE, n_folds))
            for fold in block:
                trial.report(float(whole.losses[index, -1, fold]), fold)
            done += len(block)
            pruned = block.stop < n_folds and trial.should_prune()
            if pruned:
                break
        _tell(study, trial, index, None if pruned else float(whole.final[index]))
    return Replayed(_winner(study), done / (n_folds * len(order)))


def summary(whole: Whole, replayed: Sequence[Replayed]) -> dict[str, Any]:
    """Over the orders: how much was trained, and how good the winner was."""
    best = int(np.argmin(whole.final))
    winners = np.array([each.winner for each in replayed])
    low, high = whole.bounds[best]
    scores = whole.final[winners]
    return {
        "share_trained": float(np.mean([each.share for each in replayed])),
        "same_winner": float(np.mean(winners == best)),
        "within_interval": float(np.mean((scores >= low) & (scores <= high))),
        "mean_excess": float(np.mean(scores - whole.final[best])),
        "largest_excess": float(np.max(scores - whole.final[best])),
    }


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    rows = [["pruner", "trained", "same winner", "within its interval", "mean excess", "largest excess"]]
    for name, found in result["strategies"].items():
        shares = [f"{found[key]:.0%}" for key in ("share_trained", "same_winner", "within_interval")]
        rows.append([name, *shares, f"{found['mean_excess']:.4f}", f"{found['largest_excess']:.4f}"])
    return markdown_table(rows)


def _tell(study: optuna.Study, trial: optuna.Trial, index: int, score: float | None) -> None:
    trial.set_user_attr("index", int(index))
    if score is None:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(trial, score)


def _winner(study: optuna.Study) -> int:
    return int(study.best_trial.user_attrs["index"])


if __name__ == "__main__":
    with quiet_optuna():
        main()
