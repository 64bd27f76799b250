"""The commonest texts of a column are shown, and none that may name a person."""

import pytest

from datspect.importing.commonest import commonest


@pytest.mark.parametrize(
    ("values", "people", "said"),
    [
        (["MRI", "MRI", "CT"], "abc", "'MRI' (2 rows), 'CT' (1 row)"),
        (["Jane Doe", "MRI"], "ab", "'MRI' (1 row), others (1 row)"),
        (["Jane Doe"] * 3, "aaa", "others (3 rows)"),
        (["Somewhat usual"] * 3, "abc", "'Somewhat usual' (3 rows)"),
        (["3000", "3000", "3001"], ["3000", "3000", "3001"], "others (3 rows)"),
        (["1947-03-16", "2"], "ab", "'2' (1 row), others (1 row)"),
        (["1.0", "0.0", "1.0"], "abc", "'1.0' (2 rows), '0.0' (1 row)"),
        (["a\x1b[2J"] * 4, "abcd", "'a\\\\x1b[2J' (4 rows)"),
        ([], "", "nothing"),
        (["CT", "MR", "PT", "NM", "NM"], "abcde", "'NM' (2 rows), 'CT' (1 row), 'MR' (1 row), others (1 row)"),
    ],
)
def test_texts_that_name_nobody_are_quoted_with_their_numbers(values: list[str], people: list[str], said: str) -> None:
    assert commonest(values, list(people)) == said
