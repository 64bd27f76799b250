import numpy as np
import pytest
from nibabel.affines import apply_affine

from datspect.phantom.body import Body, draw_body, with_body

BODY = Body(0.5, {"parotid_left": 2.0, "parotid_right": 3.0, "submandibular_left": 1.0, "submandibular_right": 1.5})
AFFINE = np.array([[4.0, 0, 0, -200], [0, 4, 0, -160], [0, 0, 4, -320], [0, 0, 0, 1]])
SHAPE = (101, 81, 105)


def value_at(activity, mm):
    return float(activity[tuple(np.rint(apply_affine(np.linalg.inv(AFFINE), mm)).astype(int))])


@pytest.fixture(scope="module")
def body():
    return with_body(np.full(SHAPE, 0.9, dtype=np.float32), BODY, AFFINE, AFFINE)


def test_glands_take_up_what_was_drawn_on_their_own_side(body):
    assert value_at(body, (47, -10, -62)) == pytest.approx(3.0, abs=0.01)
    assert value_at(body, (-47, -10, -62)) == pytest.approx(2.0, abs=0.01)
    assert value_at(body, (-27, 10, -98)) == pytest.approx(1.0, abs=0.01)


def test_the_head_stays_as_it_is_above_its_lowest_slice(body):
    np.testing.assert_allclose(body[:, :, 73:], 0.9, rtol=1e-6)  # z of -28 mm and above


def test_shoulders_are_wider_than_the_neck(body):
    neck, shoulders = (int((body[:, :, index] > 0.1).any(axis=1).sum()) for index in (45, 15))  # -140 and -260 mm
    assert 100 < 4 * neck < 140
    assert 4 * shoulders > 380
    assert value_at(body, (0, -30, -140)) == pytest.approx(0.5)


def test_drawn_glands_hold_one_to_three_times_the_occipital_uptake():
    bodies = [draw_body(np.random.default_rng(seed)) for seed in range(200)]
    parotids = np.array([[body.glands["parotid_left"], body.glands["parotid_right"]] for body in bodies])
    assert 1 < np.median(parotids) < 3
    assert np.abs(np.log(parotids[:, 0] / parotids[:, 1])).max() < 0.8
    assert max(body.tissue for body in bodies) < 1
