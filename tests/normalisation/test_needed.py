"""What every scan must show: a field of view that lacks a slice of the striatal box lacks too much."""

import numpy as np
from nibabel.affines import apply_affine

from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.regions import striatal_regions
from datspect.imaging.volume import MNI_SHAPE, Volume
from datspect.normalisation.placing import _needed_mm
from datspect.normalisation.verdict import LEAST_NEEDED_IN_VIEW, _share_in_view

BOX = striatal_regions(MNI_SHAPE, mni_ras_affine(), 4.0).striatal_box


def share_of_field_below(height: int) -> float:
    """Return the share of needed points in a view that ends below slice `height` of the MNI grid."""
    field = Volume(np.zeros((*MNI_SHAPE[:2], height), np.int16), mni_ras_affine())
    return _share_in_view(field, _needed_mm(4.0))


def test_a_field_that_holds_the_box_holds_all_that_is_needed() -> None:
    assert share_of_field_below(BOX[2].stop) == 1.0


def test_a_field_that_cuts_the_box_does_not_hold_enough() -> None:
    assert share_of_field_below(BOX[2].stop - 6) < LEAST_NEEDED_IN_VIEW


def test_box_and_occipital_lobes_weigh_alike() -> None:
    index = apply_affine(np.linalg.inv(mni_ras_affine()), _needed_mm(4.0))
    in_box = np.all(
        [(each >= side.start - 0.5) & (each < side.stop) for each, side in zip(index.T, BOX, strict=True)], 0
    )
    assert 0.4 < in_box.mean() < 0.6
