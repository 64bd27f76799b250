import numpy as np
import pytest

from datspect.errors import ScanError
from datspect.imaging.missing import without_missing

SHAPE = (40, 48, 40)
GRID = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing="ij"))
HEAD = np.where((GRID**2).sum(axis=0) < 15**2, 100.0, 1.0).astype(np.float32)
HALF_SPACES = [(1, 0, 0), (0, -1, 0), (0, 0, 1), (1, 2, -3), (-1, 1, 1)]


@pytest.mark.parametrize("normal", HALF_SPACES)
@pytest.mark.parametrize("depth", [-14, 0, 12, 30])
def test_what_lies_beyond_an_oblique_field_of_view_is_background_however_much_of_the_head_it_cuts(normal, depth):
    beyond = np.tensordot(np.array(normal) / np.linalg.norm(normal), GRID, 1) > depth
    filled, n_missing = without_missing(np.where(beyond, np.nan, HEAD))
    assert n_missing == beyond.sum()
    np.testing.assert_array_equal(filled, np.where(beyond, 0, HEAD))


def test_a_tilted_box_of_values_in_a_volume_of_nan_is_kept():
    turn, _ = np.linalg.qr([[9.0, 2, 1], [-3, 8, 2], [1, -2, 9]])
    beyond = np.abs(np.tensordot(turn, GRID, 1)).max(axis=0) > 13
    assert without_missing(np.where(beyond, np.nan, HEAD))[1] == beyond.sum()


def test_nan_in_the_air_around_the_head_is_background():
    voxels = HEAD.copy()
    voxels[1, 24, 20] = voxels[0, 0, 0] = np.nan
    assert without_missing(voxels)[1] == 2


@pytest.mark.parametrize("place", [(20, 24, 20), (20, 24, 8), (slice(15, 25),) * 3])
def test_nan_inside_the_head_is_refused_and_counted(place):
    voxels = HEAD.copy()
    voxels[place] = np.nan
    with pytest.raises(ScanError, match=f"^NaN in {np.isnan(voxels).sum()} of the voxels inside"):
        without_missing(voxels)


@pytest.mark.parametrize("wrong", [np.inf, -np.inf])
def test_infinity_is_refused_wherever_it_is(wrong):
    voxels = HEAD.copy()
    voxels[0, 0, 0], voxels[1] = wrong, np.nan
    with pytest.raises(ScanError, match="infinity"):
        without_missing(voxels)


def test_nothing_but_nan_is_refused():
    with pytest.raises(ScanError, match="NaN and nothing else"):
        without_missing(np.full(SHAPE, np.nan, np.float32))


def test_voxels_that_all_have_values_come_back_untouched():
    for voxels in (HEAD, HEAD.astype(np.int16)):
        same, n_missing = without_missing(voxels)
        assert same is voxels
        assert n_missing == 0
