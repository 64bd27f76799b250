"""Trilinear resampling: equal to SciPy's, whatever the grid."""

import numpy as np
import pytest
from scipy.ndimage import affine_transform

from datspect.imaging.trilinear import resampled


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.random((13, 17, 11)).astype(np.float32)


@pytest.mark.parametrize("shape", [(13, 17, 11), (9, 20, 6)])
def test_it_equals_scipys_wherever_the_grid_lies(image, shape, rng: np.random.Generator):
    for shift in (0.0, 3.0, -25.0, 40.0):  # within the image, and beyond all of its edges
        to_image = np.eye(4)
        to_image[:3, :3] += rng.normal(0, 0.3, (3, 3))
        to_image[:3, 3] = shift + rng.normal(0, 2, 3)
        expected = affine_transform(
            image, to_image[:3, :3], to_image[:3, 3], shape, order=1, mode="nearest", output=np.float32
        )
        np.testing.assert_array_equal(resampled(image, to_image, shape), expected)


def test_its_own_grid_gives_the_image_again_and_a_linear_one_is_kept(image):
    np.testing.assert_array_equal(resampled(image, np.eye(4), image.shape), image)
    i, j, k = np.indices((8, 8, 8), dtype=np.float32)
    half = np.diag([0.5, 0.5, 0.5, 1.0])
    np.testing.assert_allclose(resampled(i + 2 * j - k, half, (8, 8, 8)), (i + 2 * j - k) / 2, atol=1e-6)
