"""From sampled times to whole runs: arithmetic alone, without Keras."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SampleSummary = dict[str, float]
"""`median`, `low` and `high` (10th and 90th percentile) and `n` of sampled times."""
Times = Mapping[str, Any]
"""Seconds by name: summaries of samples, and single numbers of what happens once."""


@dataclass(frozen=True)
class Race:
    """How long the race is: folds, epochs of each, subjects in the bank."""

    n_folds: int
    n_epochs: int
    n_subjects: int


def sample_summary(seconds: Sequence[float] | NDArray[np.float64]) -> SampleSummary:
    """What the sampled times say.

    Raises
    ------
    ValueError : there is none.
    """
    if not len(seconds):
        raise ValueError("no sample was taken: run more folds or epochs")
    low, median, high = np.percentile(seconds, [10, 50, 90])
    return {"median": float(median), "low": float(low), "high": float(high), "n": len(seconds)}


def fit_seconds(race: Race, first_epoch: float, later_epoch: float) -> float:
    """All folds one after another; the first epoch of each also traces the network."""
    return race.n_folds * (first_epoch + (race.n_epochs - 1) * later_epoch)


def bank_seconds(race: Race, draws: int, start: float, image: float) -> float:
    """The bank: the clean images and each draw of them, and once what comes before the first image."""
    return start + (draws + 1) * race.n_subjects * image


def stack_seconds(race: Race, first_epoch: float, later_epoch: float) -> float:
    """All folds as one stack; its first epoch also compiles."""
    return first_epoch + (race.n_epochs - 1) * later_epoch


def race_rows(
    race: Race,
    recipe: Mapping[str, SampleSummary],
    features: Mapping[str, Times],
    stack: Mapping[int, Times],
) -> list[dict[str, float | str]]:
    """A row for each number of draws and each precision: seconds of every part, and the recipe's over ours.

    Parameters
    ----------
    recipe : summaries `first_epoch` and `later_epoch`
    features : by precision, seconds `start` and the summary `image`
    stack : by draws, seconds `first_epoch` and the summary `later_epoch`
    """
    whole = fit_seconds(race, recipe["first_epoch"]["median"], recipe["later_epoch"]["median"])
    rows: list[dict[str, float | str]] = []
    for draws, epochs in stack.items():
        heads = stack_seconds(race, epochs["first_epoch"], epochs["later_epoch"]["median"])
        for precision, times in features.items():
            bank = bank_seconds(race, draws, times["start"], times["image"]["median"])
            ours = bank + heads
            rows.append(
                {
                    "draws": draws,
                    "precision": precision,
                    "recipe_seconds": whole,
                    "bank_seconds": bank,
                    "stack_seconds": heads,
                    "our_seconds": ours,
                    "ratio": whole / ours,
                }
            )
    return rows


def convolution_flop(output_size: Sequence[int], kernel_shape: Sequence[int]) -> int:
    """Operations of a convolution on one image: a multiplication and an addition for each pixel and kernel weight.

    `output_size`: rows and columns; `kernel_shape`: (rows, columns, channels in, channels out).
    """
    return 2 * math.prod(output_size) * math.prod(kernel_shape)
