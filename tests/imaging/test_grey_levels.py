"""A scan in a handful of grey levels is refused, wherever they lie; ordinary ones and even ones pass."""

import numpy as np
import pytest

from datspect.errors import ScanError
from datspect.imaging.grey_levels import FEWEST, check_grey_levels

SHAPE = (17, 20, 19)


@pytest.mark.parametrize("n", [2, 5, FEWEST - 1])
@pytest.mark.parametrize("scale", [1, -0.25])
def test_fewer_levels_than_a_striatum_needs_are_counted_and_refused(rng, n, scale):
    data = rng.permutation(np.arange(np.prod(SHAPE)) % n).reshape(SHAPE) * scale + 7
    with pytest.raises(ScanError, match=f"only {n} grey levels, and at least {FEWEST}"):
        check_grey_levels(data)


def test_as_many_as_are_needed_pass_in_single_voxels_too():
    data = np.zeros(SHAPE, np.int16)
    data[1, 2, : FEWEST - 1] = np.arange(1, FEWEST)
    check_grey_levels(data)


def test_whether_a_volume_is_empty_is_not_asked_here():
    check_grey_levels(np.full(SHAPE, 3.0))
