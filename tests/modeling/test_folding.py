"""A network without batch normalisation computes what it computed with it."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from datspect.modeling.backbone import build_backbone, set_random_weights
from datspect.modeling.folding import folded

L = keras.layers


def plain(x: Any) -> Any:
    return L.BatchNormalization(name="norm")(L.Conv2D(4, 3, use_bias=False)(x))


def with_bias_and_without_scale(x: Any) -> Any:
    return L.BatchNormalization(name="norm", scale=False)(L.Conv2D(4, 3)(x))


def depthwise(x: Any) -> Any:
    return L.BatchNormalization(name="norm", center=False)(L.DepthwiseConv2D(3)(x))


def separable(x: Any) -> Any:
    return L.BatchNormalization(name="norm")(L.SeparableConv2D(4, 3, use_bias=False)(x))


def before_a_convolution(x: Any) -> Any:
    return L.Conv2D(4, 3)(L.BatchNormalization(name="norm")(x))


def after_a_relu(x: Any) -> Any:
    return L.BatchNormalization(name="norm")(L.Conv2D(4, 3, activation="relu")(x))


def beside_another_reader(x: Any) -> Any:
    shared = L.Conv2D(4, 3)(x)
    return L.Add()([L.BatchNormalization(name="norm")(shared), shared])


FOLDED = (plain, with_bias_and_without_scale, depthwise, separable)
KEPT_APART = (before_a_convolution, after_a_relu, beside_another_reader)


def trained(build: Callable[[Any], Any], rng: np.random.Generator) -> keras.Model:
    image = keras.Input((7, 6, 3))
    model = keras.Model(image, L.Dense(2)(L.Flatten()(build(image))))
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


@pytest.mark.parametrize("build", [*FOLDED, *KEPT_APART])
def test_the_function_stays_and_the_normalisation_goes(build: Callable[[Any], Any], rng: np.random.Generator) -> None:
    model, images = trained(build, rng), rng.random((3, 7, 6, 3)).astype(np.float32)
    before = model.get_weights()
    copy = folded(model)
    np.testing.assert_allclose(copy.predict(images, verbose=0), model.predict(images, verbose=0), rtol=2e-5)
    assert not [layer for layer in copy.layers if isinstance(layer, L.BatchNormalization)]
    assert isinstance(copy.get_layer("norm"), L.Identity if build in FOLDED else L.Rescaling)
    for old, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)


def test_the_constants_are_those_of_the_formula() -> None:
    image = keras.Input((1, 1, 1))
    model = keras.Model(image, L.BatchNormalization(name="norm")(L.Conv2D(1, 1, name="convolution")(image)))
    model.get_layer("convolution").set_weights([np.full((1, 1, 1, 1), 2.0), np.array([5.0])])
    model.get_layer("norm").set_weights([np.array([7.0]), np.array([11.0]), np.array([4.0]), np.array([3.0])])
    kernel, bias = folded(model).get_layer("convolution").get_weights()
    root = 1 / np.sqrt(3 + 1e-3)
    assert kernel.item() == pytest.approx(2 * 7 * root)
    assert bias.item() == pytest.approx((5 - 4) * 7 * root + 11)


@pytest.mark.parametrize("architecture", ["MobileNetV2", pytest.param("ResNet50V2", marks=pytest.mark.slow)])
def test_a_backbone_gives_the_same_features(architecture: Any, rng: np.random.Generator) -> None:
    backbone = build_backbone(architecture, (64, 48))
    set_random_weights(backbone, 3)
    images = rng.random((2, 64, 48, 3)).astype(np.float32)
    expected, got = (model.predict(images, verbose=0) for model in (backbone, folded(backbone)))
    assert np.sqrt(((got - expected) ** 2).mean() / (expected**2).mean()) < 1e-5
