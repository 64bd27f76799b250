"""Text from outside never steers a terminal, forges a row, becomes a formula or a file of another scan."""

import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from datspect.io.tables import csv_cells
from datspect.text import cell, file_names, from_cell, in_figure, message, shown

HOSTILE = ["a\nb", "a\rb", "\x1b[2Jx", "a\0b", "a\tb", "\u202efdp.exe", "a\u2028b", "\u200b", "x$\\frac{$", "$$", "\\$"]
ALIKE = ["x.nii", "x.nii.gz", "X.NII", "a/b.nii", "a_b.nii", "a b.nii", ".nii", "..", "x-1.dcm"]


@given(st.text())
def test_what_is_shown_is_one_line_that_prints(text: str) -> None:
    found = shown(text)
    assert len(found.splitlines()) <= 1
    assert not any(ord(each) < 32 or each in "\x7f\u202e\u2028" for each in found)
    assert shown(found) == found


def test_what_prints_is_shown_as_it_is() -> None:
    assert shown("Zoë 1 – 脳 (2).nii") == "Zoë 1 – 脳 (2).nii"


def test_a_message_keeps_its_lines_and_is_never_a_flood() -> None:
    assert message("2 problems\n  a\x1bb") == "2 problems\n  a\\x1bb"
    assert len(message("x" * 10**7)) < 5000
    assert "9,996,000 characters" in message("x" * 10**7)


@given(st.text())
def test_a_cell_is_no_formula_and_is_given_back(text: str) -> None:
    assert not cell(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert from_cell(cell(text)) == text


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_csv_gives_every_text_back(text: str) -> None:
    written = csv_cells(pd.DataFrame({"scan_id": [text], "n": [-1.5]})).to_csv(index=False, lineterminator="\n")
    _, (said, number) = csv.reader(io.StringIO(written, newline=""))
    assert (from_cell(said), number) == (text, "-1.5")


@given(st.lists(st.sampled_from(ALIKE)))
def test_no_two_names_share_a_file(names: list[str]) -> None:
    found = file_names(names)
    assert len({name.casefold() for name in found}) == len(names)
    assert not any("/" in name or name.startswith(".") or not name for name in found)


@given(st.lists(st.text(max_size=300), max_size=8))
def test_any_names_become_files_that_a_system_takes(names: list[str]) -> None:
    found = file_names(names)
    assert len({name.casefold() for name in found}) == len(names)
    assert all(0 < len(f"{name}.png".encode()) < 200 and not set(name) & set("/\\\0\n") for name in found)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_is_a_formula_to_matplotlib(text: str) -> None:
    figure = Figure()
    written = figure.text(0.5, 0.5, in_figure(text))
    preprocessed, is_math = written._preprocess_math(written.get_text())  # type: ignore[attr-defined]
    assert is_math is False
    assert preprocessed == "\n".join(map(shown, text.split("\n")))
    figure.savefig(io.BytesIO())
