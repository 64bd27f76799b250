"""The one module that knows a Keras backend: it compiles a function written in `keras.ops`."""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import keras
from joblib import cpu_count


@cache
def compiled(function: Callable[..., Any], *, convolutions: bool = False) -> Callable[..., Any]:
    """`function` of tensors, compiled as a whole by the backend.

    By XLA under JAX, and under TensorFlow unless it holds `convolutions`, which XLA makes half as fast there. The same
    function gives the same compiled one, so that shapes met before are not compiled again.
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
    """Of `function(variables, *rest) -> (loss, more)`: a function that gives ((loss, more), gradients of the loss).

    `variables`: a list of tensors; to be called within a `compiled` function.

    Raises
    ------
    NotImplementedError : under a backend other than TensorFlow and JAX.
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
    """Gradient of the sum of a model's outputs with respect to its input, NumPy in and out; the model is not trained.

    Raises
    ------
    NotImplementedError : under a backend other than TensorFlow and JAX.
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
    """Whether the backend computes on a GPU or TPU."""
    if keras.backend.backend() == "jax":
        import jax

        return bool(jax.default_backend() != "cpu")
    return bool(keras.distribution.list_devices("gpu") or keras.distribution.list_devices("tpu"))


def n_programs(n_heads: int) -> int:
    """How many compiled programs to train heads with at once.

    Two on a CPU of two cores or more: a single program leaves a core idle in much of what lies between its matrix
    products (ten heads, 500 epochs: 100 s with one, 79 s with two, 100 s with five). One on an accelerator.
    """
    if on_accelerator():
        return 1
    return min(2, n_heads, int(cpu_count()))
