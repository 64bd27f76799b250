"""Parameters as text are compared by value."""

import pytest

from datspect.tracking.labels import same_value


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("1", "1.0", True),
        ("1e-06", "0.000001", True),
        ("[40, 41]", "[40,41]", True),
        ("true", "1", False),
        ("null", "none", False),
        ("step", "step", True),
        ("0.5", "0.3", False),
    ],
)
def test_values_are_equal_however_they_are_written(first: str, second: str, same: bool) -> None:
    assert same_value(first, second) is same_value(second, first) is same
