import numpy as np
import pytest

from datspect.imaging.quantification import measure_binding
from datspect.phantom.acquisition import Acquisition, blur
from datspect.phantom.anatomy import build_head, draw_anatomy
from datspect.phantom.binding import MEASURED
from datspect.phantom.recovery import Recovery, head_recovery, mean_recovery

CAMERA = Acquisition("site01", 9.0, 2e6, 1.0)
FILTER_MM = 6.0
HEALTHY = np.array([3.0, 2.8, 2.4, 2.2, 1.9, 1.8])


def test_a_scan_without_noise_measures_what_the_matrix_says(laboratory, phantom_params, plain_head, rng):
    head = build_head(draw_anatomy(phantom_params, rng), plain_head)
    recovery = head_recovery(head, CAMERA, FILTER_MM, laboratory.regions)
    true = np.array([7.0, 6.0, 4.0, 3.5, 4.0, 2.0])
    measured = measure_binding(blur(head.activity(true), np.hypot(9.0, 6.0)), laboratory.regions)
    expected = recovery.matrix @ true + recovery.offset
    assert [measured[name] for name in MEASURED] == pytest.approx(expected, abs=0.01)


def test_partial_volume_leaves_half_of_the_specific_signal(laboratory):
    recovered = laboratory.recovery.matrix.sum(axis=1)
    assert (recovered > 0.42).all()
    assert (recovered < 0.68).all()


def test_left_and_right_recover_alike(still_params, plain_head, laboratory, rng):
    matrix = head_recovery(
        build_head(draw_anatomy(still_params, rng), plain_head), CAMERA, 6.0, laboratory.regions
    ).matrix
    other_side = [1, 0, 3, 2, 5, 4]
    np.testing.assert_allclose(matrix, matrix[np.ix_(other_side, other_side)], atol=0.005)


def test_true_binding_undoes_partial_volume(laboratory):
    recovery = laboratory.recovery
    true = recovery.true_binding(HEALTHY)
    np.testing.assert_allclose(recovery.matrix @ true + recovery.offset, HEALTHY, atol=1e-9)
    assert (true > HEALTHY).all()


def test_true_binding_is_never_negative(laboratory):
    assert (laboratory.recovery.true_binding(np.full(6, -0.5)) == 0).all()


def test_the_mean_of_two_recoveries_lies_between_them():
    one, two = (Recovery(np.full((6, 6), value), np.full(6, value)) for value in (1.0, 3.0))
    mean = mean_recovery([one, two])
    assert (mean.matrix == 2).all()
    assert (mean.offset == 2).all()
