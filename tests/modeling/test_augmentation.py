from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from scipy.ndimage import shift as scipy_shift

from datspect.imaging.augmentation import draw_augmentations
from datspect.modeling.augmentation import Augment, augmentation_parameters, no_change
from datspect.params.network import AugmentParams


@pytest.fixture
def images(rng: np.random.Generator) -> Any:
    return rng.random((5, 12, 9, 3)).astype(np.float32)


def augmented(images: Any, *, rows: float = 0, columns: float = 0, flip: bool = False, brightness: float = 1) -> Any:
    parameters = np.tile(np.array([rows, columns, flip, brightness], np.float32), (len(images), 1))
    return keras.ops.convert_to_numpy(Augment()(images, parameters))


def test_no_change_gives_the_very_same_image(images: Any) -> None:
    result = keras.ops.convert_to_numpy(Augment()(images, no_change(len(images))))
    np.testing.assert_array_equal(result, images)


def test_a_shift_by_whole_pixels_moves_the_content_and_repeats_the_border(images: Any) -> None:
    down = augmented(images, rows=2)
    np.testing.assert_allclose(down[:, 2:], images[:, :-2], atol=1e-6)
    np.testing.assert_allclose(down[:, :2], np.repeat(images[:, :1], 2, axis=1), atol=1e-6)
    left = augmented(images, columns=-3)
    np.testing.assert_allclose(left[:, :, :-3], images[:, :, 3:], atol=1e-6)
    np.testing.assert_allclose(left[:, :, -3:], np.repeat(images[:, :, -1:], 3, axis=2), atol=1e-6)


@pytest.mark.parametrize(("rows", "columns"), [(0.5, 0.0), (-1.3, 2.7), (3.9, -0.01)])
def test_fractional_shifts_equal_bilinear_interpolation(images: Any, rows: float, columns: float) -> None:
    expected = scipy_shift(images, (0, rows, columns, 0), order=1, mode="nearest")
    np.testing.assert_allclose(augmented(images, rows=rows, columns=columns), expected, atol=1e-5)


def test_a_flip_is_left_to_right_and_undoes_itself(images: Any) -> None:
    once = augmented(images, flip=True)
    np.testing.assert_array_equal(once, images[:, :, ::-1])
    np.testing.assert_array_equal(augmented(once, flip=True), images)


def test_the_flip_follows_the_shift(images: Any) -> None:
    both = augmented(images, columns=2, flip=True)
    np.testing.assert_allclose(both, augmented(images, columns=2)[:, :, ::-1], atol=1e-6)


def test_brightness_scales_and_clips(images: Any) -> None:
    np.testing.assert_allclose(augmented(images, brightness=0.5), images / 2, atol=1e-6)
    np.testing.assert_allclose(augmented(images, brightness=1.9), np.minimum(images * 1.9, 1), atol=1e-6)


def test_each_image_follows_its_own_parameters(images: Any) -> None:
    ranges = AugmentParams(draws=1, width_shift=0.2, height_shift=0.2, horizontal_flip=True, brightness=0.1, seed=1)
    parameters = augmentation_parameters(draw_augmentations(ranges, len(images), (12, 9)))[0]
    together = keras.ops.convert_to_numpy(Augment()(images, parameters))
    for k, image in enumerate(images):
        rows, columns, flip, brightness = parameters[k]
        alone = augmented(image[None], rows=rows, columns=columns, flip=bool(flip), brightness=brightness)
        np.testing.assert_allclose(together[k], alone[0], atol=1e-6)


def test_a_model_with_the_layer_survives_a_file(images: Any, tmp_path: Path) -> None:
    image, parameters = keras.Input((12, 9, 3)), keras.Input((4,))
    model = keras.Model([image, parameters], Augment()(image, parameters))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    values = np.tile(np.array([1.5, -0.5, 1, 1.1], np.float32), (len(images), 1))
    np.testing.assert_array_equal(model.predict_on_batch([images, values]), again.predict_on_batch([images, values]))


def test_it_computes_in_float32_under_a_mixed_policy(images: Any) -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        result = Augment()(images, no_change(len(images)))
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(result), images)
