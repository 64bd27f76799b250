import numpy as np
import pytest
from benchmarks.projection import (
    Race,
    bank_seconds,
    convolution_flop,
    fit_seconds,
    race_rows,
    sample_summary,
    stack_seconds,
)

PAPER = Race(n_folds=10, n_epochs=500, n_subjects=659)


def constant(seconds: float) -> dict[str, float]:
    return sample_summary([seconds] * 3)


def test_a_summary_is_the_median_and_the_middle_of_the_samples(rng: np.random.Generator) -> None:
    samples = rng.permutation(np.arange(101.0))
    assert sample_summary(list(samples)) == {"median": 50.0, "low": 10.0, "high": 90.0, "n": 101}


def test_a_slow_epoch_does_not_move_the_median() -> None:
    assert sample_summary([6.0, 6.0, 6.0, 6.0, 600.0])["median"] == 6.0


def test_no_sample_is_an_error() -> None:
    with pytest.raises(ValueError, match="no sample"):
        sample_summary([])


def test_the_recipe_traces_once_a_fold_and_the_stack_compiles_once() -> None:
    assert fit_seconds(PAPER, first_epoch=16.0, later_epoch=6.0) == 10 * 16 + 10 * 499 * 6
    assert stack_seconds(PAPER, first_epoch=4.0, later_epoch=0.2) == pytest.approx(4 + 499 * 0.2)


def test_the_bank_holds_the_clean_images_beside_the_draws() -> None:
    assert bank_seconds(PAPER, draws=16, start=0.0, image=1.0) == 11_203  # what stage features counts by default
    assert bank_seconds(PAPER, draws=500, start=5.0, image=0.01) == pytest.approx(5 + 501 * 6.59)


def test_rows_of_the_race_add_up_for_every_number_of_draws_and_precision() -> None:
    recipe = {"first_epoch": constant(10.0), "later_epoch": constant(6.0)}
    features = {
        "float32": {"start": 5.0, "image": constant(0.006)},
        "bfloat16": {"start": 5.0, "image": constant(0.003)},
    }
    stack = {draws: {"first_epoch": 3.0, "later_epoch": constant(0.2)} for draws in (16, 500)}
    rows = race_rows(PAPER, recipe, features, stack)
    assert [(row["draws"], row["precision"]) for row in rows] == [
        (16, "float32"),
        (16, "bfloat16"),
        (500, "float32"),
        (500, "bfloat16"),
    ]
    for row in rows:
        assert row["our_seconds"] == pytest.approx(row["bank_seconds"] + row["stack_seconds"])
        assert row["ratio"] * row["our_seconds"] == pytest.approx(10 * 10 + 10 * 499 * 6)
    assert rows[0]["bank_seconds"] - 5 == pytest.approx(2 * (rows[1]["bank_seconds"] - 5))


def test_a_convolution_of_one_weight_is_a_multiplication_and_an_addition_a_pixel() -> None:
    assert convolution_flop((7, 5), (1, 1, 1, 1)) == 70


def test_operations_of_the_first_layer_of_inception() -> None:
    # 109 x 91, kernel 3 x 3, stride 2, no padding: 54 x 45 pixels, 27 products and as many additions for 32 channels.
    assert convolution_flop((54, 45), (3, 3, 3, 32)) == 54 * 45 * 32 * 54
