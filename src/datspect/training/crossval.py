"""Which heads are trained on whom, and what each of them says of the subjects that it has not seen."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from scipy.special import expit
from tqdm import tqdm

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.evaluation.metrics import TABLE_1_MEASURES, weighted_mean_and_sd
from datspect.modeling.heads import FINAL_HEAD, FittedHead, Head, logits
from datspect.modeling.schedules import learning_rates
from datspect.modeling.stack import Watch, fit_heads, heads_after
from datspect.params.network import ClassifierParams, TrainingParams
from datspect.running.progress import progress
from datspect.training.splitting import NO_FOLD

# Keeps the seeds of cross-validation, development, final, nested and grouped heads apart.
_CV, _DEV, _FINAL, _OUTER, _GROUPED = 0, 1, 2, 3, 4


def cv_heads(folds: IntArray, classifier: ClassifierParams, training: TrainingParams) -> list[Head]:
    """Return a head for each fold of the paper's cross-validation; it trains on all the other folds.

    `folds`: shape (N,), 1 to n_folds.
    """
    return _heads_by_fold("fold", folds, classifier, training, _CV)


def grouped_heads(folds: IntArray, classifier: ClassifierParams, training: TrainingParams) -> list[Head]:
    """Return a head for each grouped fold; it trains on all the other groups. `folds`: shape (N,), 1 to n_folds."""
    return _heads_by_fold("grouped", folds, classifier, training, _GROUPED)


def final_heads(
    is_test: BoolArray, dev_folds: IntArray, classifier: ClassifierParams, training: TrainingParams
) -> list[Head]:
    """Return the final head, for the whole training role, and a head for each development fold.

    `is_test`, `dev_folds`: shape (N,). No head sees a test subject; the final head is validated on nobody.
    """
    final = _head(FINAL_HEAD, np.flatnonzero(~is_test), np.array([], np.int64), classifier, training, (_FINAL, 0))
    return [final, *dev_heads(dev_folds, classifier, training)]


def dev_heads(dev_folds: IntArray, classifier: ClassifierParams, training: TrainingParams) -> list[Head]:
    """Return a head for each development fold; `dev_folds`: shape (N,), `NO_FOLD` for who takes part in none."""
    return _heads_by_fold("dev", dev_folds, classifier, training, _DEV)


def outer_head(name: str, fold: int, folds: IntArray, classifier: ClassifierParams, training: TrainingParams) -> Head:
    """Return a head of a nested search: it trains outside of `fold` and is validated in it; `folds`: shape (N,)."""
    train_rows, validation_rows = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
    return _head(name, train_rows, validation_rows, classifier, training, (_OUTER, fold))


def train(
    heads: Sequence[Head],
    bank: FloatArray,
    labels: IntArray,
    batch_size: int,
    what: str,
    watch: Watch | None = None,
) -> list[FittedHead]:
    """Fit `heads` as one stack, with a progress line named `what`.

    `bank`: shape (draws + 1, N, F); `labels`: shape (N,); `watch` sees every epoch.
    """
    with _epochs_bar(heads, what, only_on_terminal=False) as bar:
        return fit_heads(heads, bank, labels, batch_size=batch_size, report=partial(_move, bar), watch=watch)


def trained_until(
    epochs: Sequence[int],
    heads: Sequence[Head],
    bank: FloatArray,
    labels: IntArray,
    batch_size: int,
    what: str,
    watch: Watch | None = None,
) -> Iterator[list[FittedHead]]:
    """Yield the heads after each of `epochs`, as `heads_after` does, with a bar named `what` on a terminal."""
    with _epochs_bar(heads, what, only_on_terminal=True) as bar:
        report = partial(_move, bar)
        yield from heads_after(epochs, heads, bank, labels, batch_size=batch_size, report=report, watch=watch)


def out_of_fold_logits(heads: Sequence[Head], fitted: Sequence[FittedHead], clean: FloatArray) -> FloatArray:
    """Return each subject's log odds by the head that validated on it, shape (N,); NaN where none did.

    `clean`: features of the clean images by the frozen network, shape (N, F).
    """
    scores = np.full(len(clean), np.nan)
    for head, result in zip(heads, fitted, strict=True):
        rows = head.validation_rows
        scores[rows] = logits(result.weights, features_of(result, clean)[rows])
    return scores


def features_of(fitted: FittedHead, clean: FloatArray) -> FloatArray:
    """Return the features that a head sees of the clean images, shape (N, F).

    They come from its own network if it has one, else from the bank, `clean`.
    """
    return clean if fitted.features is None else fitted.features


def probabilities(scores: FloatArray) -> FloatArray:
    """Return probabilities for log odds of any shape, in double precision.

    >>> probabilities(np.array([0.0, np.log(3)])).round(2).tolist()
    [0.5, 0.75]
    """
    return np.asarray(expit(scores.astype(np.float64)))


def history_table(fitted: Sequence[FittedHead]) -> pd.DataFrame:
    """Return the curves of all heads as one long table: head, epoch (from 1), then a column a curve."""
    return curves_table({result.name: result.history for result in fitted})


def curves_table(histories: Mapping[str, Mapping[str, FloatArray]]) -> pd.DataFrame:
    """Return curves by the name of their head, each of shape (epochs,), as `history_table` does."""
    tables = []
    for name, history in histories.items():
        curves = pd.DataFrame(history)
        curves.insert(0, "epoch", np.arange(1, len(curves) + 1))
        curves.insert(0, "head", name)
        tables.append(curves)
    return pd.concat(tables, ignore_index=True)


def table_1(heads: Sequence[Head], fitted: Sequence[FittedHead]) -> pd.DataFrame:
    """Return the paper's Table 1: the last epoch of every fold."""
    last = pd.DataFrame([{name: result.history[name][-1] for name in TABLE_1_MEASURES} for result in fitted])
    last.insert(0, "n_validation", [len(head.validation_rows) for head in heads])
    last.insert(0, "n_train", [len(head.train_rows) for head in heads])
    last.insert(0, "fold", np.arange(1, len(heads) + 1))
    return last


def table_1_summary(table: pd.DataFrame) -> dict[str, float]:
    """Return means over folds, weighted by the size of the set that a measure is of, and plain sds (ddof 0)."""
    summary: dict[str, float] = {}
    for name in TABLE_1_MEASURES:
        n = table["n_train" if name.startswith("train") else "n_validation"].to_numpy()
        mean, sd = weighted_mean_and_sd(table[name].to_numpy(), n)
        summary |= {f"{name}_mean": mean, f"{name}_sd": sd}
    return summary


def _epochs_bar(heads: Sequence[Head], what: str, *, only_on_terminal: bool) -> "tqdm[None]":
    n_epochs, title = len(heads[0].learning_rates), f"{what}: {len(heads)} heads"
    return progress(None, total=n_epochs, what=title, unit="epochs", only_on_terminal=only_on_terminal)


def _move(bar: "tqdm[None]", n_done: int) -> None:
    bar.update(n_done - bar.n)


def _heads_by_fold(
    name: str, folds: IntArray, classifier: ClassifierParams, training: TrainingParams, purpose: int
) -> list[Head]:
    numbers = [int(fold) for fold in np.unique(folds) if fold != NO_FOLD]
    return [
        _head(
            f"{name}-{number:02d}",
            np.flatnonzero((folds != number) & (folds != NO_FOLD)),
            np.flatnonzero(folds == number),
            classifier,
            training,
            (purpose, number),
        )
        for number in numbers
    ]


def _head(
    name: str,
    train_rows: IntArray,
    validation_rows: IntArray,
    classifier: ClassifierParams,
    training: TrainingParams,
    seed_key: tuple[int, int],
) -> Head:
    return Head(
        name=name,
        train_rows=train_rows,
        validation_rows=validation_rows,
        width=classifier.width,
        dropout=classifier.dropout,
        learning_rates=learning_rates(training.learning_rate, training.epochs)[: training.stop_after],
        seed=int(np.random.SeedSequence([training.seed, *seed_key]).generate_state(1)[0]),
        weight_decay=training.weight_decay,
    )
