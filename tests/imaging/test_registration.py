"""A head that was put into another space by a known affine comes back, whatever voxels, cuts, axes and counts."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from tests.normalisation.moved_heads import (
    MIDDLE_MM,
    OFFSET_VOXELS,
    STRIATA_MM,
    distances_mm,
    imaged,
    native_scan,
    pose,
    stored_as,
)

from datspect.imaging import registration
from datspect.imaging.head_image import field_of_view
from datspect.imaging.head_search import Flips
from datspect.imaging.registration import is_plausible, register, shear_of, sizes_of
from datspect.imaging.volume import Volume
from datspect.normalisation.placing import head_template

TURNED = pose((12, -8, 15), (40, -25, 30), (1.05, 0.97, 1.02))
TEMPLATE = head_template(OFFSET_VOXELS)


def cut_behind(volume: Volume, below: int, above: int) -> Volume:
    data = volume.data.copy()
    data[:, :, :below] = 0
    data[:, :, data.shape[2] - above :] = 0
    return Volume(data, volume.affine)


SEEN = {
    "straight": (pose(), {}),
    "turned, moved and sized": (TURNED, {}),
    "turned the other way": (pose((-15, 6, -18), (-60, 30, -50), 0.93), {}),
    "thin slices": (TURNED, {"sizes_mm": (1.5, 1.5, 1.5), "shape": (150, 150, 120)}),
    "thick slices": (TURNED, {"sizes_mm": (2.5, 2.5, 9.0), "shape": (100, 100, 24)}),
    "a long field": (TURNED, {"shape": (64, 64, 110), "field_mm": (20, 0, -150)}),
    "a short field": (TURNED, {"shape": (64, 64, 30)}),
}
SLOW = {"turned the other way", "thin slices", "thick slices", "a long field", "a short field"}


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.slow) if c in SLOW else c for c in SEEN])
def test_a_head_comes_back_to_where_it_was(case: str) -> None:
    to_scan, camera = SEEN[case]
    found = register(imaged(to_scan, **camera), TEMPLATE)
    assert distances_mm(found.to_scan, to_scan).max() < 2.0
    assert found.flips == ""
    assert found.likeness > 0.97
    assert is_plausible(found.to_scan)


def test_empty_slices_behind_cuts_do_not_pull_the_head() -> None:
    cut = cut_behind(imaged(TURNED), 8, 12)
    found = register(field_of_view(cut), TEMPLATE)
    assert distances_mm(found.to_scan, TURNED).max() < 2.0


@pytest.mark.parametrize(
    "flips", ["z", pytest.param("y", marks=pytest.mark.slow), pytest.param("yz", marks=pytest.mark.slow)]
)
def test_voxels_that_run_the_wrong_way_are_told_as_flips(flips: str) -> None:
    mirrored = pose((6, -4, 8), (20, -10, 15), 1.0, flips)
    found = register(imaged(mirrored), TEMPLATE)
    assert found.flips == flips
    assert distances_mm(found.to_scan, mirrored).max() < 2.0
    assert is_plausible(found.to_scan)


@pytest.mark.parametrize(
    "axes", ["LIP", pytest.param("PSR", marks=pytest.mark.slow), pytest.param("SAL", marks=pytest.mark.slow)]
)
def test_the_order_and_sense_of_axes_do_not_matter(axes: str) -> None:
    scan = imaged(TURNED)
    stored = stored_as(scan, axes)
    assert nib.aff2axcodes(stored.affine) == tuple(axes)
    found = register(stored, TEMPLATE)
    assert distances_mm(found.to_scan, TURNED).max() < 2.0


def test_it_repeats_and_counts_have_no_unit_and_a_background_changes_nothing() -> None:
    scan = imaged(TURNED)
    found = register(scan, TEMPLATE)
    scaled = register(Volume(scan.data.astype(np.float32) / 2**7, scan.affine), TEMPLATE)
    np.testing.assert_array_equal(scaled.to_scan, found.to_scan)
    offset = register(Volume(scan.data + 30, scan.affine), TEMPLATE)  # 3 % of the head's level
    assert distances_mm(offset.to_scan, found.to_scan).max() < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("label", ["control", "pd"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_scans_of_the_phantoms_cameras_come_back(label: str, index: int) -> None:
    scan = native_scan(label, index)
    found = register(field_of_view(scan.volume), TEMPLATE)
    points_mm = nib.affines.apply_affine(found.to_scan, STRIATA_MM)
    assert np.linalg.norm(points_mm - scan.striata_native_mm, axis=1).mean() < 2.0


def test_sizes_and_shear_are_those_of_the_affine() -> None:
    turned = pose((20, 10, -15), size=(0.9, 1.0, 1.1))
    np.testing.assert_allclose(sizes_of(turned), (0.9, 1.1))
    assert shear_of(turned) == pytest.approx(0, abs=1e-12)
    leaning = np.eye(4)
    leaning[0, 1] = 0.1
    assert shear_of(leaning) == pytest.approx(0.1 / np.hypot(1, 0.1))


@pytest.mark.parametrize(
    ("size", "lean", "is_one"),
    [(1.0, 0, True), (0.79, 0, True), (0.77, 0, False), (1.26, 0, False), ((1, 1, 1.19), 0, True),
     ((1, 1, 1.21), 0, False), (1.0, 0.05, True), (1.0, 0.07, False)],
)  # fmt: skip
def test_heads_of_people_keep_to_sizes_and_shear(size: float, lean: float, is_one: bool) -> None:
    affine = pose(size=size)
    affine[0, 1] += lean
    assert is_plausible(affine) == is_one


@pytest.mark.parametrize(
    ("turn", "flips", "degrees"),
    [((0, 0, 0), "", 0), ((0, 77, 0), "", 77), ((-20, 0, 0), "y", 20), ((0, 0, 180), "", 180), ((0, 0, 90), "yz", 90)],
)
def test_a_turn_is_counted_without_flips_and_sizes(turn: tuple[int, ...], flips: Flips, degrees: float) -> None:
    found = registration.Registration(pose(turn, size=(0.9, 1.0, 1.05), flips=flips), flips, 0.97)
    assert registration.turned_degrees(found) == pytest.approx(degrees, abs=1e-4)


def test_a_registration_that_leads_out_of_the_scan_is_like_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    start = registration.found_heads
    away = pose(shift_mm=(5000, 0, 0))
    monkeypatch.setattr(
        registration,
        "found_heads",
        lambda *given: [replace(each, to_scan=away @ each.to_scan) for each in start(*given)],
    )
    assert register(imaged(pose()), TEMPLATE).likeness == -1


def test_the_template_compares_the_head_and_a_rim_of_air_but_no_neck() -> None:
    fine, coarse = TEMPLATE.images
    for image in (fine, coarse):
        heights_mm = image.corner_mm[2] + image.step_mm * np.arange(image.values.shape[2])
        assert not image.seen[:, :, heights_mm < registration.LOWEST_MM + TEMPLATE.z_offset_mm - 2].any()
        assert image.seen[tuple(np.rint((np.array(MIDDLE_MM) - image.corner_mm) / image.step_mm).astype(int))]
    assert (TEMPLATE.head_points_mm[:, 2] >= registration.LOWEST_MM + TEMPLATE.z_offset_mm).all()
