"""Take batch normalisation out of a trained network: the same function by fewer steps, with constants from NumPy."""

from typing import Any

import keras
import numpy as np

from datspect.arrays import FloatArray

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


def folded(model: keras.Model) -> keras.Model:
    """Return a model that computes what `model` does in inference, without its layers of batch normalisation.

    Such a layer multiplies and adds constants. They go into the convolution before it, else into a layer that does only
    that. The constants need a reciprocal root, which processors of two makers approximate differently: NumPy computes
    it, so that features have the same last bits on both.
    """
    constants = {
        layer.name: _scale_and_offset(layer)
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    into = {name: _convolution_before(model.get_layer(name)) for name in constants}
    folding = {layer.name: name for name, layer in into.items() if layer is not None}

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in constants:
            name, (scale, offset) = layer.name, constants[layer.name]
            if into[name] is not None:
                return keras.layers.Identity(name=name, dtype=layer.dtype_policy)
            return keras.layers.Rescaling(scale.tolist(), offset.tolist(), name=name, dtype=layer.dtype_policy)
        changed = {"use_bias": True} if layer.name in folding else {}
        return type(layer).from_config(layer.get_config() | changed)

    copy = keras.models.clone_model(model, clone_function=clone, call_function=_call_without_mask)
    for layer in model.layers:
        if layer.name in folding:
            copy.get_layer(layer.name).set_weights(_with_constants(layer, *constants[folding[layer.name]]))
        elif layer.weights and layer.name not in constants:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def _call_without_mask(layer: keras.layers.Layer, *inputs: Any, **_: Any) -> Any:
    """Call a layer of the copy; only batch normalisation, which is no longer there, takes a mask."""
    return layer(*inputs)


def _scale_and_offset(layer: Any) -> tuple[FloatArray, FloatArray]:
    """Return what batch normalisation multiplies by and adds, shape (channels,) each, in double precision."""
    mean, variance = (np.asarray(each, np.float64) for each in (layer.moving_mean, layer.moving_variance))
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * np.asarray(layer.gamma, np.float64)
    offset = -mean * scale
    if layer.center:
        offset = offset + np.asarray(layer.beta, np.float64)
    return scale, offset


def _convolution_before(layer: keras.layers.Layer) -> Any:
    """Return the convolution that gives its output to this layer alone; None if there is no such one."""
    before = layer.input._keras_history.operation
    linear = isinstance(before, _CONVOLUTIONS) and before.activation is keras.activations.linear
    return before if linear and len(before._outbound_nodes) == 1 else None


def _with_constants(layer: Any, scale: FloatArray, offset: FloatArray) -> list[FloatArray]:
    """Return the weights of a convolution that multiplies its output by `scale` and adds `offset`."""
    *kernels, last = layer.get_weights()[: -1 if layer.use_bias else None]
    bias = layer.get_weights()[-1] if layer.use_bias else 0.0
    # Of (rows, columns, in, out), or (rows, columns, channels, 1) where each channel has a kernel of its own.
    along = scale[:, None] if isinstance(layer, keras.layers.DepthwiseConv2D) else scale
    return [*kernels, (last * along).astype(np.float32), (bias * scale + offset).astype(np.float32)]
