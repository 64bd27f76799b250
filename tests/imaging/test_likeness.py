import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, shift

from datspect.errors import ScanError
from datspect.imaging.coarse_waves import FINEST_MM, coefficients, voxels
from datspect.imaging.likeness import MIN_SCANS, STRICT_MISFIT, fingerprint, misfit, near_copies, unseen
from datspect.imaging.volume import MNI_SHAPE

N_HEADS = 20
FWHM_PER_SD_VOXELS = 2.355 * 2


def _distance(centre, semi_axes):
    axes = (np.arange(size) for size in MNI_SHAPE)
    scaled = [(axis - c) / s for axis, c, s in zip(np.ix_(*axes), centre, semi_axes, strict=True)]
    return sum(axis**2 for axis in scaled)


def _head(rng, *, offset=(0.0, 0.0, 0.0), strengths=None):
    """Return a blurred egg with two hot balls of a subject's own strength, counted and filtered like a scan."""
    strengths = rng.uniform(1.5, 4, 2) if strengths is None else strengths
    x, y, z = offset
    head = np.where(_distance((45 + x, 54 + y, 44 + z), (34, 42, 36)) < 1, 1000.0, 0.0)
    for side, strength in zip((33, 57), strengths, strict=True):
        head[_distance((side + x, 62 + y, 40 + z), (6, 9, 5)) < 1] *= strength
    counts = rng.poisson(gaussian_filter(head, 9 / FWHM_PER_SD_VOXELS) / 100)
    return gaussian_filter(counts * 100.0, 6 / FWHM_PER_SD_VOXELS).astype(np.float32)


@pytest.fixture(scope="module")
def heads():
    rng = np.random.default_rng(3)
    return [_head(rng, offset=rng.normal(0, 0.5, 3)) for _ in range(N_HEADS)]


@pytest.fixture(scope="module")
def prints(heads):
    return np.stack([fingerprint(head) for head in heads])


def _eight_bits(data):
    return np.rint((data - data.min()) / np.ptp(data) * 255).astype(np.uint8)


def _smoothed(data, fwhm_mm):
    return gaussian_filter(data, fwhm_mm / FWHM_PER_SD_VOXELS)


COPIES = {
    "smoothed by 4 mm": lambda data: _smoothed(data, 4),
    "smoothed by 8 mm": lambda data: _smoothed(data, 8),
    "3 voxels right": lambda data: shift(data, (3, 0, 0), order=0),
    "3 voxels back": lambda data: shift(data, (0, -3, 0), order=0),
    "3 voxels down": lambda data: shift(data, (0, 0, -3), order=0),
    "half a voxel along each axis": lambda data: shift(data, (0.5, 0.5, 0.5), order=1),
    "other scale and offset, int16": lambda data: np.rint(1.7 * data + 300).astype(np.int16),
    "8 bits": _eight_bits,
    "offset and cut off at 0": lambda data: np.clip(data - 30, 0, None),
    "all of it": lambda data: _eight_bits(_smoothed(shift(data, (-1.5, 2, 2.5), order=1), 8)),
}
EXPORTS = {name: COPIES[name] for name in ("other scale and offset, int16", "8 bits")}


def test_coefficients_are_those_of_the_fourier_transform(rng):
    data = rng.normal(size=MNI_SHAPE)
    spectrum = np.abs(np.fft.fftn(data))
    x, y, z = np.meshgrid(*(np.fft.fftfreq(size, 2.0) for size in MNI_SHAPE), indexing="ij")
    coarse = np.sort(spectrum[np.sqrt(x**2 + y**2 + z**2) <= 1 / FINEST_MM])
    found = np.abs(fingerprint(data))
    both = np.sort(np.concatenate([found, found[1:]]))  # each but the mean stands for two, which are conjugates
    np.testing.assert_allclose(
        both, coarse / np.sqrt((coarse**2).sum() - spectrum[0, 0, 0] ** 2) * np.sqrt(2), rtol=2e-3
    )


def test_a_fingerprint_is_small_and_knows_no_scale_offset_or_type(heads):
    data = np.rint(heads[0]).astype(np.int16)
    first, second = fingerprint(data), fingerprint(data * 2.5 + 1000)
    assert first.nbytes <= 64 * 1024
    np.testing.assert_allclose(second[1:], first[1:], atol=1e-6)


def test_memory_order_and_direction_do_not_matter(heads):
    flipped = np.asfortranarray(heads[0])[::-1]
    np.testing.assert_allclose(fingerprint(flipped), fingerprint(np.ascontiguousarray(flipped)), atol=1e-6)


def test_only_volumes_with_something_in_them_have_a_fingerprint():
    with pytest.raises(ScanError, match="no structure"):
        fingerprint(np.zeros(MNI_SHAPE))
    with pytest.raises(ScanError, match=r"expected shape \(91, 109, 91\)"):
        fingerprint(np.zeros((91, 109, 90)))


def test_distinct_scans_are_no_copies(prints):
    assert near_copies(prints) == []


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_found_among_distinct_scans(heads, prints, name):
    copy = fingerprint(COPIES[name](heads[4]))
    assert near_copies(np.concatenate([prints, [copy]])) == [(4, N_HEADS)]


def test_three_copies_do_not_hide_each_other(heads, prints):
    copies = [fingerprint(COPIES[name](heads[4])) for name in ("smoothed by 4 mm", "8 bits")]
    found = near_copies(np.concatenate([prints, copies]))
    assert found == [(4, N_HEADS), (4, N_HEADS + 1), (N_HEADS, N_HEADS + 1)]


def test_a_cohort_that_is_there_twice_is_found_whole(heads, prints):
    again = [fingerprint(_smoothed(head, 4)) for head in heads]
    assert near_copies(np.concatenate([prints, again])) == [(row, row + N_HEADS) for row in range(N_HEADS)]


@pytest.mark.parametrize("n", [0, 1, 2, 6, MIN_SCANS - 1])
def test_in_a_small_cohort_distinct_scans_are_no_copies(prints, n):
    assert near_copies(prints[:n]) == []


@pytest.mark.parametrize("n", [2, 6, MIN_SCANS - 1])
@pytest.mark.parametrize("name", EXPORTS)
def test_in_a_small_cohort_a_new_export_is_found(heads, prints, n, name):
    copy = fingerprint(EXPORTS[name](heads[0]))
    assert near_copies(np.concatenate([prints[: n - 1], [copy]])) == [(0, n - 1)]


@pytest.mark.parametrize("n", [2, 6, 24])
def test_scans_of_two_kinds_that_differ_by_noise_alone_are_no_copies(n):
    """Made-up cohorts are so: all healthy subjects are alike, and so are all ill ones."""
    rng = np.random.default_rng(5)
    brain = np.where(_distance((45, 54, 44), (34, 42, 36)) < 1, 1000.0, 20.0)
    striatum = _distance((33, 62, 40), (6, 9, 5)) < 1
    alike = [brain + 3000.0 * striatum / (1 + number % 2) + rng.integers(0, 20, MNI_SHAPE) for number in range(n)]
    assert near_copies(np.stack([fingerprint(data) for data in alike])) == []


@settings(deadline=None)
@given(
    voxels=st.tuples(*[st.integers(-3, 3)] * 3),
    scale=st.floats(1e-3, 1e3),
)
def test_what_a_whole_shift_within_the_volume_leaves_is_nothing(heads, voxels, scale):
    moved = np.roll(heads[1], voxels, axis=(0, 1, 2)) * np.float32(scale)
    assert misfit(fingerprint(heads[1]), fingerprint(moved)) < STRICT_MISFIT / 100


def test_the_volume_of_coarse_waves_has_these_waves_and_no_others(heads):
    found = coefficients(heads[0])
    coarse = voxels(found)
    np.testing.assert_allclose(coefficients(coarse), found, atol=1e-5 * np.abs(found).max())
    np.testing.assert_allclose(coarse.mean(), heads[0].mean(), rtol=1e-5)
    np.testing.assert_allclose(voxels(coefficients(coarse)), coarse, atol=1e-4 * coarse.max())


def test_cells_tell_how_much_of_them_is_out_of_view():
    data = np.ones(MNI_SHAPE)
    data[:, :, 50:] = 0
    cells = unseen(data)
    assert cells.shape == (23, 28, 23)
    assert set(cells[:22, :27, :12].ravel()) == {0}
    assert set(cells[:22, :27, 12].ravel()) == {128}  # half of slices 48 to 51
    assert set(cells[:22, :27, 13:22].ravel()) == {255}


def _cut(data, tilt, height):
    """A field of view that ends at an oblique plane above the middle of the head."""
    x, y, z = np.ogrid[tuple(slice(size) for size in MNI_SHAPE)]
    return np.where(z + tilt[0] * (x - 45) + tilt[1] * (y - 54) < height, data, 0).astype(np.float32)


@pytest.fixture(scope="module")
def cut_heads():
    """48 heads, each cut by a plane of its own but for the last two, who differ in their balls and are cut alike."""
    rng = np.random.default_rng(3)
    heads = [_head(rng, offset=rng.normal(0, 0.5, 3)) for _ in range(46)]
    heads += [_head(rng, strengths=strengths) for strengths in ((1.5, 1.5), (4, 4))]
    planes = [(rng.uniform(-0.3, 0.3, 2), rng.uniform(50, 75)) for _ in heads[:-2]]
    planes += [((0.2, -0.15), 58)] * 2
    return [_cut(head, *plane) for head, plane in zip(heads, planes, strict=True)]


def test_two_distinct_scans_whose_fields_of_view_end_alike_are_no_copies(cut_heads):
    found, pair = np.stack([fingerprint(scan) for scan in cut_heads]), (len(cut_heads) - 2, len(cut_heads) - 1)
    assert pair in near_copies(found)
    assert pair not in near_copies(found, [unseen(scan) for scan in cut_heads])


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_a_cut_scan_is_found(cut_heads, name):
    scans = [*cut_heads[:N_HEADS], COPIES[name](cut_heads[4])]
    found = near_copies(np.stack([fingerprint(scan) for scan in scans]), [unseen(scan) for scan in scans])
    assert (4, N_HEADS) in found  # heads that differ in two numbers and a cut may be found beside it
