import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.io.dicom_files import all_axis_orders, frames_of, turned

from datspect.errors import IneligibleError, ScanError
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.placement import (
    FrameGeometry,
    check_affine,
    frames_affine,
    lies_on_template,
    on_template_grid,
    placed,
)
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine

RAS = np.random.default_rng(5).integers(-99, 3000, MNI_SHAPE).astype(np.int16)
"""No two voxels are alike, so that every flip and swap shows."""

STANDARD = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
axis_orders = st.sampled_from(list(all_axis_orders()))


def tilted(degrees: float) -> tuple[float, ...]:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (1.0, 0.0, 0.0, 0.0, float(cos), float(sin))


@given(axis_orders)
def test_every_order_and_direction_of_axes_in_a_header_leads_to_the_same_volume(order_and_signs):
    frames, orientation, stacking = turned(RAS, *order_and_signs)
    volume = placed(frames, FrameGeometry(orientation, (2.0, 2.0), 2.0 * stacking))
    np.testing.assert_array_equal(volume.affine, mni_affine())
    upright = reorient(volume)
    np.testing.assert_array_equal(upright.data, RAS)
    np.testing.assert_array_equal(upright.affine, mni_ras_affine())


@given(axis_orders)
def test_the_affine_puts_every_corner_of_the_frames_where_the_header_says(order_and_signs):
    order, signs = order_and_signs
    frames, orientation, stacking = turned(RAS, order, signs)
    affine = frames_affine(frames.shape, FrameGeometry(orientation, None, 2.0 * stacking))
    for corner in np.ndindex(2, 2, 2):  # (frame, row, column), first or last
        index = np.multiply(corner, np.subtract(frames.shape, 1))
        expected = np.empty(3)
        for axis, sign, at_end in zip(order, signs, corner, strict=True):
            low = mni_ras_affine()[axis, 3]
            high = low + 2.0 * (MNI_SHAPE[axis] - 1)
            expected[axis] = high if (sign > 0) == bool(at_end) else low
        np.testing.assert_allclose((affine @ [*index[::-1], 1])[:3], expected)


def test_without_a_header_the_convention_holds():
    frames = frames_of(RAS[::-1])
    volume = placed(frames, FrameGeometry())
    np.testing.assert_array_equal(volume.data, frames.transpose(2, 1, 0)[:, ::-1, :])
    np.testing.assert_array_equal(volume.affine, mni_affine())
    np.testing.assert_array_equal(reorient(volume).data, RAS)


def test_placing_copies_no_voxel():
    frames = frames_of(RAS)
    assert np.shares_memory(placed(frames, FrameGeometry()).data, frames)


def test_a_header_that_says_what_is_assumed_changes_nothing():
    frames = frames_of(RAS)
    assumed, said = placed(frames, FrameGeometry()), placed(frames, FrameGeometry(STANDARD, (2.0, 2.0), 2.0))
    np.testing.assert_array_equal(assumed.data, said.data)


@pytest.mark.parametrize("orientation", [None, STANDARD])
def test_a_negative_slice_spacing_stacks_the_frames_downwards(orientation):
    frames = frames_of(RAS[::-1])[::-1]
    volume = placed(frames, FrameGeometry(orientation, (2.0, 2.0), -2.0))
    np.testing.assert_array_equal(reorient(volume).data, RAS)


@pytest.mark.parametrize(
    "orientation",
    [
        (0.0,) * 6,
        (1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
        (1.0, 0.0, 0.0, 0.6, 0.8, 0.0),
        (2.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        (float("nan"), 0.0, 0.0, 0.0, 1.0, 0.0),
        (float("inf"), 0.0, 0.0, 0.0, 1.0, 0.0),
        (1.0, 0.0, 0.0, 0.0, 1.0),
    ],
)
def test_directions_that_are_none_are_refused(orientation):
    with pytest.raises(ScanError, match="orientation") as caught:
        placed(frames_of(RAS), FrameGeometry(orientation))
    assert not isinstance(caught.value, IneligibleError)


@pytest.mark.parametrize(("pixels", "slices"), [((0.0, 2.0), 2.0), ((2.0, 2.0), 0.0), ((2.0, float("nan")), 2.0)])
def test_a_spacing_that_is_none_is_refused(pixels, slices):
    with pytest.raises(ScanError, match="spacing") as caught:
        placed(frames_of(RAS), FrameGeometry(STANDARD, pixels, slices))
    assert not isinstance(caught.value, IneligibleError)


@pytest.mark.parametrize(("pixels", "slices"), [((2.46, 2.46), 2.0), ((2.0, 2.0), -3.3), ((1.98, 2.0), 2.0)])
def test_voxels_of_another_size_are_not_on_the_template(pixels, slices):
    assert not lies_on_template(MNI_SHAPE[::-1], FrameGeometry(STANDARD, pixels, slices))


@pytest.mark.parametrize("shape", [(128, 128, 128), (91, 91, 109), (109, 91, 91), (90, 109, 91), (1, 1, 1)])
def test_another_shape_is_not_on_the_template(shape):
    assert not lies_on_template(shape, FrameGeometry())
    with pytest.raises(IneligibleError, match="no spacing of pixels"):
        frames_affine(shape, FrameGeometry())


@pytest.mark.parametrize("degrees", [0.0, 5.0, 20.0, -90.0])
@pytest.mark.parametrize("slices", [3.0, -3.0])
@pytest.mark.parametrize("position", [(-100.0, 20.0, 300.0), None])
def test_off_the_template_every_voxel_lies_where_the_header_says(degrees, slices, position):
    """DICOM PS3.3 C.7.6.2.1.1, frames stacked along the cross product, or against it."""
    shape, orientation = (20, 30, 40), tilted(degrees)
    affine = frames_affine(shape, FrameGeometry(orientation, (2.5, 1.5), slices, position))
    right, down = np.array(orientation).reshape(2, 3)
    steps = np.column_stack([1.5 * right, 2.5 * down, slices * np.cross(right, down)])
    first = -steps @ [19.5, 14.5, 9.5] if position is None else position
    for index in [(0, 0, 0), (39, 0, 0), (3, 29, 19)]:
        lps = first + steps @ index
        np.testing.assert_allclose((affine @ [*index, 1])[:3], lps * (-1, -1, 1), atol=1e-9)


@pytest.mark.parametrize("position", [(np.nan, 0.0, 0.0), (0.0, np.inf, 0.0), (0.0, 0.0, 1e308), (1.0, 2.0)])
def test_a_position_that_is_none_is_refused_off_the_template_and_not_read_on_it(position):
    with pytest.raises(ScanError, match="position"):
        placed(np.zeros((4, 5, 6)), FrameGeometry(STANDARD, (2.0, 2.0), 2.0, position))
    placed(frames_of(RAS), FrameGeometry(STANDARD, (2.0, 2.0), 2.0, position))


def test_oblique_slices_are_not_on_the_template_but_rounding_is_forgiven():
    assert not lies_on_template(MNI_SHAPE[::-1], FrameGeometry(tilted(5.0)))
    volume = placed(frames_of(RAS[::-1]), FrameGeometry(tilted(0.5)))
    np.testing.assert_array_equal(reorient(volume).data, RAS)


@given(axis_orders)
def test_the_template_grid_is_known_in_any_order_and_direction(order_and_signs):
    order, signs = order_and_signs
    shape = tuple(MNI_SHAPE[axis] for axis in order)
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    for index, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        low = mni_ras_affine()[axis, 3]
        affine[axis, index] = 2.0 * sign
        affine[axis, 3] = low if sign > 0 else low + 2.0 * (MNI_SHAPE[axis] - 1)
    assert on_template_grid(shape, affine)
    affine[0, 3] += 2.0
    assert not on_template_grid(shape, affine)
    assert on_template_grid(shape, affine, wherever=True)


def test_a_grid_of_another_size_or_turned_by_a_right_angle_is_not_the_template():
    assert not on_template_grid((182, 218, 182), np.diag([1.0, 1.0, 1.0, 1.0]))
    swapped = mni_affine()[[0, 2, 1, 3]]  # same shape, yet y and z of the world change places
    assert not on_template_grid(MNI_SHAPE, swapped)
    assert not on_template_grid(MNI_SHAPE, swapped, wherever=True)


@pytest.mark.parametrize(
    "affine",
    [
        np.diag([np.nan, 2.0, 2.0, 1.0]),
        np.diag([2.0, 2.0, 0.0, 1.0]),
        np.diag([2.0, 2.0, 1e9, 1.0]),
        np.array([[2.0, 2.0, 0, 0], [0, 0.001, 0, 0], [0, 0, 2.0, 0], [0, 0, 0, 1]]),
        np.eye(3),
    ],
)
def test_an_affine_that_fits_no_scan_is_refused(affine):
    with pytest.raises(ScanError, match="convert the scan anew"):
        check_affine(affine)


def test_the_affine_of_the_template_and_a_turned_one_are_sound():
    check_affine(mni_affine())
    cos, sin = np.cos(0.5), np.sin(0.5)
    check_affine(np.array([[cos, -sin, 0, 0], [sin, cos, 0, 0], [0, 0, 3.0, 0], [0, 0, 0, 1]]))


def test_a_reoriented_volume_is_still_on_the_template():
    volume = Volume(RAS, mni_ras_affine())
    assert on_template_grid(volume.data.shape, volume.affine)
