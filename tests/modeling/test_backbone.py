import hashlib
import struct
from typing import Any, get_args

import keras
import numpy as np
import pytest

from datspect.errors import WeightsError
from datspect.modeling.backbone import (
    build_backbone,
    layer_arrays,
    model_digest,
    set_layer_arrays,
    set_random_weights,
    tensor_digest,
    weighted_layers,
)
from datspect.modeling.precision import computing_in
from datspect.params.network import Architecture
from datspect.weights.imagenet import INCEPTION_V3_DIGEST, WeightsOrigin

SHAPE = (109, 91)
N_FEATURES = {"MobileNetV2": 1280, "InceptionResNetV2": 1536}


@pytest.fixture(scope="module")
def small() -> keras.Model:
    model = build_backbone("MobileNetV2", SHAPE)
    set_random_weights(model, seed=1)
    return model


@pytest.fixture
def images(rng: np.random.Generator) -> Any:
    return rng.random((3, *SHAPE, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "architecture",
    [a if a == "MobileNetV2" else pytest.param(a, marks=pytest.mark.slow) for a in get_args(Architecture)],
)
def test_every_architecture_takes_the_native_image_and_tells_images_apart(architecture: Any, images: Any) -> None:
    backbone = build_backbone(architecture, SHAPE)
    assert backbone.output_shape == (None, N_FEATURES.get(architecture, 2048))
    set_random_weights(backbone, seed=1)
    features = backbone.predict_on_batch(images)
    assert np.isfinite(features.astype(np.float16)).all()
    assert np.std(features, axis=0).mean() > 1e-2 * np.abs(features).mean() > 1e-4


def test_nothing_in_it_trains(small: keras.Model) -> None:
    assert not small.trainable
    assert small.trainable_weights == []


def test_pixels_reach_the_network_between_minus_one_and_one(small: keras.Model) -> None:
    scale = small.get_layer("scale")
    pixels = np.array([0.0, 0.5, 1.0], np.float32)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(scale(pixels)), [-1, 0, 1])


@pytest.mark.own_process
def test_features_are_float32_in_either_precision_and_nearly_equal(small: keras.Model, images: Any) -> None:
    with computing_in("bfloat16"):
        fast = build_backbone("MobileNetV2", SHAPE)
    fast.set_weights(small.get_weights())
    rounded, exact = fast.predict_on_batch(images), small.predict_on_batch(images)
    assert exact.dtype == rounded.dtype == np.float32
    assert not np.array_equal(exact, rounded)
    assert np.abs(exact - rounded).max() < 0.1 * np.abs(exact).max()


def test_the_digest_is_over_little_endian_float32_in_order() -> None:
    arrays = [np.array([[1.0, 2.0]]), np.array([3.0], np.float16)]
    expected = hashlib.sha256(struct.pack("<3f", 1, 2, 3)).hexdigest()
    assert tensor_digest(arrays) == expected
    assert tensor_digest(array.T for array in arrays) == expected  # a (2, 1) array has the same bytes
    assert tensor_digest(reversed(arrays)) != expected


def test_the_digest_sees_values_not_memory_layout(rng: np.random.Generator) -> None:
    array = rng.random((4, 5)).astype(np.float32)
    assert tensor_digest([np.asfortranarray(array)]) == tensor_digest([array])


def test_inception_v3_has_188_layers_with_weights() -> None:
    assert len(weighted_layers(build_backbone("InceptionV3", SHAPE))) == 188


def test_weights_of_a_nested_model_are_found_in_order(small: keras.Model) -> None:
    image = keras.Input((*SHAPE, 3))
    whole = keras.Sequential([image, small, keras.layers.Dense(1)])
    arrays_before_head = [array for _, arrays in layer_arrays(whole)[:-1] for array in arrays]
    assert tensor_digest(arrays_before_head) == model_digest(small)


def test_weights_move_between_models_and_a_head_is_left_out(small: keras.Model) -> None:
    other = build_backbone("MobileNetV2", SHAPE)
    head = ("dense", [np.zeros((1280, 1), np.float32), np.zeros(1, np.float32)])
    set_layer_arrays(other, [*layer_arrays(small), head])
    assert model_digest(other) == model_digest(small)


def test_arrays_of_another_shape_are_refused_and_change_nothing(small: keras.Model) -> None:
    before = model_digest(small)
    arrays = layer_arrays(small)
    name, first = arrays[5]
    arrays[5] = (name, [array[..., :1] for array in first])
    with pytest.raises(WeightsError, match=r"layer 6 of 104 of MobileNetV2 .*expected arrays of shape .*another arch"):
        set_layer_arrays(small, arrays)
    with pytest.raises(WeightsError, match="expected 104 layers with weights for MobileNetV2, got 3"):
        set_layer_arrays(small, arrays[:3])
    assert model_digest(small) == before


def test_random_weights_follow_their_seed_alone(small: keras.Model) -> None:
    other = build_backbone("MobileNetV2", SHAPE)
    set_random_weights(other, seed=1)
    assert model_digest(other) == model_digest(small)
    set_random_weights(other, seed=2)
    assert model_digest(other) != model_digest(small)


@pytest.mark.slow
def test_imagenet_weights_are_the_known_ones(pretrained: tuple[keras.Model, WeightsOrigin]) -> None:
    backbone, origin = pretrained
    assert origin.tensor_digest == model_digest(backbone) == INCEPTION_V3_DIGEST
    assert origin.equals_known_imagenet is True


@pytest.mark.slow
def test_a_pretrained_backbone_survives_a_file_in_safe_mode(
    pretrained: tuple[keras.Model, WeightsOrigin], images: Any, tmp_path: Any
) -> None:
    backbone, _ = pretrained
    backbone.save(tmp_path / "backbone.keras")
    again = keras.saving.load_model(tmp_path / "backbone.keras", safe_mode=True, compile=False)
    np.testing.assert_array_equal(backbone.predict_on_batch(images), again.predict_on_batch(images))
