"""Attributions add up, are exact where the answer is known, and belong to the weights."""

from typing import Any

import keras
import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import spearmanr

from datspect.modeling.backbone import build_backbone, set_random_weights
from datspect.modeling.classifier import build_classifier
from datspect.modeling.heads import HeadWeights
from datspect.prediction.attribution import IntegratedGradients, Noise
from datspect.prediction.keras_network import DifferentiableModel, KerasNetwork, logit_model
from datspect.prediction.networks import GRADIENTS_AT_ONCE

SHAPE = (75, 75)


def head(n_features: int, seed: int = 3) -> HeadWeights:
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(n_features, 6)).astype(np.float32) / np.sqrt(n_features)
    return HeadWeights(kernel, np.full(6, 0.1, np.float32), rng.normal(size=6).astype(np.float32), 0.2)


def images(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A smooth image with a bright spot, and the same without it."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    head_ = ((rows - shape[0] / 2) ** 2 + (columns - shape[1] / 2) ** 2 < (0.4 * min(shape)) ** 2) * 0.3
    spot = 0.6 * np.exp(-((rows - shape[0] / 3) ** 2 + (columns - shape[1] / 3) ** 2) / 30)
    image = np.repeat((head_ + spot)[:, :, None], 3, axis=2) + rng.random((*shape, 3)) * 0.02
    return image.astype(np.float32), np.minimum(image, 0.3).astype(np.float32)


def random_classifier(seed: int) -> keras.Model:
    backbone = build_backbone("MobileNetV2", SHAPE)
    set_random_weights(backbone, seed)
    return build_classifier(backbone, head(backbone.output_shape[-1]), 0.5)


def test_of_a_linear_model_they_are_weight_times_difference(rng: np.random.Generator) -> None:
    inputs = keras.Input((4, 5, 3))
    linear = keras.layers.Dense(1)
    model = keras.Model(inputs, linear(keras.layers.Flatten()(inputs)))
    image, baseline = rng.random((2, 4, 5, 3)).astype(np.float32)
    found = IntegratedGradients(DifferentiableModel(model)).attribute(image, baseline)
    kernel = linear.get_weights()[0].reshape(4, 5, 3)
    np.testing.assert_allclose(found.values, kernel * (image - baseline), atol=1e-5)
    assert found.complete
    assert found.missed < 1e-4


def test_an_image_that_is_its_baseline_has_nothing_to_attribute() -> None:
    inputs = keras.Input((4, 5, 3))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))
    image = np.full((4, 5, 3), 0.4, np.float32)
    found = IntegratedGradients(DifferentiableModel(model)).attribute(image, image)
    assert (found.difference, found.missed, found.complete) == (0.0, 0.0, True)
    assert not found.values.any()


def test_more_nodes_are_taken_until_the_sum_is_complete() -> None:
    """A step in the middle of the way: few nodes miss it."""
    inputs = keras.Input((1, 1, 1))
    steep = keras.layers.Rescaling(500.0, -251.0)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Activation("sigmoid")(steep))
    found = IntegratedGradients(DifferentiableModel(model)).attribute(np.ones((1, 1, 1)), np.zeros((1, 1, 1)))
    assert found.steps > 16
    assert found.complete


class Squares:
    """Log odds are the sum of squares: the gradient grows along the way."""

    def log_odds(self, seen: np.ndarray) -> np.ndarray:
        return np.square(seen.astype(np.float64)).sum(axis=(1, 2, 3))

    def gradient(self, seen: np.ndarray) -> np.ndarray:
        return 2 * seen


def test_over_draws_of_noise_they_add_up_to_the_mean_of_the_differences(rng: np.random.Generator) -> None:
    """Of squares against black, a place has s^2 x^2 in each draw, and the mean of that in the end."""
    image, noise = rng.random((12, 10, 3)), Noise(n_draws=6, sd=0.3, fwhm_pixels=3.0)
    found = IntegratedGradients(Squares(), noise).attribute(image, np.zeros_like(image))
    scaled = noise.scales(image.shape) * image
    np.testing.assert_allclose(found.values, np.square(scaled).mean(axis=0), rtol=0.01, atol=1e-7)
    assert found.difference == pytest.approx(Squares().log_odds(scaled).mean(), rel=1e-5)
    assert found.values.sum() == pytest.approx(found.difference, rel=0.01)
    assert found.difference != pytest.approx(float(np.square(image).sum()), rel=0.01), "noise is in the difference"


def test_of_a_linear_network_noise_changes_nothing(rng: np.random.Generator) -> None:
    class Sums(Squares):
        def log_odds(self, seen: np.ndarray) -> np.ndarray:
            return seen.astype(np.float64).sum(axis=(1, 2, 3))

        def gradient(self, seen: np.ndarray) -> np.ndarray:
            return np.ones_like(seen)

    image, baseline = rng.random((2, 12, 10, 3))
    found = IntegratedGradients(Sums(), Noise(4, 0.3, 3.0)).attribute(image, baseline)
    np.testing.assert_allclose(found.values, image - baseline, atol=1e-6)


def test_noise_repeats_has_the_sd_it_says_is_smooth_and_cancels_in_pairs() -> None:
    noise = Noise(n_draws=8, sd=0.1, fwhm_pixels=4.0)
    scales = noise.scales((109, 91, 3))
    assert scales.shape == (8, 109, 91, 1)
    np.testing.assert_array_equal(scales, noise.scales((109, 91, 3)))
    np.testing.assert_allclose((scales[::2] + scales[1::2]) / 2, 1)
    assert (scales - 1).std() == pytest.approx(0.1)
    neighbours = np.corrcoef(scales[0, :, :-1, 0].ravel(), scales[0, :, 1:, 0].ravel())[0, 1]
    sd_pixels = 4.0 / 2.3548
    assert neighbours == pytest.approx(np.exp(-1 / (4 * sd_pixels**2)), abs=0.02)


@pytest.mark.slow
def test_log_odds_are_those_of_the_classifier(rng: np.random.Generator) -> None:
    classifier = random_classifier(1)
    batch = np.stack(images(rng, SHAPE))
    probabilities = classifier.predict(batch, verbose=0).astype(np.float64)
    np.testing.assert_allclose(logit_model(classifier).predict(batch, verbose=0), logit(probabilities), atol=1e-3)
    np.testing.assert_allclose(KerasNetwork(classifier).log_odds(batch), logit(probabilities)[:, 0], atol=1e-3)


@pytest.mark.slow
def test_gradients_are_those_of_the_trained_model_however_many_are_asked_for(rng: np.random.Generator) -> None:
    """But for units so near their kink that rounding decides."""
    classifier = random_classifier(1)
    network = KerasNetwork(classifier)
    seen = rng.random((GRADIENTS_AT_ONCE + 2, *SHAPE, 3)).astype(np.float32)
    expected = DifferentiableModel(logit_model(classifier)).gradient(seen)
    for found in (network.gradient(seen), np.concatenate([network.gradient(seen[:1]), network.gradient(seen[1:])])):
        missed = np.linalg.norm((found - expected).reshape(len(seen), -1), axis=1)
        assert (missed < 0.05 * np.linalg.norm(expected.reshape(len(seen), -1), axis=1)).all()


@pytest.mark.slow
def test_of_the_real_network_they_add_up_and_other_weights_give_another_map(
    pretrained: tuple[keras.Model, Any], rng: np.random.Generator
) -> None:
    backbone, _ = pretrained
    image, baseline = images(rng, (109, 91))
    real = build_classifier(backbone, head(backbone.output_shape[-1]), 0.5)
    other = build_backbone("InceptionV3", (109, 91))
    set_random_weights(other, 5)
    randomised = build_classifier(other, head(backbone.output_shape[-1]), 0.5)
    maps = [IntegratedGradients(KerasNetwork(model)).attribute(image, baseline) for model in (real, randomised)]
    assert maps[0].complete
    assert maps[0].values.sum() == pytest.approx(maps[0].difference, abs=0.01 * max(abs(maps[0].difference), 1))
    moved = (image != baseline).any(axis=2)
    correlation = spearmanr(np.abs(maps[0].values[moved]).ravel(), np.abs(maps[1].values[moved]).ravel()).statistic
    same_sign = np.mean(np.sign(maps[0].values[moved]) == np.sign(maps[1].values[moved]))
    assert correlation < 0.9
    assert same_sign < 0.65
