"""The tables of the open choices: which differences it calls small."""

from typing import Any

import pytest
from benchmarks.sensitivity import parts, seed_spread


def result(accuracy: float, auc: float = 0.97, loss: float = 0.2) -> dict[str, Any]:
    bounds = {"accuracy_low": accuracy - 0.02, "accuracy_high": accuracy + 0.02, "roc_auc_low": 0.95, "roc_auc_high": 1}
    folds = {f"{part}_{kind}": 0.5 for part in ("validation_accuracy", "train_accuracy") for kind in ("mean", "sd")}
    return {
        "out_of_fold": {"accuracy": accuracy, "roc_auc": auc, "loss": loss, **bounds},
        "cv": folds | {"validation_loss_mean": loss},
    }


SEEDS = {f"seed-{number}": result(accuracy) for number, accuracy in enumerate((0.93, 0.94, 0.95, 0.94, 0.94), 1)}

TWIN = {"slices-from-1": result(0.935)}


def test_spread_is_the_range_and_the_standard_deviation_over_seeds() -> None:
    low, high, sd = seed_spread(list(SEEDS.values()))["accuracy"]
    assert (low, high) == (0.93, 0.95)
    assert sd == pytest.approx(0.0070711, abs=1e-6)  # sqrt((0.01^2 + 0.01^2) / 4)


def test_a_difference_within_the_seeds_is_not_called_one() -> None:
    table = parts({**SEEDS, "default": result(0.945), "ratio": result(0.955, loss=0.19), **TWIN})[1]
    rows = {line.split("|")[1].strip(): line for line in table.splitlines()}
    assert rows["intensity: non-specific ratio"].endswith(" beyond: accuracy above, loss below |")
    assert rows["slices counted from 1: 39 to 41"].endswith(" within |")


def test_a_choice_that_was_not_run_is_named() -> None:
    assert "500 draws" in parts({**SEEDS, "default": result(0.94)})[0]
