"""A head is found in any field of view, coarsely but not far off, and voxels that run the wrong way are told."""

import numpy as np
import pytest
from tests.normalisation.moved_heads import OFFSET_VOXELS, distances_mm, imaged, pose

from datspect.imaging.head_image import head_images
from datspect.imaging.head_search import FLIPS, TURN_DEGREES, found_heads, signs
from datspect.normalisation.placing import head_template

FAR = [((0, 0, 0), (0, 0, 0)), ((9, -6, 14), (60, -45, 30)), ((-17, 4, -8), (-75, 20, -40))]


@pytest.mark.parametrize(("turn", "shift_mm"), FAR)
def test_the_best_place_is_nearby(turn: tuple[int, ...], shift_mm: tuple[int, ...]) -> None:
    to_scan = pose(turn, shift_mm)
    _, coarse = head_images(imaged(to_scan, shape=(64, 64, 64), field_mm=[-each / 2 for each in shift_mm]))
    _, template = head_template(OFFSET_VOXELS).images
    starts = found_heads(coarse, template)
    assert starts[0].flips == ""
    # Half a step of turning at 100 mm from the middle, and a step of the grid.
    assert distances_mm(starts[0].to_scan, to_scan).max() < 100 * np.radians(TURN_DEGREES / 2) + 8
    assert [start.likeness for start in starts] == sorted((start.likeness for start in starts), reverse=True)
    assert {start.flips for start in starts} == set(FLIPS)


def test_signs_are_of_the_axes_that_run_the_wrong_way() -> None:
    assert [signs(flips).tolist() for flips in FLIPS] == [[1, 1, 1], [1, -1, 1], [1, 1, -1], [1, -1, -1]]
