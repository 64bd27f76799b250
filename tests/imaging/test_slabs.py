"""Slabs are exact means, and a moved head is what theory says of a moved point."""

import numpy as np
import pytest

from datspect.imaging.slabs import N_PEAK, SLAB_EDGES_MM, SLABS_SHAPE, Moves, peaks, slabs, slices_of_slabs
from datspect.imaging.striatal_box import BOX_CENTRES_MM, BOX_SHAPE

AXES = [np.linspace(*ends, size) for ends, size in zip(BOX_CENTRES_MM, BOX_SHAPE, strict=True)]
GRID = np.meshgrid(*AXES, indexing="ij")
MIDDLES = np.meshgrid(*((edges[:-1] + edges[1:]) / 2 for edges in SLAB_EDGES_MM), indexing="ij")
PLACE = np.array([24.0, 12.0, 4.0])


def blob(place=PLACE, sd=6.0):
    distance = sum((axis - at) ** 2 for axis, at in zip(GRID, place, strict=True))
    return 1 + 3 * np.exp(-distance / (2 * sd**2))[np.newaxis]


def moved(**changes):
    return Moves(**{**vars(Moves.none(1)), **{name: np.array([value]) for name, value in changes.items()}})


def centre(views):
    excess = views[0] - 1.0
    return np.array([float((excess * axis).sum() / excess.sum()) for axis in MIDDLES])


def test_a_slope_has_its_value_in_the_middle_of_each_pixel():
    slope = 3 + 0.05 * GRID[0] - 0.02 * GRID[1] + 0.01 * GRID[2]
    expected = 3 + 0.05 * MIDDLES[0] - 0.02 * MIDDLES[1] + 0.01 * MIDDLES[2]
    views = slabs(slope[np.newaxis])
    assert views.dtype == np.float32
    np.testing.assert_allclose(views[0], expected, atol=1e-4)


def test_slices_of_slabs_are_means_over_heights_alone(rng):
    box = rng.random(BOX_SHAPE)
    found = slices_of_slabs(box)
    # The lowest slab, from -22 to -10 mm, has its edges in the middles of voxels 4 and 10, which begin at -30 mm.
    weights = np.array([0.5, 1, 1, 1, 1, 1, 0.5]) / 6
    np.testing.assert_allclose(found[:, :, 0], (box[:, :, 4:11] * weights).sum(axis=2), atol=1e-5)
    # Averaged over 4 mm along x and y, whose edges lie in the middles of voxels too, they are the slabs.
    thirds = np.array([0.25, 0.5, 0.25])
    along_x = sum(weight * found[4 + k : 60 + k : 2] for k, weight in enumerate(thirds))
    along_y = sum(weight * along_x[:, 4 + k : 52 + k : 2] for k, weight in enumerate(thirds))
    np.testing.assert_allclose(along_y, slabs(box[np.newaxis])[0], atol=1e-4)


def test_the_mirrored_head_has_the_mirrored_slabs(rng):
    boxes = rng.random((2, *BOX_SHAPE))
    np.testing.assert_allclose(slabs(boxes[:, ::-1]), slabs(boxes)[:, ::-1], atol=1e-4)


def test_each_scan_of_a_batch_has_the_slabs_that_it_has_alone(rng):
    boxes, moves = (
        rng.random((3, *BOX_SHAPE)),
        Moves(
            rng.uniform(-4, 4, (3, 3)),
            rng.uniform(-0.05, 0.05, (3, 3)),
            rng.uniform(0.95, 1.05, 3),
            np.array([0.0, 5, 8]),
        ),
    )
    together = slabs(boxes, moves)
    for row in range(3):
        alone = Moves(*(array[row : row + 1] for array in vars(moves).values()))
        np.testing.assert_allclose(together[row], slabs(boxes[row : row + 1], alone)[0], atol=1e-5)


@pytest.mark.parametrize("shift", [(3.0, 0.0, 0.0), (0.0, -2.5, 0.0), (1.0, 2.0, 4.0)])
def test_a_shift_moves_the_content_by_so_many_millimetres(shift):
    np.testing.assert_allclose(centre(slabs(blob(), moved(shift_mm=shift))), PLACE + shift, atol=0.3)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("degrees", [-4.0, 4.0])
def test_a_turn_is_right_handed_about_its_axis(axis, degrees):
    turn = np.zeros(3)
    turn[axis] = np.deg2rad(degrees)
    expected = PLACE + np.cross(turn, PLACE) - (1 - np.cos(turn[axis])) * (PLACE - PLACE * (np.arange(3) == axis))
    np.testing.assert_allclose(centre(slabs(blob(), moved(turn=turn))), expected, atol=0.4)


def test_a_larger_head_has_its_content_farther_out():
    np.testing.assert_allclose(centre(slabs(blob(), moved(scale=1.05))), 1.05 * PLACE, atol=0.3)


def test_a_blur_keeps_the_sum_and_widens_as_variances_add():
    sharp, blurred = slabs(blob()), slabs(blob(), moved(fwhm_mm=8.0))
    assert (blurred - 1).sum() == pytest.approx((sharp - 1).sum(), rel=0.01)
    variance = [
        float(((views[0] - 1) * (MIDDLES[1] - PLACE[1]) ** 2).sum() / (views[0] - 1).sum())
        for views in (sharp, blurred)
    ]
    assert variance[1] - variance[0] == pytest.approx((8.0 / 2.3548) ** 2, rel=0.05)


def test_beyond_the_box_its_outermost_voxels_go_on():
    np.testing.assert_allclose(slabs(np.full((1, *BOX_SHAPE), 2.0), moved(shift_mm=(40.0, -40, 20))), 2.0, atol=1e-4)


def test_the_peak_is_the_mean_of_the_highest_pixels():
    views = np.zeros((2, *SLABS_SHAPE), np.float32)
    views[0, :N_PEAK, 0, 0] = 3.0
    views[1, 0, 0, 0] = N_PEAK
    np.testing.assert_allclose(peaks(views), [3.0, 1.0])
