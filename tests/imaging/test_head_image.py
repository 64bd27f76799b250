"""Scans seen coarsely: the head's level whatever is around it, the field of view as the camera had it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from datspect.errors import IneligibleError, ScanError
from datspect.imaging.head_image import COARSE_MM, FINE_MM, VIEW_RANGE_MM, field_of_view, head_images, head_level
from datspect.imaging.volume import Volume

LEVEL = 700.0


def cubes(shape: tuple[int, ...], size_mm: float = 4.0) -> np.ndarray:
    affine = np.diag([size_mm] * 3 + [1.0])
    affine[:3, 3] = (-90.0, 35.0, 410.0)
    assert len(shape) == 3
    return affine


def ball(shape: tuple[int, int, int] = (48, 48, 40), radius: float = 15.0, level: float = LEVEL) -> np.ndarray:
    i, j, k = np.ogrid[tuple(slice(size) for size in shape)]
    centre = [(size - 1) / 2 for size in shape]
    inside = (i - centre[0]) ** 2 + (j - centre[1]) ** 2 + (k - centre[2]) ** 2 < radius**2
    noise = np.random.default_rng(2).normal(0, 0.02, shape)
    return (level * np.maximum(gaussian_filter(inside.astype(np.float32), 1) + noise, 0)).astype(np.float32)


@settings(max_examples=40)
@given(share=st.floats(0.03, 0.95), scale=st.floats(1e-3, 1e4), hot=st.sampled_from([0, 1, 5]))
def test_the_level_is_the_heads_however_much_of_the_volume_it_fills_and_whatever_shines(
    share: float, scale: float, hot: int
) -> None:
    rng = np.random.default_rng(1)
    values = np.full(20_000, 0.03, np.float32)
    values[: int(share * values.size)] = 1 + rng.normal(0, 0.1, int(share * values.size))
    values[: hot * values.size // 1000] = 6.0
    assert head_level((scale * values).astype(np.float32)) == pytest.approx(scale, rel=0.1)


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_where_nothing_stands_out_there_is_no_level(value: float) -> None:
    with pytest.raises(ScanError, match="nothing in the volume stands out"):
        head_level(np.full(1000, value, np.float32))


@settings(max_examples=10)
@given(scale=st.floats(1e-2, 1e4))
def test_counts_have_no_unit(scale: float) -> None:
    data = ball()
    for one, other in zip(
        head_images(Volume(data, cubes(data.shape))),
        head_images(Volume((scale * data).astype(np.float32), cubes(data.shape))),
        strict=True,
    ):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(one.seen, other.seen)


@pytest.mark.parametrize("sizes_mm", [(1.0, 1.0, 1.0), (2.2, 2.2, 5.0), (4.4, 4.4, 4.4)])
def test_a_place_stays_where_it_is_on_either_grid_and_what_was_not_seen_is_said(sizes_mm: tuple[float, ...]) -> None:
    shape = tuple(int(200 / size) for size in sizes_mm)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (12, -8, 20), degrees=True).as_matrix() * sizes_mm
    affine[:3, 3] = (300.0, -40.0, 15.0)
    place_mm = apply_affine(affine, (np.array(shape) - 1) / 2)
    far = np.linalg.norm(
        (np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) - (np.array(shape) - 1) / 2) * sizes_mm,
        axis=-1,
    )
    data = (LEVEL * (far < 60) + 3 * LEVEL * np.exp(-((far / 12) ** 2))).astype(np.float32)
    for image, step_mm in zip(head_images(Volume(data, affine)), (FINE_MM, COARSE_MM), strict=True):
        weights = np.maximum(image.values - 1.3, 0)
        index = np.stack(np.nonzero(weights), -1)
        found = image.corner_mm + step_mm * np.average(index, axis=0, weights=weights[weights > 0])
        assert np.linalg.norm(found - place_mm) < step_mm / 4
        assert 1.0 < np.median(image.values[image.values > 0.5]) < 1.2 or image.step_mm == COARSE_MM
        assert 0.2 < image.seen.mean() < 0.9, "a turned box does not fill the grid around it"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_empty_slices_around_air_stay_and_behind_a_cut_are_left_out(axis: int) -> None:
    data = ball()
    data = np.moveaxis(data, axis, 0).copy()
    data[:2] = 0  # air before it, stored empty
    whole = Volume(np.moveaxis(data, 0, axis), cubes(data.shape))
    assert field_of_view(whole).data.shape == whole.data.shape
    data[:15] = 0  # the ball begins before: it was cut
    cut = Volume(np.moveaxis(data, 0, axis), cubes(data.shape))
    seen = field_of_view(cut)
    assert seen.data.shape[axis] == cut.data.shape[axis] - 16, "the slice at the cut goes as well"
    corner = [0, 0, 0]
    corner[axis] = 16
    np.testing.assert_allclose(seen.affine[:3, 3], apply_affine(cut.affine, corner))
    assert np.shares_memory(seen.data, cut.data)


def test_cuts_are_seen_from_both_ends() -> None:
    data = ball((48, 48, 60))
    data[:, :, :20] = 0
    data[:, :, 42:] = 0
    assert field_of_view(Volume(data, cubes(data.shape))).data.shape == (48, 48, 20)


@pytest.mark.parametrize(
    ("shape", "size_mm", "kept"),
    [
        ((64, 64, 40), 4.0, slice(20, 21)),  # one slice that is left out from both its sides
        ((64, 64, 40), 4.0, slice(20, 22)),
        ((64, 64, 2), 4.0, slice(None)),
        ((20, 20, 20), 0.1, slice(None)),
        ((64, 64, 40), 30.0, slice(None)),
    ],
)
def test_a_field_of_view_that_holds_no_head_is_refused_before_anything_is_computed(
    shape: tuple[int, int, int], size_mm: float, kept: slice
) -> None:
    data = np.zeros(shape, np.int16)
    data[:, :, kept] = np.random.default_rng(0).integers(400, 600, data[:, :, kept].shape)
    with pytest.raises(
        IneligibleError, match=f"one of a head has {VIEW_RANGE_MM[0]:.0f} to {VIEW_RANGE_MM[1]:.0f} mm a side"
    ):
        field_of_view(Volume(data, cubes(shape, size_mm)))
