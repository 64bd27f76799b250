"""Visits have the order in which they were, whatever the number of their digits."""

import pytest

from datspect.cohort.visits import visit_places


@pytest.mark.parametrize(
    "in_order",
    [
        ("SC", "BL", "V2", "V10"),
        ("screening", "Baseline", "month 6", "month 12"),
        ("2", "10", "100"),
        ("", "V01"),
        ("2019-09-30", "2019-10-01"),
        ("M6", "m12", "M18"),
        ("V2a", "V2b", "V2b2", "V2b10"),
    ],
)
def test_visits_are_sorted_as_a_person_would(in_order: tuple[str, ...]) -> None:
    assert visit_places(reversed(in_order)) == [*reversed(range(len(in_order)))]


def test_scans_of_one_visit_have_one_place_and_other_spellings_do_not_disturb_the_rest() -> None:
    assert visit_places(["V2", "V1", "V2"]) == [1, 0, 1]
    assert visit_places(["v1", "V1", "V01", "V2"]) == [2, 1, 0, 3]


def test_no_visit_has_no_place() -> None:
    assert visit_places([]) == []
