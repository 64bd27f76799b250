"""The one module that knows a Keras backend: it compiles a function written in `keras.ops`."""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import keras


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of tensors, compiled as a whole by the backend (XLA under TensorFlow and JAX).

    The same function gives the same compiled one, so that shapes met before are not compiled again.
    """
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            return cast(Callable[..., Any], tf.function(function, jit_compile=True, autograph=False))
        case "jax":
            import jax

            return cast(Callable[..., Any], jax.jit(function))
        case _:
            return function
