"""Adam as Keras has it, written out in `keras.ops`: its own classes cannot step within a compiled TensorFlow loop.

References
----------
Kingma, Ba, "Adam: a method for stochastic optimization" (2015), arXiv:1412.6980; Keras' variant of epsilon.
"""

from typing import Any

from keras import ops

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


def corrected_rate(rate: Any, count: Any) -> Any:
    """The learning rate of step `count`, from 1, that makes up for moments that started at zero."""
    return rate * ops.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)


def adam(weight: Any, first: Any, second: Any, gradient: Any, rate: Any) -> tuple[Any, Any, Any]:
    """New weight and moments; `rate` is a corrected one."""
    new_first = first + (gradient - first) * (1 - BETA_1)
    new_second = second + (gradient * gradient - second) * (1 - BETA_2)
    return weight - rate * new_first / (ops.sqrt(new_second) + EPSILON), new_first, new_second
