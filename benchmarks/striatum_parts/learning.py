"""Part `learning`: how few subjects suffice, and what more would bring, against the regression on measured binding.

The default phantom's development folds, joined by pairs into five, are answered by what was trained on so many subjects
drawn from the other four, stratified by class, in each fold other ones. More than there are come from other phantom
seeds, whose sites are other sites. On fewer subjects training takes as many steps as the recipe takes on all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.comparison import compare_out_of_fold
from datspect.modeling.ensemble import fit_ensemble
from datspect.modeling.heads import Head
from datspect.modeling.schedules import learning_rates
from datspect.params.fitting import FittingParams
from datspect.reporting.markdown import markdown_table
from datspect.reporting.paper_tables import with_interval
from datspect.training import crossval
from datspect.training.data import TrainingData
from datspect.training.fitting import slabs_of
from datspect.training.splitting import NO_FOLD
from striatum_parts.ablations import RECIPE, development, side_by_side
from striatum_parts.readers import RATIOS, STRIATUM, binding, measures, ridge, said
from striatum_parts.workplace import DEFAULT_SEED, SEEDS, TITLE, Workplace

SIZES = (50, 100, 200, 400)
ALL, MANY = "all", 2000
NAMES = [*map(str, SIZES), ALL, str(MANY)]


def measure(place: Workplace, names: Sequence[str], n_workers: int) -> dict[str, dict[str, Any]]:
    """Fit what has not been fitted yet of `names`, numbers of subjects; return all that is known."""
    missing = [name for name in names if place.known(f"learning-{name}") is None]
    for seed in SEEDS if str(MANY) in missing else (DEFAULT_SEED,):
        place.features(seed, STRIATUM)
    side_by_side(n_workers, _fit_size, [(place, name) for name in missing])
    return {name: record for name in NAMES if (record := place.known(f"learning-{name}"))}


def _fit_size(place: Workplace, name: str) -> None:
    """Train on so many subjects and keep what network and regression say of the training role."""
    own, params = place.data(DEFAULT_SEED, STRIATUM), place.params(DEFAULT_SEED, STRIATUM)
    data, columns = _with_others(place, own) if name == str(MANY) else _alone(place, own)
    folds = development(own)
    heads, rows = _heads(name, folds, data, params), np.flatnonzero(folds != NO_FOLD)
    known = place.known(f"ablation-{RECIPE}") if name == ALL else None
    material = slabs_of(data, params)
    network, regression = (np.full(len(data.targets), np.nan) for _ in range(2))
    if known:  # the same heads
        network[rows] = known["log_odds"]
    for head in heads:
        there = head.validation_rows
        if not known:
            network[there] = crossval.out_of_fold_logits([head], [fit_ensemble(head, material)], data.bank[0])[there]
        regression[there] = ridge()(columns[head.train_rows], data.targets[head.train_rows])(columns[there]).scores
    figures = {
        "n_train": round(float(np.mean([len(head.train_rows) for head in heads]))),
        "labels": own.targets[rows].tolist(),
        STRIATUM: np.round(network[rows], 5).tolist(),
        RATIOS: np.round(regression[rows], 5).tolist(),
    }
    place.keep(f"learning-{name}", figures)


def _alone(place: Workplace, own: TrainingData) -> tuple[TrainingData, FloatArray]:
    return own, binding(place.images(DEFAULT_SEED), own.splits["scan_id"])[RATIOS]


def _with_others(place: Workplace, own: TrainingData) -> tuple[TrainingData, FloatArray]:
    """Return the default phantom, and behind it the others."""
    all_data = [own, *(place.data(seed, STRIATUM) for seed in SEEDS[1:])]
    columns = [
        binding(place.images(seed), data.splits["scan_id"])[RATIOS] for seed, data in zip(SEEDS, all_data, strict=True)
    ]
    joined = replace(
        own,
        splits=pd.concat([data.splits for data in all_data], ignore_index=True),
        bank=np.concatenate([data.bank for data in all_data], axis=1),
        lowered=np.concatenate([data.lowered for data in all_data if data.lowered is not None], axis=1),
    )
    return joined, np.concatenate(columns)


def _heads(name: str, folds: IntArray, data: TrainingData, params: FittingParams) -> list[Head]:
    """Return a head for each fold, or one for all subjects that trains on the other phantoms.

    `folds`: shape (n,), of the default phantom, the first of the N subjects in `data`.
    """
    heads = crossval.dev_heads(folds, params.classifier, params.training)
    if name == ALL:
        return heads
    if name == str(MANY):  # more subjects are worth more steps: as many epochs as the recipe has
        rows = drawn(np.arange(len(folds), len(data.targets)), data.targets, MANY, DEFAULT_SEED)
        return [replace(heads[0], train_rows=rows, validation_rows=np.flatnonzero(folds != NO_FOLD))]
    return [_on_fewer(head, int(name), number, data.targets, params) for number, head in enumerate(heads, start=1)]


def _on_fewer(head: Head, n: int, number: int, labels: IntArray, params: FittingParams) -> Head:
    """Return a head that trains on `n` of its subjects for as many steps as it would on all."""
    n_steps, n_batches = (-(-size // params.training.batch_size) for size in (len(head.train_rows), n))
    epochs = round(params.training.epochs * n_steps / n_batches)
    rates = learning_rates(params.training.learning_rate, epochs)
    return replace(head, train_rows=drawn(head.train_rows, labels, n, seed=number), learning_rates=rates)


def drawn(rows: IntArray, labels: IntArray, n: int, seed: int) -> IntArray:
    """Return `n` of `rows` in order, stratified by class; `labels`: shape (N,), of all rows."""
    some, _ = train_test_split(rows, train_size=n, stratify=labels[rows], random_state=seed)
    return np.sort(some)


def parts(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the learning curve."""
    head = ["trained on", "striatum: accuracy", "log loss", "binding: accuracy", "log loss", "striatum minus binding"]
    rows = [head]
    for name, record in records.items():
        labels = np.array(record["labels"])
        title = f"{record['n_train']}" + (", of four other seeds" if name == str(MANY) else "")
        rows.append([title, *_cells(labels, record)])
    n = len(next(iter(records.values()))["labels"])
    return [
        f"{n} subjects of the training role, five folds; subjects to train on are drawn anew in each fold; the "
        f"difference of the log loss is paired, with its 95 % interval ({TITLE}, seed {DEFAULT_SEED}).",
        markdown_table(rows),
    ]


def _cells(labels: IntArray, record: Mapping[str, Any]) -> Sequence[str]:
    cells = []
    for name in (STRIATUM, RATIOS):
        found = measures(labels, np.array(record[name]))
        cells += [f"{found['accuracy']:.3f}", f"{found['loss']:.3f}"]
    against = compare_out_of_fold(labels, *(said(np.array(record[name])) for name in (STRIATUM, RATIOS)))
    return [*cells, with_interval(against, "loss_difference", signed=True)]
