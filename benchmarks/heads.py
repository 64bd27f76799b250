"""Seconds for ten heads (2048 -> 128 -> 1) over 500 epochs of the paper's folds: the stack, and plain `fit` calls.

    python benchmarks/heads.py [--epochs 500] [--fit-epochs 5]

The stack runs all its epochs; `fit` is sampled on one fold and scaled to ten folds of as many epochs.
"""

import argparse
import statistics
import time

import keras
import numpy as np

from datspect.crossval import cv_heads
from datspect.modeling.heads import Head, build_head, initial_weights
from datspect.modeling.stack import fit_heads
from datspect.params import load_params
from datspect.splitting import assign_splits

N_DRAWS, N_FEATURES = 16, 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--fit-epochs", type=int, default=5)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], [449, 210])
    bank = np.maximum(rng.normal(size=(N_DRAWS + 1, len(labels), N_FEATURES)), 0).astype(np.float16)
    params = load_params()
    training = params.training.model_copy(update={"epochs": arguments.epochs})
    heads = cv_heads(_folds(labels), params.classifier, training)
    stacked = stack_seconds(heads, bank, labels, training.batch_size)
    plain = plain_fit_seconds(heads[0], bank, labels, training.batch_size, arguments.fit_epochs)
    projected = plain * len(heads) * arguments.epochs
    print(f"stack of {len(heads)} heads, {arguments.epochs} epochs: {stacked:.0f} s")
    print(f"{len(heads)} plain fit calls, projected from {arguments.fit_epochs} epochs of one: {projected:.0f} s")
    print(f"ratio: {projected / stacked:.1f}")


def stack_seconds(heads: list[Head], bank: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
    """Wall-clock seconds, compilation included."""
    started = time.perf_counter()
    fit_heads(heads, bank, labels, batch_size=batch_size)
    return time.perf_counter() - started


def plain_fit_seconds(head: Head, bank: np.ndarray, labels: np.ndarray, batch_size: int, n_epochs: int) -> float:
    """Median seconds an epoch of `fit` on one fold, validation included, the first epoch left out."""
    model = build_head(initial_weights(head, bank.shape[2]), head.dropout)
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy"])
    train, validation = head.train_rows, head.validation_rows
    clean = bank[0, validation].astype(np.float32)
    seconds = []
    for epoch in range(n_epochs + 1):
        features = bank[1 + epoch % N_DRAWS, train].astype(np.float32)
        started = time.perf_counter()
        model.fit(
            features, labels[train], batch_size=batch_size, validation_data=(clean, labels[validation]), verbose=0
        )
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def _folds(labels: np.ndarray) -> np.ndarray:
    import pandas as pd

    ids = [f"S{k:03d}" for k in range(len(labels))]
    subjects = pd.DataFrame({"scan_id": ids, "subject_id": ids, "label": np.where(labels == 1, "pd", "control")})
    return assign_splits(subjects, load_params().split)["fold"].to_numpy()


if __name__ == "__main__":
    main()
