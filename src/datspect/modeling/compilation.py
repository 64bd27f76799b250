"""Compile functions written in `keras.ops`, and take their gradients; no other module knows a Keras backend."""

import logging
import os
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import keras
from joblib import cpu_count

log = logging.getLogger(__name__)


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


def hold_float32() -> None:
    """Let float32 be float32 in this process from here on.

    Cards since Ampere round what they multiply to ten bits (TF32) unless they are told not to, which moves a
    probability by up to 0.02: a model would not be found to be the one whose answers were kept.
    """
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            tf.config.experimental.enable_tensor_float_32_execution(False)
        case "jax":
            import jax

            jax.config.update("jax_default_matmul_precision", "highest")


def on_accelerator() -> bool:
    """Return whether the backend computes on a GPU or TPU."""
    if keras.backend.backend() == "jax":
        import jax

        return bool(jax.default_backend() != "cpu")
    return bool(keras.distribution.list_devices("gpu") or keras.distribution.list_devices("tpu"))


def n_programs(n_heads: int) -> int:
    """Return how many compiled programs to train `n_heads` heads with.

    On an accelerator it is one for all. On a CPU each head has its own, and so adds in one order, whichever heads
    there are beside it; what a head changes in training, 4 MB, stays in a core's cache for an epoch.
    """
    return 1 if on_accelerator() else n_heads


def n_at_once() -> int:
    """Return how many programs to run at the same time: two a core, of which one may be busy in Python."""
    return 1 if on_accelerator() else 2 * int(cpu_count())


def hold_to_several_threads() -> None:
    """Let TensorFlow have two threads for its operations at least, on however few cores.

    A compiled program adds in another order where there is but one, and in the same for any other number. It has an
    effect before TensorFlow's first computation in this process.
    """
    if _is_tensorflow_on_cpu() and (n_threads() or int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0)) or cpu_count()) < 2:
        _set_threads(2)


def hold_to_one_thread() -> None:
    """Let each operation compute on one thread; without this its sums depend on how many cores there are.

    It concerns TensorFlow on a CPU, and has an effect before TensorFlow's first computation in this process.
    """
    if _is_tensorflow_on_cpu() and n_threads() != 1:
        _set_threads(1)


def _is_tensorflow_on_cpu() -> bool:
    """Return it without a look at logical devices, after which the number of threads is settled."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def _set_threads(n: int) -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(n)
    except RuntimeError:
        log.info("TensorFlow has computed before in this process: last digits of what is trained depend on its threads")


def n_threads() -> int:
    """Return the number of threads that TensorFlow was told to compute an operation on; 0 if it was not told."""
    import tensorflow as tf

    return int(tf.config.threading.get_intra_op_parallelism_threads())
