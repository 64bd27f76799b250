import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datspect.errors import ScanError
from datspect.imaging.stacking import stacked

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
TILTED = (1.0, 0.0, 0.0, 0.0, 0.8, 0.6)


def positions(n=8, spacing=2.5, orientation=AXIAL, first=(-100.0, 40.0, 30.0)):
    normal = np.cross(orientation[:3], orientation[3:])
    return [tuple(np.add(first, number * spacing * normal)) for number in range(n)]


@given(st.permutations(range(8)), st.sampled_from([AXIAL, TILTED, (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)]))
def test_slices_in_any_order_are_put_along_the_normal(order, orientation):
    straight = positions(orientation=orientation)
    stack = stacked([straight[number] for number in order], orientation)
    np.testing.assert_array_equal(np.array(order)[stack.order], range(8))
    assert stack.spacing_mm == pytest.approx(2.5)
    assert stack.position_mm == straight[0]


def test_without_an_orientation_slices_are_axial():
    assert stacked(positions()[::-1], None).order.tolist() == list(range(8))[::-1]


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        (positions()[:3] + positions()[4:], r"missing: 2.5 mm lie between most of the 7 slices, 5 mm between number 3"),
        ([*positions(), positions()[3]], "1 of 9 slices lie where another does"),
        (positions() + positions(), "8 of 16 slices lie where another does"),
        ([(*each[:2], 5.0) for each in positions()], "7 of 8 slices lie where another does"),
        ([(3.0 * number, 0.0, 2.5 * number) for number in range(8)], "21.0 mm beside one another"),
        (positions()[:1], "two or more slices"),
        ([], "two or more slices"),
        ([(0.0, 0.0), (0.0, 1.0)], "three numbers"),
        ([(0.0, 0.0, 0.0), (0.0, 0.0, float("nan"))], "three numbers"),
    ],
)
def test_what_is_no_stack_is_refused_by_what_it_is(places, reason):
    with pytest.raises(ScanError, match=reason):
        stacked(places, AXIAL)


def test_rounding_in_a_header_is_no_gap():
    rounded = [tuple(np.round(each, 1)) for each in positions(spacing=2.46)]
    assert stacked(rounded, AXIAL).spacing_mm == pytest.approx(2.46, abs=0.01)
