import numpy as np
import pytest

from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.quantification import measure_binding, peak_slice
from datspect.imaging.regions import striatal_regions
from datspect.imaging.volume import MNI_SHAPE
from datspect.phantom.template import mean_phantom

# Means of controls and of PD, as published for PPMI.
CAUDATE, PUTAMEN = (2.99 + 1.99) / 2, (2.14 + 0.84) / 2


def _regions(z_offset_voxels):
    return striatal_regions(MNI_SHAPE, mni_ras_affine(), z_offset_voxels)


@pytest.mark.parametrize("z_offset_voxels", [0.0, 4.0])
def test_binding_is_midway_between_the_groups_and_the_same_on_both_sides(z_offset_voxels):
    binding = measure_binding(mean_phantom(z_offset_voxels).data, _regions(z_offset_voxels))
    for nucleus, expected in (("caudate", CAUDATE), ("putamen", PUTAMEN)):
        assert binding[f"{nucleus}_left"] == pytest.approx(expected, rel=0.05)
        assert binding[f"{nucleus}_left"] == pytest.approx(binding[f"{nucleus}_right"], rel=1e-4)


def test_it_lies_as_far_above_mni_as_asked():
    low, high = mean_phantom(0.0), mean_phantom(4.0)
    np.testing.assert_array_equal(high.affine, mni_ras_affine())
    np.testing.assert_allclose(high.data[:, :, 20:80], low.data[:, :, 16:76], atol=0.02)
    assert peak_slice(high.data, _regions(4.0)) == peak_slice(low.data, _regions(0.0)) + 4 == 41


def test_it_is_made_once_and_cannot_be_spoilt():
    assert mean_phantom(0.0) is mean_phantom(0.0)
    with pytest.raises(ValueError, match="read-only"):
        mean_phantom(0.0).data[0, 0, 0] = 1
