import numpy as np
import pytest

from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.volume import Volume, mni_affine
from datspect.phantom.acquisition import Acquisition, acquire
from datspect.phantom.anatomy import build_head, draw_anatomy, read_background
from datspect.phantom.uprightness import FLIPS, check_uprightness, uprighted

# True binding ratios of caudate, anterior and posterior putamen, left and right: about twice the measured ones.
BINDING = {"control": [6.5, 6.5, 4.4, 4.4, 3.8, 3.8], "pd": [4.8, 4.0, 2.0, 1.4, 0.9, 0.5]}
OFFSETS = [-5.0, -1.5, 0.0, 3.0, 6.0]


@pytest.fixture(scope="module")
def head():
    return read_background()


@pytest.fixture(scope="module", params=BINDING)
def label(request):
    return request.param


@pytest.fixture(scope="module", params=OFFSETS)
def offset(request):
    return request.param


@pytest.fixture(scope="module")
def scan(head, phantom_params, label, offset):
    """Return a noisy scan that is perfectly registered, but for its vertical offset."""
    varying = ("registration_shift_sd_mm", "registration_rotation_sd_degrees")
    params = phantom_params.model_copy(update={**dict.fromkeys(varying, 0.0), "z_offset_voxels": offset})
    rng = np.random.default_rng(11)
    activity = build_head(draw_anatomy(params, rng), head).activity(np.array(BINDING[label]))
    data = acquire(activity, Acquisition("site", 9.0, 2e6, 1.0), 6.0, rng)
    return reorient(Volume(data, mni_affine()))


def test_every_flip_is_recognised_and_the_offset_found_once_it_is_undone(scan, offset):
    for flips in FLIPS:
        found = check_uprightness(uprighted(scan, flips))
        assert found.best == flips
        assert found.margin > 0.03
        assert max(found.correlations.values()) == found.correlations[flips] > 0.9
        assert found.z_offset_voxels == pytest.approx(offset, abs=0.5)


def test_left_and_right_cannot_be_told(scan):
    mirrored = Volume(scan.data[::-1], scan.affine)
    seen, seen_mirrored = check_uprightness(scan), check_uprightness(mirrored)
    assert seen_mirrored.best == seen.best == ""
    assert seen_mirrored.correlations[""] == pytest.approx(seen.correlations[""], abs=0.01)


def test_a_flip_undoes_itself_and_leaves_the_affine(rng):
    volume = Volume(rng.normal(size=(3, 4, 5)), mni_ras_affine())
    for flips in FLIPS:
        turned = uprighted(volume, flips)
        np.testing.assert_array_equal(turned.affine, volume.affine)
        np.testing.assert_array_equal(uprighted(turned, flips).data, volume.data)
    np.testing.assert_array_equal(uprighted(volume, "yz").data, volume.data[:, ::-1, ::-1])


def test_the_scale_does_not_matter(scan):
    louder = check_uprightness(Volume(scan.data * 1e-3 + 5, scan.affine))
    assert louder.correlations == pytest.approx(check_uprightness(scan).correlations, abs=1e-3)
