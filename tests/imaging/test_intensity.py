import numpy as np
import pytest

from datspect.errors import ScanError
from datspect.imaging.intensity import RATIO_AT_WHITE, image_max, nonspecific_ratio


def test_image_max_gives_whole_grey_levels_up_to_one(rng):
    image = image_max(rng.random((109, 91, 3)) * 5000)
    levels = image.astype(np.float64) * 255
    assert image.dtype == np.float32
    assert image.max() == 1
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)


def test_image_max_uses_one_maximum_for_all_three_slices():
    image = image_max(np.array([[[100.0, 200.0, 400.0]]]))
    np.testing.assert_allclose(image[0, 0], [64 / 255, 128 / 255, 1], atol=1e-7)


def test_gain_cancels_in_both_scales(rng):
    counts = rng.random((9, 9, 3))
    np.testing.assert_array_equal(image_max(counts), image_max(counts * 4))
    np.testing.assert_allclose(nonspecific_ratio(counts, 0.2), nonspecific_ratio(counts * 4, 0.8), rtol=1e-6)


def test_negative_values_become_black():
    counts = np.array([[[-50.0, 0.0, 100.0]]])
    assert image_max(counts).tolist() == [[[0, 0, 1]]]
    assert nonspecific_ratio(counts, 50.0)[0, 0, 0] == 0


def test_nonspecific_uptake_itself_has_the_value_one_over_white():
    image = nonspecific_ratio(np.array([[[7.0, 14.0, 1e9]]]), 7.0)
    np.testing.assert_allclose(image[0, 0], [1 / RATIO_AT_WHITE, 2 / RATIO_AT_WHITE, 1])


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_an_image_or_reference_without_signal_is_refused(value):
    with pytest.raises(ScanError, match="no positive value"):
        image_max(np.full((2, 2, 3), value))
    with pytest.raises(ScanError, match="must be positive"):
        nonspecific_ratio(np.ones((2, 2, 3)), value)
