import numpy as np
import pytest

from datspect.imaging.head_search import FLIPS
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.volume import Volume, mni_affine
from datspect.phantom.acquisition import Acquisition, acquire, build_camera, coarsened, stored_scan
from datspect.phantom.anatomy import build_head, draw_anatomy
from datspect.phantom.background import read_background
from datspect.phantom.binding import draw_person
from datspect.phantom.uprightness import check_uprightness, uprighted

# True binding ratios of caudate, anterior and posterior putamen, left and right: about twice the measured ones.
BINDING = {"control": [4.7, 4.7, 4.2, 4.2, 4.0, 4.0], "pd": [3.5, 3.0, 2.0, 1.4, 0.9, 0.5]}
OFFSETS = [-5.0, -1.5, 0.0, 3.0, 6.0]


@pytest.fixture(scope="module")
def head():
    return read_background()


@pytest.fixture(scope="module")
def camera(head):
    return build_camera(coarsened(head.uptake))


@pytest.fixture(scope="module", params=BINDING)
def label(request):
    return request.param


@pytest.fixture(scope="module", params=OFFSETS)
def offset(request):
    return request.param


@pytest.fixture(scope="module")
def scan(head, camera, phantom_params, label, offset):
    """Return a noisy scan that is perfectly registered, but for its vertical offset."""
    varying = ("registration_shift_sd_mm", "registration_rotation_sd_degrees")
    params = phantom_params.model_copy(update={**dict.fromkeys(varying, 0.0), "z_offset_voxels": offset})
    rng = np.random.default_rng(11)
    anatomy = draw_anatomy(params, draw_person(label, "typical", 0.0, rng), rng)
    activity = coarsened(build_head(anatomy, head).activity(np.array(BINDING[label])))
    acquisition = Acquisition("site", "osem_chang", 4, True, 6.0, 2e6, 1.0)
    image = acquire(activity, acquisition, camera, rng)
    return reorient(Volume(stored_scan(image, acquisition, anatomy.to_atlas), mni_affine()))


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
