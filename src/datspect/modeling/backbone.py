"""The frozen network below the classifier: image in [0, 1] in, pooled features out."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from datspect.arrays import FloatArray
from datspect.errors import WeightsError
from datspect.params.network import Architecture

LayerArrays = list[tuple[str, list[FloatArray]]]
"""Name and arrays of each layer that has weights, in layer order."""


def build_backbone(architecture: Architecture, image_shape: tuple[int, int]) -> keras.Model:
    """A convolutional base without its top, not trainable, its weights still random.

    Image, shape (N, rows, columns, 3), in [0, 1] in; features, shape (N, 2048) for InceptionV3, float32 out under any
    precision policy. All layers are built-in ones and lie flat in the model, so that a saved one loads in safe mode
    and a layer can be named.
    """
    image = keras.Input((*image_shape, 3), name="image")
    # All the architectures were trained on pixels in [-1, 1].
    scaled = keras.layers.Rescaling(2.0, -1.0, name="scale")(image)
    base = _application(architecture)(include_top=False, weights=None, input_tensor=scaled)
    features = keras.layers.GlobalAveragePooling2D(dtype="float32", name="features")(base.output)
    model = keras.Model(image, features, name=architecture)
    model.trainable = False
    return model


def weighted_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that hold weights, in layer order, those of nested models included."""
    layers: list[keras.layers.Layer] = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            layers += weighted_layers(layer)
        elif layer.weights:
            layers.append(layer)
    return layers


def layer_arrays(model: keras.Model) -> LayerArrays:
    """All weights of a model by layer."""
    return [(layer.name, layer.get_weights()) for layer in weighted_layers(model)]


def set_layer_arrays(model: keras.Model, arrays: LayerArrays) -> None:
    """Give each weighted layer of `model` its arrays, by position; layers that follow (a classifier's) are left out.

    Raises
    ------
    WeightsError : too few layers, or a layer whose shapes differ; the model is then unchanged.
    """
    layers = weighted_layers(model)
    if len(arrays) < len(layers):
        raise WeightsError(f"expected {len(layers)} layers with weights for {model.name}, got {len(arrays)}")
    for number, (layer, (name, given)) in enumerate(zip(layers, arrays, strict=False), start=1):
        expected_shapes = [tuple(weight.shape) for weight in layer.weights]
        given_shapes = [array.shape for array in given]
        if given_shapes != expected_shapes:
            raise WeightsError(
                f"layer {number} of {len(layers)} of {model.name} ({layer.name}): expected arrays of shape "
                f"{expected_shapes}, got {given_shapes} ({name}); are these weights of another architecture?"
            )
    for layer, (_, given) in zip(layers, arrays, strict=False):
        layer.set_weights(given)


def tensor_digest(arrays: Iterable[FloatArray]) -> str:
    """SHA-256, hexadecimal, over all arrays in order as little-endian float32."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return digest.hexdigest()


def model_digest(model: keras.Model) -> str:
    """`tensor_digest` of all weights of a model in layer order."""
    return tensor_digest(array for _, arrays in layer_arrays(model) for array in arrays)


def set_random_weights(model: keras.Model, seed: int) -> None:
    """Random kernels that keep a signal's scale from layer to layer; biases and normalisation as Keras starts them.

    He-uniform, drawn in NumPy so that every Keras backend gets the same. Keras' own start (Glorot-uniform) halves the
    variance at each ReLU: after InceptionV3's depth the features differ in the fifth digit after the point only.
    """
    rng = np.random.default_rng(seed)
    for layer in weighted_layers(model):
        arrays = layer.get_weights()
        kernels = [array for array in arrays if array.ndim > 1]
        # A separable layer has two kernels and one ReLU behind them: only the last makes up for its loss.
        gains = [1.0] * (len(kernels) - 1) + [2.0]
        drawn = iter([_uniform(rng, kernel.shape, gain) for kernel, gain in zip(kernels, gains, strict=False)])
        layer.set_weights([next(drawn) if array.ndim > 1 else array for array in arrays])


def _uniform(rng: np.random.Generator, shape: Sequence[int], gain: float) -> FloatArray:
    # Kernels are (rows, columns, in, out), depthwise ones (rows, columns, channels, 1): each output sees one channel.
    fan_in = int(np.prod(shape[:2] if shape[-1] == 1 else shape[:-1]))
    limit = np.sqrt(3 * gain / fan_in)
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def _application(architecture: Architecture) -> Any:
    match architecture:
        case "InceptionV3":
            return keras.applications.InceptionV3
        case "Xception":
            return keras.applications.Xception
        case "MobileNetV2":
            return keras.applications.MobileNetV2
        case "ResNet50V2":
            return keras.applications.ResNet50V2
        case "InceptionResNetV2":
            return keras.applications.InceptionResNetV2
