import numpy as np
import pytest

from datspect.imaging.quantification import measure_binding
from datspect.phantom.acquisition import Acquisition, acquire, coarsened, stored_scan
from datspect.phantom.anatomy import build_head, draw_anatomy
from datspect.phantom.binding import MEASURED
from datspect.phantom.recovery import Recovery, head_recovery, mean_recovery

CAMERA = Acquisition("site01", "osem_chang", 4, True, 6.0, 2e6, 1.0)
HEALTHY = np.array([3.0, 2.8, 2.4, 2.2, 1.7, 1.6])


def test_a_scan_without_noise_measures_about_what_the_matrix_says(
    laboratory, phantom_params, plain_head, healthy, camera, rng
):
    anatomy = draw_anatomy(phantom_params, healthy, rng)
    head = build_head(anatomy, plain_head)
    recovery = head_recovery(head, anatomy.to_atlas, CAMERA, camera, laboratory.regions)
    true = np.array([4.5, 4.0, 3.5, 3.0, 3.0, 2.0])
    scan = stored_scan(acquire(coarsened(head.activity(true)), CAMERA, camera, None), CAMERA, anatomy.to_atlas)
    measured = measure_binding(scan, laboratory.regions)
    expected = recovery.matrix @ true + recovery.offset
    assert [measured[name] for name in MEASURED] == pytest.approx(expected, abs=0.08)


def test_partial_volume_leaves_half_of_the_specific_signal(laboratory):
    recovered = laboratory.recovery.matrix.sum(axis=1)
    assert (recovered > 0.3).all()
    assert (recovered < 0.8).all()


def test_left_and_right_recover_alike(laboratory):
    matrix = laboratory.recovery.matrix
    other_side = [1, 0, 3, 2, 5, 4]
    np.testing.assert_allclose(matrix, matrix[np.ix_(other_side, other_side)], atol=0.06)


def test_true_binding_undoes_partial_volume(laboratory):
    recovery = laboratory.recovery
    true = recovery.true_binding(HEALTHY)
    np.testing.assert_allclose(recovery.matrix @ true + recovery.offset, HEALTHY, atol=1e-9)
    assert (true > HEALTHY).all()


def test_true_binding_is_never_negative(laboratory):
    assert (laboratory.recovery.true_binding(np.full(6, -0.5)) == 0).all()


def test_the_mean_of_two_recoveries_lies_between_them_as_they_weigh():
    one, two = (Recovery(np.full((6, 6), value), np.full(6, value)) for value in (1.0, 3.0))
    mean = mean_recovery([one, two], np.array([3.0, 1.0]))
    assert (mean.matrix == 1.5).all()
    assert (mean.offset == 1.5).all()
