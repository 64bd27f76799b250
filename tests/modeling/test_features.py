from typing import Any

import keras
import numpy as np
import pytest

from datspect.errors import WeightsError
from datspect.imaging.augmentation import Augmentations, draw_augmentations
from datspect.modeling.augmentation import Augment, augmentation_parameters
from datspect.modeling.backbone import build_backbone, set_random_weights
from datspect.modeling.features import bank_blocks, build_extractor, n_bank_images, precision_error
from datspect.params.network import AugmentParams

SHAPE = (80, 76)
N_SUBJECTS, N_DRAWS = 5, 2


@pytest.fixture(scope="module")
def backbone() -> keras.Model:
    model = build_backbone("MobileNetV2", SHAPE)
    set_random_weights(model, seed=1)
    return model


@pytest.fixture(scope="module")
def extractor(backbone: keras.Model) -> keras.Model:
    return build_extractor(backbone)


@pytest.fixture
def images(rng: np.random.Generator) -> Any:
    return rng.random((N_SUBJECTS, *SHAPE, 3)).astype(np.float32)


def augmentations(draws: int = N_DRAWS) -> Augmentations:
    ranges = {"width_shift": 0.1, "height_shift": 0.1, "horizontal_flip": True, "brightness": 0.1, "seed": 1}
    return draw_augmentations(AugmentParams.model_validate({"draws": draws, **ranges}), N_SUBJECTS, SHAPE)


def bank(extractor: keras.Model, images: Any, batch_size: int = 4, draws: int = N_DRAWS) -> Any:
    rows = np.concatenate(list(bank_blocks(extractor, images, augmentations(draws), batch_size)))
    return rows.reshape(draws + 1, N_SUBJECTS, -1)


def test_draw_zero_is_the_clean_image(extractor: keras.Model, backbone: keras.Model, images: Any) -> None:
    expected = backbone.predict_on_batch(images)
    np.testing.assert_allclose(bank(extractor, images)[0], expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


def test_later_draws_are_the_augmented_images(extractor: keras.Model, backbone: keras.Model, images: Any) -> None:
    parameters = augmentation_parameters(augmentations())
    for draw in range(N_DRAWS):
        expected = backbone.predict_on_batch(keras.ops.convert_to_numpy(Augment()(images, parameters[draw])))
        actual = bank(extractor, images)[draw + 1]
        np.testing.assert_allclose(actual, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


def test_blocks_follow_each_other_and_padding_is_left_out(extractor: keras.Model, images: Any) -> None:
    blocks = list(bank_blocks(extractor, images, augmentations(), batch_size=4))
    assert [block.shape for block in blocks] == [(4, 1280)] * 3 + [(3, 1280)]
    assert all(block.dtype == np.float16 for block in blocks)
    assert sum(map(len, blocks)) == n_bank_images(augmentations()) == 15


def test_the_same_bank_twice_has_the_same_bytes(extractor: keras.Model, backbone: keras.Model, images: Any) -> None:
    first = bank(extractor, images).tobytes()
    assert bank(extractor, images).tobytes() == first
    assert bank(build_extractor(backbone), images).tobytes() == first


def test_more_draws_leave_the_others_as_they_were(extractor: keras.Model, images: Any) -> None:
    # In whole batches: the last bits of a pass may depend on where in the batch an image lies.
    few, many = (bank(extractor, images, batch_size=5, draws=draws) for draws in (1, 3))
    np.testing.assert_array_equal(few, many[:2])


def test_one_image_alone_or_in_a_larger_batch_is_the_same_within_rounding(extractor: keras.Model, images: Any) -> None:
    few, many = (bank(extractor, images, batch_size=size).astype(float) for size in (2, 15))
    np.testing.assert_allclose(few, many, rtol=2e-3, atol=2e-3 * np.abs(many).max())


@pytest.mark.parametrize("value", [1e6, np.nan, np.inf])
def test_features_that_float16_cannot_hold_stop_the_stage(images: Any, value: float) -> None:
    image = keras.Input((*SHAPE, 3))
    bad = keras.Model(image, keras.ops.mean(image, axis=(1, 2)) * value)
    with pytest.raises(WeightsError, match=r"a feature of the backbone is .*: not a finite number within float16"):
        next(bank_blocks(build_extractor(bad), images, augmentations()))


@pytest.mark.parametrize("factor", [1.0, 1.2, np.nan])
def test_the_error_of_a_precision_is_relative_to_the_features(
    extractor: keras.Model, backbone: keras.Model, images: Any, factor: float
) -> None:
    scaled = keras.Model(backbone.input, keras.layers.Rescaling(factor)(backbone.output))
    found = precision_error(build_extractor(scaled), extractor, images)
    np.testing.assert_allclose(found, factor - 1, atol=1e-5)
