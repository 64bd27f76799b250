"""Scans are placed by their voxels, whatever header they have; what lies the wrong way or nowhere is refused."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from tests.normalisation.moved_heads import (
    OFFSET_VOXELS,
    STRIATA_MM,
    distances_mm,
    imaged,
    laboratory,
    native_scan,
    nifti_bytes,
    pose,
    read,
    stored_as,
)

from datspect.errors import IneligibleError, ScanError
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.io.nifti import Space
from datspect.io.scan_reading import read_nifti_bytes
from datspect.normalisation import placing
from datspect.normalisation.placing import NotPlacedError, Placed, placed
from datspect.phantom.hopeless import HOPELESS, hopeless_scan
from datspect.phantom.template import mean_phantom

NATIVE = pose((10, -7, 12), (45, -20, 35), (1.04, 0.98, 1.0))
BOXES = {
    "1 mm": ((-1.0, 1.0, 1.0), (182, 218, 182), (90.0, -126.0, -72.0)),
    "SPM's box of 2 mm": ((-2.0, 2.0, 2.0), (79, 95, 79), (78.0, -112.0, -70.0)),
    "SPM's box of 1.5 mm, to the right": ((1.5, 1.5, 1.5), (106, 127, 106), (-78.5, -112.5, -70.5)),
    "3 mm": ((-3.0, 3.0, 3.0), (61, 73, 61), (90.0, -126.0, -72.0)),
}


def on_template_grid() -> Volume:
    """Return the mean phantom with noise, as int16, stored right to left."""
    noise = np.random.default_rng(6).normal(0, 0.03, MNI_SHAPE)
    data = np.maximum(np.asarray(mean_phantom(OFFSET_VOXELS).data)[::-1] + noise, 0)
    return Volume(np.rint(1000 * data).astype(np.int16), mni_affine())


def in_box(name: str) -> Volume:
    """Return the mean phantom as other programs store what they brought to MNI space."""
    sizes_mm, shape, corner_mm = BOXES[name]
    affine = np.diag([*sizes_mm, 1.0])
    affine[:3, 3] = corner_mm
    to_grid = np.linalg.inv(mni_ras_affine()) @ affine
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    places = nib.affines.apply_affine(to_grid, index)
    data = map_coordinates(np.asarray(mean_phantom(OFFSET_VOXELS).data), np.moveaxis(places, -1, 0), order=1)
    noise = np.random.default_rng(6).normal(0, 0.03, shape)
    return Volume(np.rint(1000 * np.maximum(data + noise, 0)).astype(np.int16), affine)


def mirrored(volume: Volume, axes: tuple[int, ...]) -> Volume:
    return Volume(np.ascontiguousarray(np.flip(volume.data, axes)), volume.affine)


@pytest.fixture(scope="module")
def native() -> Volume:
    return imaged(NATIVE)


@pytest.fixture(scope="module")
def registered(native: Volume) -> Placed:
    return placed(read(native), z_offset_voxels=OFFSET_VOXELS)


@pytest.fixture
def never_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "register", lambda *_: pytest.fail("it was registered"))


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Volume]]:
    """Volumes whose uprightness was checked: that is most of the time which a scan in MNI space takes."""
    seen: list[Volume] = []
    check = placing.check_uprightness
    monkeypatch.setattr(placing, "check_uprightness", lambda volume: (seen.append(volume), check(volume))[1])
    return seen


@pytest.mark.usefixtures("never_registered")
@pytest.mark.parametrize("space", ["auto", "mni"])
def test_a_scan_on_the_template_grid_keeps_its_very_voxels_after_one_check(
    space: placing.Space, checks: list[Volume]
) -> None:
    scan = on_template_grid()
    found = placed(read(scan, "mni"), space=space)
    assert found.how == "as it is"
    np.testing.assert_array_equal(found.volume.data, scan.data[::-1])
    assert np.shares_memory(found.volume.data, scan.data)
    assert np.array_equal(found.volume.affine, mni_ras_affine())
    assert (found.fixed, found.to_scan, found.quality) == ("", None, None)
    assert len(checks) == 1


@pytest.mark.usefixtures("never_registered")
@pytest.mark.parametrize("axes", ["LAS", "RAS", "RSP", "ILA"])
def test_axes_of_the_template_grid_may_be_stored_in_any_order(axes: str) -> None:
    scan = reorient(on_template_grid())
    found = placed(read(stored_as(scan, axes), "mni"))
    np.testing.assert_array_equal(found.volume.data, scan.data)


@pytest.mark.usefixtures("never_registered")
@pytest.mark.parametrize("axes", ["LAS", "RAS", "RSP"])
def test_the_right_grid_with_the_scanners_origin_keeps_its_very_voxels(axes: str) -> None:
    upright = reorient(on_template_grid())
    stored = stored_as(upright, axes)
    stored.affine[:3, 3] += (31.0, -12.5, 240.0)
    scan = read_nifti_bytes(nifti_bytes(stored))
    assert scan.space == "other"
    found = placed(scan)
    assert (found.how, found.to_scan) == ("as it is", None)
    np.testing.assert_array_equal(found.volume.data, upright.data)
    assert np.array_equal(found.volume.affine, mni_ras_affine())


@pytest.mark.parametrize("scanner_origin", [False, True])
def test_the_right_grid_is_no_proof_of_a_head_in_its_place(
    scanner_origin: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that lies elsewhere on such a grid is registered, by whatever its header says."""
    monkeypatch.setattr(placing, "register", lambda *_: pytest.fail("registered"))
    away = imaged(pose((0, 0, 18), (24, -30, 10)), sizes_mm=(2, 2, 2), shape=MNI_SHAPE, field_mm=(-24, 30, -10))
    away.affine[:3, 3] = mni_ras_affine()[:3, 3] + (31.0 if scanner_origin else 0.0)
    with pytest.raises(pytest.fail.Exception, match="registered"):
        placed(read(away))


@pytest.mark.usefixtures("never_registered")
@pytest.mark.parametrize("name", BOXES)
def test_mni_space_on_another_grid_is_resampled_by_its_header(name: str) -> None:
    found = placed(read_nifti_bytes(nifti_bytes(in_box(name), 4)))
    assert found.how == "resampled"
    assert found.volume.data.shape == MNI_SHAPE
    assert likeness(found.volume) > 0.97
    assert abs(found.seen.z_offset_voxels - OFFSET_VOXELS) < 1.0  # a box that ends early lacks slices


def likeness(volume: Volume) -> float:
    """Return the correlation with the mean phantom where other boxes have voxels too."""
    inside = (slice(8, -8), slice(9, -9), slice(3, -8))
    return float(
        np.corrcoef(volume.data[inside].ravel(), np.asarray(mean_phantom(OFFSET_VOXELS).data)[inside].ravel())[0, 1]
    )


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SPM's box of 2 mm", 2),
        pytest.param("1 mm", 1, marks=pytest.mark.slow),
        pytest.param("3 mm", 0, marks=pytest.mark.slow),
    ],
)
def test_a_code_that_hides_mni_space_is_not_believed_and_voxels_are_resampled_once(name: str, code: int) -> None:
    scan = read_nifti_bytes(nifti_bytes(in_box(name), code or 1))
    assert scan.space == "other"
    found = placed(scan)
    assert (found.how, found.to_scan) == ("resampled", None)
    np.testing.assert_array_equal(found.volume.data, placed(read(scan.volume, "mni")).volume.data)


@pytest.mark.parametrize("up_mm", [20.0, -40.0])
def test_a_head_that_is_only_too_high_or_low_is_registered(up_mm: float) -> None:
    """A camera's scan of a head that lies straight is no scan in MNI space."""
    found = placed(read(imaged(pose(shift_mm=(0, 0, up_mm)))), z_offset_voxels=OFFSET_VOXELS)
    assert found.how == "registered"
    assert found.to_scan is not None
    assert found.to_scan[2, 3] == pytest.approx(up_mm, abs=2)


def test_a_native_scan_comes_to_mni_and_the_transform_leads_back(registered: Placed) -> None:
    assert registered.how == "registered"
    assert registered.to_scan is not None
    assert registered.quality is not None
    assert registered.quality.reasons == ()
    apart = nib.affines.apply_affine(registered.to_scan, STRIATA_MM) - nib.affines.apply_affine(NATIVE, STRIATA_MM)
    assert np.linalg.norm(apart, axis=1).max() < 2
    assert registered.volume.data.shape == MNI_SHAPE
    assert np.array_equal(registered.volume.affine, mni_ras_affine())
    assert likeness(registered.volume) > 0.97
    assert abs(registered.seen.z_offset_voxels - OFFSET_VOXELS) < 0.5


def test_a_turn_is_taken_where_a_scan_is_registered_and_nowhere_else(native: Volume) -> None:
    taken: list[str] = []

    @contextmanager
    def turn() -> Iterator[None]:
        taken.append("began")
        yield
        taken.append("ended")

    assert placed(read(on_template_grid(), "mni"), turn=turn()).how == "as it is"
    assert not taken
    assert placed(read(native), turn=turn()).how == "registered"
    assert taken == ["began", "ended"]


def test_a_native_scan_whose_header_claims_mni_space_is_registered_all_the_same(
    native: Volume, registered: Placed
) -> None:
    scan = read_nifti_bytes(nifti_bytes(native, 4))
    assert scan.space == "mni"
    found = placed(scan, z_offset_voxels=OFFSET_VOXELS)
    assert found.how == "registered"
    np.testing.assert_array_equal(found.volume.data, registered.volume.data)


@pytest.mark.usefixtures("never_registered")
def test_called_mni_space_a_scan_that_does_not_cover_it_is_refused() -> None:
    away = imaged(pose(shift_mm=(150, 0, 0)))
    with pytest.raises(ScanError, match="does not cover the brain in MNI space"):
        placed(read(away), space="mni")


def test_called_native_even_a_scan_on_the_template_grid_is_registered() -> None:
    found = placed(read(on_template_grid(), "mni"), space="native", z_offset_voxels=OFFSET_VOXELS)
    assert found.how == "registered"
    assert found.to_scan is not None
    np.testing.assert_allclose(found.to_scan, np.eye(4), atol=1.5)


WRONG = {"upside down": (2,), "back to front": (1,), "upside down and back to front": (1, 2)}
SPACES: tuple[Space, ...] = ("mni", "other")


@pytest.mark.parametrize(("what", "space"), [
    *itertools.product(WRONG, ["mni"]),
    ("upside down", "other"),
    pytest.param("back to front", "other", marks=pytest.mark.slow),
    pytest.param("upside down and back to front", "other", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_head_that_lies_the_wrong_way_is_refused_or_turned_if_asked(
    what: str, space: Space, native: Volume, registered: Placed
) -> None:
    upright = on_template_grid() if space == "mni" else native
    scan = read(mirrored(upright, WRONG[what]), space)
    said = f"the head lies {what}, against what the header says; predict and import turn it with --fix-orientation"
    with pytest.raises(ScanError, match=said):
        placed(scan, z_offset_voxels=OFFSET_VOXELS)
    found = placed(scan, wrong_way="fix", z_offset_voxels=OFFSET_VOXELS)
    assert found.fixed == "".join("xyz"[axis] for axis in WRONG[what])
    if space == "mni":
        np.testing.assert_array_equal(found.volume.data, upright.data[::-1])
    else:
        assert np.corrcoef(found.volume.data.ravel(), registered.volume.data.ravel())[0, 1] > 0.98


@pytest.mark.usefixtures("never_registered")
def test_in_mni_space_it_may_be_left_as_it_is_and_what_was_seen_is_kept() -> None:
    scan = mirrored(on_template_grid(), (2,))
    found = placed(read(scan, "mni"), wrong_way="leave")
    assert (found.seen.best, found.fixed) == ("z", "")
    np.testing.assert_array_equal(found.volume.data, scan.data[::-1])


def test_what_is_registered_is_never_left_the_wrong_way(native: Volume) -> None:
    with pytest.raises(ScanError, match="the head lies upside down"):
        placed(read(mirrored(native, (2,))), wrong_way="leave")


@pytest.mark.parametrize("wrong_way", ["refuse", "fix"])
@pytest.mark.parametrize(
    "axes", [(2, 1, 0), pytest.param((1, 0, 2), marks=pytest.mark.slow)], ids=["on its side", "facing a side"]
)
def test_two_exchanged_axes_are_refused_however_well_the_head_can_be_turned_back(
    axes: tuple[int, ...], wrong_way: placing.WrongWay
) -> None:
    head = imaged(pose(), shape=(64, 64, 64))
    scan = Volume(np.ascontiguousarray(head.data.transpose(axes)), head.affine)
    with pytest.raises(ScanError, match=r"turned by \d\d degrees .* left and right may be exchanged; correct the axes"):
        placed(read(scan), wrong_way=wrong_way, z_offset_voxels=OFFSET_VOXELS)


@pytest.mark.parametrize("turn", [(20, -20, 20), pytest.param((20, 20, 20), marks=pytest.mark.slow)])
def test_a_head_tilted_by_twenty_degrees_about_each_axis_is_placed(turn: tuple[int, ...]) -> None:
    to_scan = pose(turn)
    found = placed(read(imaged(to_scan, shape=(64, 64, 64))), z_offset_voxels=OFFSET_VOXELS)
    assert (found.how, found.fixed) == ("registered", "")
    assert found.to_scan is not None
    assert distances_mm(found.to_scan, to_scan).max() < 2


def test_without_striata_a_head_is_refused_with_measures_and_the_volume_to_look_at() -> None:
    flat = mean_phantom(OFFSET_VOXELS)
    flat = Volume(np.minimum(np.asarray(flat.data), 1.05), flat.affine)
    with pytest.raises(
        NotPlacedError, match="not brought to MNI space with confidence: no striata stand out"
    ) as refused:
        placed(read(imaged(NATIVE, head=flat)), z_offset_voxels=OFFSET_VOXELS)
    assert isinstance(refused.value, IneligibleError)
    assert refused.value.volume.data.shape == MNI_SHAPE
    assert refused.value.quality.striata.contrast < 1.5


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_is_refused_and_so_is_noise_that_claims_mni_space(seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 1000, (64, 64, 48)).astype(np.int16)
    for space in SPACES:
        with pytest.raises(ScanError):
            placed(read(Volume(noise, imaged(pose()).affine), space))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [*HOPELESS[:3], *(pytest.param(kind, marks=pytest.mark.long) for kind in HOPELESS[3:])]
)
def test_what_no_classifier_may_answer_is_refused(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    scan = hopeless_scan(kind, laboratory(), 0)  # type: ignore[arg-type]
    with pytest.raises(ScanError):
        placed(read(Volume(scan.data.astype(np.float32), scan.affine)))
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("label", ["control", "pd"])
def test_a_camera_s_scan_looks_as_it_does_in_mni_space(label: str) -> None:
    scan = native_scan(label, 1)
    found = placed(read(scan.volume), z_offset_voxels=OFFSET_VOXELS)
    expected = reorient(scan.in_mni).data
    inside = expected > 0
    assert found.how == "registered"
    assert np.corrcoef(found.volume.data[inside], expected[inside])[0, 1] > 0.95
