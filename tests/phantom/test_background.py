import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from datspect.imaging.regions import occipital_mask
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.phantom.background import Background, read_background


@pytest.fixture(scope="module")
def head() -> Background:
    return read_background()


def test_the_occipital_region_is_the_unit(head):
    smooth = gaussian_filter(head.uptake, 2.0)
    assert smooth[occipital_mask(MNI_SHAPE, mni_affine())].mean() == pytest.approx(1, abs=0.01)


def test_the_head_has_scalp_skull_face_and_neck_and_nothing_outside(head):
    smooth = gaussian_filter(head.uptake, 1.5)

    def at(x: int, y: int, z: int) -> float:
        return float(smooth[(90 - x) // 2, (y + 126) // 2, (z + 72) // 2])

    assert at(80, -100, 60) == 0
    assert at(30, 40, -50) > 0.3  # face, beside the nose
    assert at(0, -28, -70) > 0.5  # neck
    assert at(0, -26, -14) > 1.4 > at(0, -28, -60)  # midbrain
    assert (head.uptake >= 0).all()


def test_age_widens_ventricles_and_thins_the_cortex(head):
    young, old = (float(head.of(decades)[head.brain > 0].mean()) for decades in (-2, 2))
    assert 0.9 < old / young < 1
    np.testing.assert_array_equal(head.of(2)[head.brain == 0], head.of(-2)[head.brain == 0])


def test_uptake_of_the_brain_leaves_the_scalp(head):
    more = head.of(0, 1.2)
    inside, outside = head.brain == 1, (head.brain == 0) & (head.uptake > 0)
    np.testing.assert_allclose(more[inside], 1.2 * head.uptake[inside], rtol=1e-5)
    np.testing.assert_array_equal(more[outside], head.uptake[outside])
