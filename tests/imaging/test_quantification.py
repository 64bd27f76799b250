import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from datspect.errors import EmptyRegionError, ScanError
from datspect.imaging.quantification import asymmetry_index, measure_binding, peak_slice, specific_binding_ratio
from datspect.imaging.regions import Regions, VoxelIndices, striatal_regions, structure, structure_fractions
from datspect.imaging.volume import MNI_SHAPE, mni_affine

TRUE = {"caudate_left": 3.0, "caudate_right": 2.0, "putamen_left": 1.5, "putamen_right": 0.5}


@pytest.fixture(scope="module")
def regions() -> Regions:
    return striatal_regions(MNI_SHAPE, mni_affine(), 0.0)


def striatal_volume(binding: dict[str, float]) -> np.ndarray:
    """Return a head of uptake 100 with sharp nuclei of known binding ratio."""
    uptake = np.full(MNI_SHAPE, 100.0, dtype=np.float32)
    for name, ratio in binding.items():
        uptake += 100 * ratio * structure_fractions(structure(*name.rsplit("_", 1)), MNI_SHAPE, mni_affine())
    return uptake


def test_a_volume_of_known_binding_is_measured(regions):
    measured = measure_binding(striatal_volume(TRUE), regions)
    for side in ("left", "right"):
        assert measured[f"caudate_{side}"] == pytest.approx(TRUE[f"caudate_{side}"], rel=0.04)
        # The caudate reaches into the front of the putamen's region, and the pallidum into its back.
        for region, tolerance in {"putamen": 0.15, "putamen_anterior": 0.25, "putamen_posterior": 0.07}.items():
            assert measured[f"{region}_{side}"] == pytest.approx(TRUE[f"putamen_{side}"], abs=tolerance)


def test_mirroring_the_volume_swaps_the_sides(regions):
    volume = striatal_volume(TRUE)
    measured, mirrored = measure_binding(volume, regions), measure_binding(volume[::-1], regions)
    swap = {"left": "right", "right": "left"}
    for name, value in measured.items():
        region, side = name.rsplit("_", 1)
        assert mirrored[f"{region}_{swap[side]}"] == pytest.approx(value, abs=1e-6)


@given(st.floats(0.01, 1000))
def test_the_unit_of_the_voxels_cancels(gain):
    data = np.array([[[1.0, 2.0, 4.0]]])
    target, reference = data == 4, data < 4
    assert specific_binding_ratio(data * gain, target, reference) == pytest.approx((4 - 1.5) / 1.5)


def test_masks_and_voxel_indices_measure_the_same(rng, regions):
    data = rng.poisson(50, MNI_SHAPE)
    target, reference = (np.zeros(MNI_SHAPE, dtype=bool) for _ in range(2))
    target[regions.targets["caudate_left"]] = True
    reference[regions.reference] = True
    by_mask = specific_binding_ratio(data, target, reference)
    assert by_mask == pytest.approx(measure_binding(data, regions)["caudate_left"], abs=1e-12)


def test_an_empty_region_is_named():
    with pytest.raises(EmptyRegionError, match="the target region holds no voxel"):
        specific_binding_ratio(np.ones((2, 2, 2)), np.zeros((2, 2, 2), dtype=bool), np.ones((2, 2, 2), dtype=bool))


@pytest.mark.parametrize("uptake", [0.0, -1.0, np.nan])
def test_a_reference_without_signal_is_refused(regions, uptake):
    with pytest.raises(EmptyRegionError, match="expected a positive value"):
        measure_binding(np.full(MNI_SHAPE, uptake), regions)


def test_another_shape_is_refused(regions):
    for measure in (measure_binding, peak_slice):
        with pytest.raises(ScanError, match=r"expected shape \(91, 109, 91\), got \(4, 4, 4\)"):
            measure(np.ones((4, 4, 4)), regions)


@given(st.floats(0, 10), st.floats(0.01, 10))
def test_asymmetry_is_symmetric_without_unit_and_between_0_and_2(left, right):
    value = asymmetry_index(left, right)
    assert 0 <= value <= 2 + 1e-9
    assert value == asymmetry_index(right, left)
    assert value == pytest.approx(asymmetry_index(3 * left, 3 * right))


def test_asymmetry_of_known_values():
    assert asymmetry_index(1.0, 1.0) == 0
    assert asymmetry_index(1.0, 3.0) == pytest.approx(1.0)
    assert asymmetry_index(0.0, 0.0) == float("inf")


def test_the_peak_follows_the_volume_and_hardly_moves_when_the_putamen_is_lost(regions):
    healthy = {"caudate_left": 7.0, "caudate_right": 7.0, "putamen_left": 4.0, "putamen_right": 4.0}
    lost = {"caudate_left": 4.5, "caudate_right": 4.5, "putamen_left": 1.2, "putamen_right": 1.2}
    scans = [gaussian_filter(striatal_volume(binding), 2.3) for binding in (healthy, lost)]
    peaks = [peak_slice(scan, regions) for scan in scans]
    assert 37 <= peaks[0] <= peaks[1] <= peaks[0] + 1
    assert [peak_slice(np.roll(scan, 2, axis=2), regions) for scan in scans] == [peak + 2 for peak in peaks]


def test_the_peak_of_a_hot_slab_is_its_middle():
    box = (slice(1, 5), slice(1, 5), slice(2, 18))
    reference = VoxelIndices(*(np.array([0]) for _ in range(3)))
    data = np.ones((6, 6, 20))
    data[2:4, 2:4, 9:12] = 5
    assert peak_slice(data, Regions((6, 6, 20), {}, reference, box)) == 10
