from dataclasses import replace

import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from datspect.imaging.regions import mni_affine_of, structure
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.phantom.native import (
    AXIAL_MM,
    HEAD_MIDDLE_MM,
    SHIFT_MM,
    STRIATA,
    STRIATA_MNI_MM,
    TILT_DEGREES,
    VERTEX_MM,
    draw_native_camera,
    draw_native_subject,
    moved,
    native_scan,
    ordinary_scan,
    raised,
)


@pytest.fixture(scope="module")
def drawn(laboratory):
    """A control without hot glands, and a camera."""
    subject, rng = draw_native_subject(laboratory, "control", 0)
    cool = replace(subject.body, glands=dict.fromkeys(subject.body.glands, 0.5))
    camera = draw_native_camera(laboratory, rng, axes="LPS")
    return replace(subject, body=cool), replace(camera, scale=replace(camera.scale, kept="float32"))


@pytest.fixture(scope="module")
def quiet(drawn):
    """Its scan without noise."""
    return native_scan(*drawn, rng=None)


def at(volume, world_mm):
    voxels = apply_affine(np.linalg.inv(volume.affine), world_mm)
    return map_coordinates(volume.data.astype(np.float32), voxels.reshape(-1, 3).T, order=1)


def test_the_four_points_are_the_middles_of_the_striata():
    for name, point_mm in zip(STRIATA, STRIATA_MNI_MM, strict=True):
        nucleus, _, side = name.partition("_")
        ellipsoids = structure(nucleus, side).ellipsoids
        middle_mm = np.mean([each.centre_mm for each in ellipsoids], axis=0)
        np.testing.assert_allclose(point_mm, middle_mm, atol=1.0)


def test_the_true_transform_leads_the_striata_to_the_hottest_places(quiet):
    volume = quiet.volume
    head = float(np.median(volume.data[volume.data > volume.data.max() / 20]))
    assert (at(volume, quiet.striata_native_mm) > 2 * head).all()
    hottest = np.unravel_index(np.argmax(gaussian_filter(volume.data, 1.0)), volume.data.shape)
    distances_mm = np.linalg.norm(apply_affine(volume.affine, hottest) - quiet.striata_native_mm, axis=1)
    assert distances_mm.min() < 12
    np.testing.assert_allclose(quiet.striata_native_mm, moved(quiet.to_native, quiet.striata_mni_mm))


@pytest.mark.parametrize("index", range(3))
def test_the_mni_volume_is_the_native_one_through_the_true_transform(laboratory, index):
    """With noise, axes in any order: the two hold the same reconstruction."""
    scan = ordinary_scan(laboratory, "pd", index)
    grid = np.indices(MNI_SHAPE).reshape(3, -1).T[::37]
    to_world = scan.to_native @ mni_affine_of(mni_affine(), 4.0)
    through = at(scan.volume, apply_affine(to_world, grid))
    direct = scan.in_mni.data[tuple(grid.T)]
    inside = (through > 0) & (direct > 0)
    assert np.corrcoef(through[inside], direct[inside])[0, 1] > 0.985


def test_the_mni_volume_has_its_striata_where_those_of_the_cohort_are(quiet):
    peak = np.unravel_index(np.argmax(quiet.in_mni.data), MNI_SHAPE)
    peak_mm = apply_affine(mni_affine_of(mni_affine(), 4.0), peak)
    assert np.linalg.norm(peak_mm - STRIATA_MNI_MM, axis=1).min() < 12
    assert quiet.in_mni.data.dtype == np.int16
    np.testing.assert_array_equal(quiet.in_mni.affine, mni_affine())


def test_the_same_subject_gives_the_same_bytes_and_another_does_not(laboratory):
    one, same, other = (ordinary_scan(laboratory, "pd", index) for index in (1, 1, 2))
    assert one.volume.data.tobytes() == same.volume.data.tobytes()
    np.testing.assert_array_equal(one.to_native, same.to_native)
    assert one.volume.data.tobytes() != other.volume.data.tobytes()


def test_order_of_axes_and_header_change_no_place_in_the_head(drawn):
    subject, camera = drawn
    stored_otherwise = replace(camera, header=replace(camera.header, axes="RAS"))
    scans = [native_scan(subject, each, np.random.default_rng(1)) for each in (camera, stored_otherwise)]
    np.testing.assert_allclose(*(at(scan.volume, scan.striata_native_mm) for scan in scans), rtol=1e-4)


def test_a_field_raised_beyond_the_vertex_holds_no_head_and_a_lower_one_no_vertex(drawn):
    subject, camera = drawn
    vertex_mm = float(moved(camera.head_to_camera, VERTEX_MM)[2])
    tilted = 15.0  # the highest point of a tilted head is not its vertex
    above = raised(camera, vertex_mm + camera.axial_mm / 2 + 40 + tilted)
    assert native_scan(subject, above, None).in_mni.data.max() == 0
    below = raised(camera, vertex_mm - camera.axial_mm / 2 - 40)
    cut = native_scan(subject, below, None)
    top = np.array([45, 54, 36 + 4 + 42])  # 84 mm above the origin
    assert cut.in_mni.data[tuple(top)] == 0
    assert cut.in_mni.data.max() > 0


def test_slices_of_the_stored_volume_span_the_field_and_no_more(laboratory):
    for index in range(2):
        scan = ordinary_scan(laboratory, "control", index, axes="LPS")
        filled = np.flatnonzero((scan.volume.data > 0).any(axis=(0, 1)))
        length_mm = (filled[-1] - filled[0] + 1) * scan.camera.grid.spacing_mm[2]
        assert length_mm <= scan.camera.axial_mm + 5


@pytest.fixture(scope="module")
def cameras(laboratory):
    rng = np.random.default_rng(11)
    return [draw_native_camera(laboratory, rng) for _ in range(400)]


def test_a_shortcut_by_site_is_planted_in_native_scans_too(laboratory):
    """A share of all subjects at their label's own sites, nothing else changed; at 0 the label does not matter."""

    def drawn(share, label):
        planted = replace(laboratory, params=laboratory.params.model_copy(update={"site_by_label": share}))
        return [draw_native_camera(planted, np.random.default_rng(seed), label) for seed in range(40)]

    def sites(cameras):
        return {camera.acquisition.site for camera in cameras}

    assert repr(drawn(0.0, "pd")) == repr(drawn(0.0, None)) == repr(drawn(1.0, "swedd"))
    assert sites(drawn(1.0, "pd")).isdisjoint(sites(drawn(1.0, "control")))
    assert sites(drawn(1.0, "pd")) | sites(drawn(1.0, "control")) == {site.name for site in laboratory.sites}


def test_heads_are_tilted_by_up_to_20_degrees_and_shifted_by_up_to_80_mm(cameras):
    def tilt(affine):
        left, _, right = np.linalg.svd(affine[:3, :3])
        return np.degrees(Rotation.from_matrix(left @ right).magnitude())

    tilts = [tilt(camera.head_to_camera) for camera in cameras]
    middles_mm = [moved(camera.head_to_camera, HEAD_MIDDLE_MM) - camera.grid.centre_mm for camera in cameras]
    shifts_mm = np.linalg.norm(middles_mm, axis=1)
    assert TILT_DEGREES - 1.5 < max(tilts) < TILT_DEGREES + 0.5
    assert SHIFT_MM - 5 < shifts_mm.max() < SHIFT_MM + 1
    in_world = [tilt(camera.header.to_world @ camera.head_to_camera) for camera in cameras]
    assert max(in_world) < TILT_DEGREES + 5


def test_ordinary_fields_hold_the_striata_and_some_cut_the_vertex_or_the_cerebellum(cameras):
    def inside(point_mm, camera):
        return abs(moved(camera.head_to_camera, np.array(point_mm))[2]) < camera.axial_mm / 2

    assert all(inside(point, camera) for camera in cameras for point in STRIATA_MNI_MM)
    assert 0.03 < np.mean([not inside(VERTEX_MM, camera) for camera in cameras]) < 0.5
    assert 0.03 < np.mean([not inside((0, -60, -40), camera) for camera in cameras]) < 0.5
    lengths = [camera.axial_mm for camera in cameras]
    assert AXIAL_MM[0] <= min(lengths) < 125
    assert 360 < max(lengths) <= AXIAL_MM[1]


def test_scans_of_a_site_share_a_few_grids(cameras):
    grids = {(camera.acquisition.site, camera.grid.spacing_mm, camera.header.axes) for camera in cameras}
    assert 3 < len(grids) <= 9  # three sites of three stations
