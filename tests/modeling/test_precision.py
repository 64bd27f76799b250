import keras
import pytest

from datspect.modeling.precision import computing_in


def test_the_policy_holds_inside_and_is_restored_after() -> None:
    before = keras.config.dtype_policy()
    with computing_in("bfloat16"):
        layer = keras.layers.Dense(1)
    assert layer.compute_dtype == "bfloat16"
    assert layer.variable_dtype == "float32"
    assert keras.config.dtype_policy() is before


def test_the_policy_is_restored_after_an_error() -> None:
    before = keras.config.dtype_policy()
    with pytest.raises(RuntimeError), computing_in("bfloat16"):
        raise RuntimeError
    assert keras.config.dtype_policy() is before
