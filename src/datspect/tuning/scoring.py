"""Score a configuration on the development folds, after some epochs and at the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.evaluation.metrics import binary_metrics, log_losses, predicted_labels
from datspect.modeling.ensemble import fit_ensemble
from datspect.modeling.heads import FittedHead, Head
from datspect.running.progress import progress
from datspect.training import crossval
from datspect.training.curves import Curves
from datspect.tuning.development import Development
from datspect.tuning.slab_banks import SlabBanks
from datspect.tuning.space import Configuration

Objective = Literal["log_loss", "roc_auc", "accuracy"]
TITLES: dict[Objective, str] = {"log_loss": "log loss", "roc_auc": "ROC AUC", "accuracy": "accuracy"}
_MEASURES: dict[str, Objective] = {"loss": "log_loss", "roc_auc": "roc_auc", "accuracy": "accuracy"}


@dataclass(frozen=True, eq=False)
class Outcome:
    """A configuration after `n_epochs`: out-of-fold probabilities, shape (N,), and the curves of its heads.

    `judged`: whose fold is done, shape (N,); `n_folds`: how many are, where folds train one after another, else None.
    """

    n_epochs: int
    probabilities: FloatArray
    history: pd.DataFrame
    judged: BoolArray
    n_folds: int | None = None

    @property
    def step(self) -> int:
        """What the pruner counts: folds if they train one after another, else epochs."""
        return self.n_epochs if self.n_folds is None else self.n_folds


def lower_is_better(objective: Objective) -> bool:
    """Tell whether a search makes the objective small."""
    return objective == "log_loss"


def outcomes(
    configuration: Configuration, data: Development, check_epochs: int, what: str, curves: Curves | None = None
) -> Iterator[Outcome]:
    """Train a configuration on the development folds and say how it stands, as often as a pruner may look.

    Heads on features train together, and the pruner looks after every `check_epochs`. Small networks train fold by
    fold, and it looks after each: the epochs of two trials that differ in their rates or their number cannot be
    compared, and the folds can. `curves` grow with every epoch.
    """
    if data.slabs is None:
        epochs = report_epochs(configuration.training.last_epoch, check_epochs)
        return outcomes_by_epoch(configuration, data, epochs, what, curves)
    return _outcomes_by_fold(configuration, data, data.slabs, what, curves)


def trial_heads(configuration: Configuration, data: Development) -> list[Head]:
    """Return a head for each development fold.

    The heads of all configurations have the same seeds, so that values make the difference and not luck.
    """
    return crossval.dev_heads(data.folds, configuration.classifier, configuration.training)


def outcomes_by_epoch(
    configuration: Configuration, data: Development, epochs: Sequence[int], what: str, curves: Curves | None = None
) -> Iterator[Outcome]:
    """Train a head for each development fold and judge everybody out of fold, after each of `epochs`."""
    heads, batch_size = trial_heads(configuration, data), configuration.training.batch_size
    watch = curves.add_epoch_of_stack if curves else None
    steps = crossval.trained_until(epochs, heads, data.bank, data.targets, batch_size, what, watch)
    for n_epochs, fitted in zip(epochs, steps, strict=True):
        logits = crossval.out_of_fold_logits(heads, fitted, data.bank[0])
        everybody = np.ones(len(data.folds), bool)
        yield Outcome(n_epochs, crossval.probabilities(logits), crossval.history_table(fitted), everybody)


def _outcomes_by_fold(
    configuration: Configuration, data: Development, slabs: SlabBanks, what: str, curves: Curves | None
) -> Iterator[Outcome]:
    """Train an ensemble for each development fold, one after another, and judge those whose fold is done."""
    training, material = configuration.training, data.material(configuration, slabs)
    heads = trial_heads(configuration, data)
    curves = curves or Curves(heads)
    fitted: list[FittedHead] = []
    bar: tqdm[None] = progress(None, total=len(heads), what=what, unit="folds", only_on_terminal=True)
    with bar:
        for head in heads:
            fitted.append(fit_ensemble(head, material, watch=partial(curves.add, head.name)))
            bar.update()
            done = heads[: len(fitted)]
            logits = crossval.out_of_fold_logits(done, fitted, data.bank[0])
            judged = np.isin(np.arange(len(data.folds)), np.concatenate([each.validation_rows for each in done]))
            history = crossval.history_table(fitted)
            yield Outcome(training.last_epoch, crossval.probabilities(logits), history, judged, len(fitted))


def report_epochs(n_epochs: int, check_epochs: int) -> list[int]:
    """Return the epochs after which the pruner looks at a trial: every `check_epochs`, and the last.

    >>> report_epochs(n_epochs=500, check_epochs=200)
    [200, 400, 500]
    """
    return [*range(check_epochs, n_epochs, check_epochs), n_epochs]


def score(objective: Objective, targets: IntArray, probabilities: FloatArray) -> float:
    """Return the objective over all subjects at once; `targets` and `probabilities` have shape (N,)."""
    match objective:
        case "log_loss":
            return float(log_losses(targets, probabilities).mean())
        case "roc_auc":
            return float(roc_auc_score(targets, probabilities))
        case "accuracy":
            return float(np.mean(predicted_labels(probabilities) == targets))


def fold_scores(objective: Objective, data: Development, outcome: Outcome) -> list[float]:
    """Return the objective of each fold that is done, in order."""
    inside = [data.folds == fold for fold in np.unique(data.folds[outcome.judged])]
    return [score(objective, data.targets[fold], outcome.probabilities[fold]) for fold in inside]


def measures(targets: IntArray, probabilities: FloatArray) -> dict[str, float]:
    """Return log loss, ROC AUC and accuracy with their 95 % bounds; both arrays have shape (N,)."""
    metrics = binary_metrics(targets, probabilities)
    return {
        f"{ours}{end}": metrics[f"{theirs}{end}"] for theirs, ours in _MEASURES.items() for end in ("", "_low", "_high")
    }
