import numpy as np
import pytest

from datspect.imaging.volume import MNI_SHAPE
from datspect.io.mni_maps import read_tissue_map, template_t1


@pytest.mark.slow  # importing nilearn takes seconds
def test_tissue_maps_are_those_of_nilearns_own_loaders():
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template
    from nilearn.image import resample_img

    from datspect.imaging.volume import mni_affine

    for name, load in (("gm", load_mni152_gm_template), ("wm", load_mni152_wm_template)):
        theirs = resample_img(
            load(resolution=1), mni_affine(), MNI_SHAPE, interpolation="nearest", force_resample=True, copy_header=True
        )
        np.testing.assert_allclose(read_tissue_map(name), theirs.get_fdata(), atol=1e-6)


def test_the_t1_image_moves_up_with_the_scan():
    low, high = template_t1(0.0).data, template_t1(3.0).data
    assert low.shape == MNI_SHAPE
    assert low.max() <= 1
    np.testing.assert_allclose(high[:, :, 3:], low[:, :, :-3], atol=1e-6)
