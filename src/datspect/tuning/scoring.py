"""Score a configuration on the development folds, after some epochs and at the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.metrics import binary_metrics, log_losses, predicted_labels
from datspect.training import crossval
from datspect.tuning.development import Development
from datspect.tuning.space import Configuration

Objective = Literal["log_loss", "roc_auc", "accuracy"]
TITLES: dict[Objective, str] = {"log_loss": "log loss", "roc_auc": "ROC AUC", "accuracy": "accuracy"}
_MEASURES: dict[str, Objective] = {"loss": "log_loss", "roc_auc": "roc_auc", "accuracy": "accuracy"}


@dataclass(frozen=True, eq=False)
class Outcome:
    """A configuration after `n_epochs`: out-of-fold probabilities, shape (N,), and the curves of its heads."""

    n_epochs: int
    probabilities: FloatArray
    history: pd.DataFrame


def lower_is_better(objective: Objective) -> bool:
    """Tell whether a search makes the objective small."""
    return objective == "log_loss"


def outcomes(configuration: Configuration, data: Development, epochs: Sequence[int], what: str) -> Iterator[Outcome]:
    """Train a head for each development fold and judge everybody out of fold, after each of `epochs`.

    The heads of all configurations have the same seeds, so that values make the difference and not luck.
    """
    training = configuration.training
    heads = crossval.dev_heads(data.folds, configuration.classifier, training)
    steps = crossval.trained_until(epochs, heads, data.bank, data.targets, training.batch_size, what)
    for n_epochs, fitted in zip(epochs, steps, strict=True):
        logits = crossval.out_of_fold_logits(heads, fitted, data.bank[0])
        yield Outcome(n_epochs, crossval.probabilities(logits), crossval.history_table(fitted))


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


def fold_scores(objective: Objective, data: Development, probabilities: FloatArray) -> list[float]:
    """Return the objective of each fold, in order; `probabilities` has shape (N,)."""
    inside = [data.folds == fold for fold in np.unique(data.folds)]
    return [score(objective, data.targets[fold], probabilities[fold]) for fold in inside]


def measures(targets: IntArray, probabilities: FloatArray) -> dict[str, float]:
    """Return log loss, ROC AUC and accuracy with their 95 % bounds; both arrays have shape (N,)."""
    metrics = binary_metrics(targets, probabilities)
    return {
        f"{ours}{end}": metrics[f"{theirs}{end}"] for theirs, ours in _MEASURES.items() for end in ("", "_low", "_high")
    }
