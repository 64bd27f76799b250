"""Compile functions written in `keras.ops`, and take their gradients; no other module knows a Keras backend."""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import keras
from joblib import cpu_count


@cache
def compiled(function: Callable[..., Any], *, convolutions: bool = False) -> Callable[..., Any]:
    """Return a `function` of (trees of) tensors, compiled as a whole by the backend.

    XLA compiles it under JAX, and under TensorFlow unless it holds `convolutions`, which XLA makes half as fast there.
    The same function returns the same compiled one, so that known shapes are not compiled again.
    """
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            return cast(Callable[..., Any], tf.function(function, jit_compile=not convolutions, autograph=False))
        case "jax":
            import jax

            return cast(Callable[..., Any], jax.jit(function))
        case _:
            return function


def value_and_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return, for `function(variables, *rest) -> (loss, more)`, one that returns ((loss, more), gradients of the loss).

    `variables` is a list of tensors, and the gradients have their shapes. Call it within a `compiled` function.

    Raises
    ------
    NotImplementedError : the backend is neither TensorFlow nor JAX.
    """
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            def by_tape(variables: Any, *rest: Any) -> Any:
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch(variables)
                    loss, more = function(variables, *rest)
                gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
                return (loss, more), gradients

            return by_tape
        case "jax":
            import jax

            return cast(Callable[..., Any], jax.value_and_grad(function, has_aux=True))
        case backend:
            raise NotImplementedError(f"gradients under the backend {backend}; choose tensorflow or jax")


def gradient_of(model: keras.Model) -> Callable[[Any], Any]:
    """Return a function from images to the gradient of the sum of a model's outputs with respect to them.

    It takes and returns NumPy arrays of shape (N, H, W, C); the model is not trained.

    Raises
    ------
    NotImplementedError : the backend is neither TensorFlow nor JAX.
    """
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            def by_tape(images: Any) -> Any:
                with tf.GradientTape() as tape:
                    tape.watch(images)
                    total = tf.reduce_sum(model(images, training=False))
                return tape.gradient(total, images)

            graph = tf.function(by_tape, autograph=False)
            return lambda images: graph(tf.convert_to_tensor(images)).numpy()
        case "jax":
            import jax

            trainable = [variable.value for variable in model.trainable_variables]
            fixed = [variable.value for variable in model.non_trainable_variables]

            def total(images: Any) -> Any:
                outputs, _ = model.stateless_call(trainable, fixed, images, training=False)
                return outputs.sum()

            gradient = jax.jit(jax.grad(total))
            return lambda images: jax.device_get(gradient(images))
        case backend:
            raise NotImplementedError(f"gradients under the backend {backend}")


def on_accelerator() -> bool:
    """Return whether the backend computes on a GPU or TPU."""
    if keras.backend.backend() == "jax":
        import jax

        return bool(jax.default_backend() != "cpu")
    return bool(keras.distribution.list_devices("gpu") or keras.distribution.list_devices("tpu"))


def n_programs(n_heads: int) -> int:
    """Return how many compiled programs to train heads with at once.

    The number is 2 on a CPU of two cores or more: a single program leaves a core idle in much of what lies between its
    matrix products (ten heads, 500 epochs: 100 s with one, 79 s with two, 100 s with five). It is 1 on an accelerator.
    """
    if on_accelerator():
        return 1
    return min(2, n_heads, int(cpu_count()))
