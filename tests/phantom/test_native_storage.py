import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.orientations import aff2axcodes
from scipy.spatial.transform import Rotation

from datspect.phantom.native_storage import (
    KEPT,
    OBLIQUE,
    SPACING_MM,
    Grid,
    Header,
    Scale,
    draw_axes,
    draw_grid,
    draw_kept,
    draw_scale,
    draw_to_world,
    stored,
)

IMAGE_AFFINE = np.array([[2.0, 0, 0, -63], [0, 2, 0, -63], [0, 0, 2, -39], [0, 0, 0, 1]])
GRID = Grid((2.5, 2.5, 3.0), (70, 64, 30), (5.0, -3.0, 0.0))
SPOT_MM = (21.0, -9.0, 12.0)


@pytest.fixture
def spot():
    """A ball of 10 mm about `SPOT_MM`, in camera mm, on a grid of 64 x 64 x 40 voxels."""
    places = np.indices((64, 64, 40)).reshape(3, -1).T
    distance_mm = np.linalg.norm(apply_affine(IMAGE_AFFINE, places) - SPOT_MM, axis=1)
    return np.maximum(1 - distance_mm / 10, 0).reshape(64, 64, 40).astype(np.float32)


def world(axes="RAS"):
    to_world = np.eye(4)
    to_world[:3, :3] = Rotation.from_euler("xyz", [8, -5, 3], degrees=True).as_matrix()
    to_world[:3, 3] = (100, -20, -900)
    return Header(axes, to_world)


@pytest.mark.parametrize("axes", ["RAS", "LAS", "LPS", "LPI", "RPS", "LSA", "PSR"])
def test_every_order_of_axes_keeps_the_spot_in_its_place(spot, axes):
    volume = stored(spot, IMAGE_AFFINE, GRID, world(axes), Scale("uint16", 1000))
    assert aff2axcodes(volume.affine) == tuple(axes)
    voxels = np.argwhere(volume.data > 0)
    weights = volume.data[tuple(voxels.T)]
    middle = np.average(apply_affine(volume.affine, voxels), axis=0, weights=weights)
    np.testing.assert_allclose(middle, apply_affine(world().to_world, SPOT_MM), atol=0.3)


@pytest.mark.parametrize("kept", KEPT)
def test_the_brightest_voxel_has_the_value_that_was_drawn(spot, kept):
    volume = stored(spot, IMAGE_AFFINE, GRID, world(), Scale(kept, 777.0))
    assert volume.data.dtype == kept
    assert volume.data.max() == pytest.approx(777)
    assert volume.data.min() == 0


def test_beyond_the_image_there_is_nothing():
    image = np.ones((64, 64, 40), dtype=np.float32)
    volume = stored(image, IMAGE_AFFINE, Grid((4.0, 4.0, 4.0), (60, 60, 60), (0, 0, 0)), world(), Scale("int16", 9))
    assert set(np.unique(volume.data)) == {0, 9}
    filled = np.argwhere(volume.data > 0)
    np.testing.assert_array_equal(filled.max(axis=0) - filled.min(axis=0) + 1, [32, 32, 20])


def test_drawn_grids_are_those_of_cameras():
    rng = np.random.default_rng(1)
    grids = [draw_grid(float(rng.uniform(108, 400)), np.zeros(2), rng) for _ in range(400)]
    assert all(SPACING_MM[0] <= size <= SPACING_MM[1] for grid in grids for size in grid.spacing_mm)
    sides = [grid.shape[0] for grid in grids]
    assert min(sides) >= 64
    assert max(sides) == 256
    assert sorted(set(sides), key=sides.count)[-2:] == [256, 128]
    assert any(grid.shape[0] == grid.shape[2] for grid in grids)
    assert all(grid.shape[2] * grid.spacing_mm[2] <= 630 for grid in grids)


def test_drawn_headers_are_oblique_in_four_of_ten():
    rng = np.random.default_rng(2)
    tilt = Rotation.from_euler("x", 12, degrees=True).as_matrix()
    worlds = [draw_to_world(tilt, rng) for _ in range(500)]
    oblique = np.mean([not np.allclose(each[:3, :3], np.eye(3)) for each in worlds])
    assert oblique == pytest.approx(OBLIQUE, abs=0.07)
    for each in worlds:
        np.testing.assert_allclose(each[:3, :3] @ each[:3, :3].T, np.eye(3), atol=1e-12)


def test_brightest_values_lie_over_four_orders_of_magnitude():
    rng = np.random.default_rng(3)
    peaks = [draw_scale(draw_kept(rng), rng).peak for _ in range(500)]
    assert max(peaks) / min(peaks) > 1e4
    assert len({draw_axes(rng) for _ in range(300)}) >= 5
