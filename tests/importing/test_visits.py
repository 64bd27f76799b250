"""The order of visits is told or not told, never guessed; no date is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datspect.importing.visits import in_order, written_visit


@pytest.mark.parametrize(
    ("visits", "ordered"),
    [
        (["V10", "V04", "SC", "BL"], ["SC", "BL", "V04", "V10"]),
        (["10", "9", "1"], ["1", "9", "10"]),
        (["2014-02-01", "2012-08-14"], ["2012-08-14", "2014-02-01"]),
        (["20140201", "20120814"], ["20120814", "20140201"]),
        (["M24", "baseline", "m12"], ["baseline", "m12", "M24"]),
        (["whatever"], ["whatever"]),
        ([], []),
    ],
)
def test_visits_come_in_the_order_of_time(visits: list[str], ordered: list[str]) -> None:
    order = in_order(visits)
    assert order is not None
    assert [visits[place] for place in order] == ordered


@pytest.mark.parametrize(
    "visits",
    [
        ["V04", "M12"],
        ["first", "second"],
        ["3/2/2014", "8/14/2012"],
        ["1", "2014-02-01"],
        ["1", "01"],
        ["", "1"],
        ["2014-13-01", "2014-01-01"],
    ],
)
def test_visits_of_two_kinds_or_of_an_unknown_one_have_no_order(visits: list[str]) -> None:
    assert in_order(visits) is None


@given(st.lists(st.integers(0, 999), unique=True, min_size=1), st.sampled_from(["", "V", "m", "visit-"]))
def test_numbered_visits_are_ordered_by_their_number(numbers: list[int], prefix: str) -> None:
    order = in_order([f"{prefix}{number}" for number in numbers])
    assert order is not None
    assert [numbers[place] for place in order] == sorted(numbers)


@pytest.mark.parametrize("code", ["SC", "BL", "V04", "M12", "1", "U01", "12m"])
def test_a_short_code_is_kept(code: str) -> None:
    assert written_visit(code, 3) == code


@pytest.mark.parametrize("text", ["2012-08-14", "20120814", "8/14/2012", "St Elsewhere", "DOE", "120814", "Smith12"])
def test_whatever_may_be_a_date_or_a_name_becomes_a_number(text: str) -> None:
    assert written_visit(text, 3) == "visit3"
