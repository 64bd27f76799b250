import numpy as np
import pytest

from datspect.errors import EmptyRegionError, ScanError
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.regions import mni_affine_of, structure, structure_fractions
from datspect.imaging.striatal_box import BOX_SHAPE, box_affine, brain_uptake, brain_voxels, median, striatal_box
from datspect.imaging.volume import MNI_SHAPE, Volume


def box_of(volume, offset=4.0):
    return striatal_box(reorient(volume), offset, brain_voxels(offset)).astype(np.float64)


def test_the_nuclei_lie_in_the_box_where_its_affine_says_whatever_the_offset():
    for offset in (0.0, 4.0, -3.0):
        affine = mni_affine_of(mni_ras_affine(), offset)
        nuclei = sum(structure_fractions(structure("putamen", side), MNI_SHAPE, affine) for side in ("left", "right"))
        box = box_of(Volume(1 + 3 * nuclei, mni_ras_affine()), offset)
        expected = sum(
            structure_fractions(structure("putamen", side), BOX_SHAPE, box_affine()) for side in ("left", "right")
        )
        np.testing.assert_allclose(box, 1 + 3 * expected, atol=2e-3)
        np.testing.assert_allclose(box, box[::-1], atol=2e-3)  # the middle plane is a mirror


def test_half_a_voxel_of_offset_is_the_mean_of_both_neighbours(make_volume):
    below, above, between = (box_of(make_volume(), offset) for offset in (4.0, 5.0, 4.5))
    noise = 0.05  # `make_volume` draws anew each time
    inside = (slice(None), slice(None), slice(4, -4))
    np.testing.assert_allclose(between[inside], ((below + above) / 2)[inside], atol=noise)


def test_gain_cancels_and_the_brain_is_one(make_volume):
    volume = make_volume()
    louder = Volume(volume.data * 7.5, volume.affine)
    np.testing.assert_allclose(box_of(volume), box_of(louder), atol=2e-3)
    assert np.median(box_of(volume)) == pytest.approx(1, abs=0.02)


def test_neither_binding_nor_noise_nor_a_misplaced_head_moves_the_uptake_of_the_brain(make_volume, rng):
    brain = brain_voxels(4.0)
    alone = brain_uptake(make_volume(caudate=0.0, putamen=0.0).data[::-1], brain)
    full = make_volume(caudate=4.0, putamen=4.0).data[::-1]
    noisy = full * (1 + 0.3 * rng.standard_normal(full.shape))
    assert brain_uptake(full, brain) == pytest.approx(alone, rel=0.005)
    assert brain_uptake(noisy, brain) == pytest.approx(alone, rel=0.01)
    for axis in range(3):
        for voxels in (-6, 6):  # 12 mm
            assert brain_uptake(np.roll(full, voxels, axis), brain) == pytest.approx(alone, rel=0.01)


def test_a_box_that_leaves_the_volume_and_an_empty_brain_are_refused():
    with pytest.raises(ScanError, match=r"no striatal box in shape \(10, 10, 10\)"):
        striatal_box(Volume(np.ones((10, 10, 10)), mni_ras_affine()), 4.0, brain_voxels(4.0))
    with pytest.raises(EmptyRegionError, match="median over the brain is 0"):
        striatal_box(Volume(np.zeros(MNI_SHAPE), mni_ras_affine()), 4.0, brain_voxels(4.0))


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16])
@pytest.mark.parametrize("n", [1, 2, 7, 50_000])
def test_the_median_is_numpys(n: int, kind: type, rng: np.random.Generator) -> None:
    values = rng.normal(0, 100, n).astype(kind)
    before = values.copy()
    assert median(values) == np.median(values)
    np.testing.assert_array_equal(values, before)


def test_a_median_with_nan_or_of_nothing_is_nan() -> None:
    assert np.isnan(median(np.array([1.0, np.nan, 3.0])))
    assert np.isnan(median(np.array([])))
