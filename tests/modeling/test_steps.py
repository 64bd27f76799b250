"""The arithmetic that the stack and the network share is the same with an axis of heads and without."""

import numpy as np
import pytest

from datspect.modeling.heads import HeadWeights, logits
from datspect.modeling.steps import HeadTensors, Rows, adam, corrected_rate, hidden_units, log_odds, loss_and_right


def test_the_log_odds_of_stacked_heads_are_those_of_each(rng: np.random.Generator) -> None:
    shapes = HeadTensors((3, 6, 4), (3, 4), (3, 4), (3,))
    stacked = HeadTensors(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))
    features = rng.normal(size=(3, 9, 6)).astype(np.float32)
    scores = np.asarray(log_odds(stacked, hidden_units(stacked, features)))
    assert scores.shape == (3, 9)
    for k in range(3):
        one = HeadTensors(*(array[k] for array in stacked))
        expected = logits(HeadWeights(one.kernel, one.bias, one.output_kernel, float(one.output_bias)), features[k])
        np.testing.assert_allclose(scores[k], expected, atol=1e-5)
        np.testing.assert_allclose(log_odds(one, hidden_units(one, features[k])), expected, atol=1e-5)


def test_only_real_rows_count() -> None:
    rows = Rows(np.zeros(4, np.int32), np.array([1, 0, 1, 1], np.float32), np.array([True, True, True, False]))
    scores = np.array([0.0, -3.0, -3.0, 50.0], np.float32)
    loss, right = loss_and_right(scores, rows)
    # -log p of the class: log 2 at chance, log(1 + e^-3) if right, log(1 + e^3) if wrong.
    assert float(loss) == pytest.approx(np.log(2) + np.log1p(np.exp(-3)) + np.log1p(np.exp(3)), rel=1e-6)
    assert float(right) == 1


@pytest.mark.parametrize("gradient", [-4.0, -1e-2, 1e-2, 4.0])
def test_the_first_step_of_adam_is_as_long_as_the_learning_rate(gradient: float) -> None:
    weight, zero = np.float32(1), np.float32(0)
    new, first, second = adam(weight, zero, zero, np.float32(gradient), corrected_rate(1e-3, np.float32(1)))
    assert float(weight - new) == pytest.approx(1e-3 * np.sign(gradient), rel=1e-3)
    assert (float(first), float(second)) == pytest.approx((0.1 * gradient, 0.001 * gradient**2), rel=1e-4)
