import numpy as np
import pytest
from benchmarks.gpu_bundle.compact import (
    CompactError,
    packed_images,
    packed_weights,
    unpacked_images,
    unpacked_weights,
)


def test_images_of_8_bits_come_back_as_they_were(rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (5, 7, 6, 3)).astype(np.float32) / np.float32(255)
    found = unpacked_images(packed_images(images, effort=0))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, images)


def test_images_of_more_than_8_bits_are_refused() -> None:
    with pytest.raises(CompactError, match="more than 8 bits"):
        packed_images(np.full((1, 2, 2, 3), 0.3), effort=0)


SHAPES = [(3, 3, 4, 8), (8,), (3, 3, 8, 1), (8,), (1, 1, 8, 2)]


def test_weights_come_back_within_half_a_step_and_small_arrays_exactly(rng: np.random.Generator) -> None:
    arrays = [(rng.standard_normal(shape) * 10.0 ** rng.integers(-4, 3)).astype(np.float32) for shape in SHAPES]
    found = unpacked_weights(packed_weights(arrays, effort=0, steps_per_sd=64), SHAPES)
    for given, back in zip(arrays, found, strict=True):
        assert back.dtype == np.float32
        if given.ndim < 4:
            np.testing.assert_array_equal(back, given)
        else:
            axes = (0, 1, 3) if given.shape[-1] == 1 else (0, 1, 2)
            step = given.std(axis=axes, keepdims=True) / 64
            assert (np.abs(back - given) <= 0.501 * step).all()


def test_a_channel_of_one_repeated_weight_comes_back() -> None:
    kernels = [np.full((2, 2, 2, 3), value, np.float32) for value in (0.0, -0.7)]
    found = unpacked_weights(packed_weights(kernels, effort=0), [kernel.shape for kernel in kernels])
    for given, back in zip(kernels, found, strict=True):
        np.testing.assert_allclose(back, given, rtol=1e-4)


@pytest.mark.parametrize("shapes", [SHAPES[:-1], [*SHAPES, (4,)], [(3, 3, 4, 9), *SHAPES[1:]]])
def test_weights_of_another_architecture_are_refused(rng: np.random.Generator, shapes: list[tuple[int, ...]]) -> None:
    content = packed_weights([rng.standard_normal(shape) for shape in SHAPES], effort=0)
    with pytest.raises(CompactError, match="another architecture"):
        unpacked_weights(content, shapes)


def test_a_weight_far_from_all_others_is_not_clipped() -> None:
    kernel = np.zeros((1, 1, 1_000_000, 2), np.float32)
    kernel[0, 0, 0] = 1.0
    (found,) = unpacked_weights(packed_weights([kernel], effort=0), [kernel.shape])
    np.testing.assert_allclose(found, kernel, atol=1e-6)
