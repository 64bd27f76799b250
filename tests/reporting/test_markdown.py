"""Text stays text, tables stay tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from datspect.reporting.markdown import escape, markdown_table

PARSER = MarkdownIt("commonmark").enable("table").enable("strikethrough")
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1)


def cells(markdown: str) -> list[str]:
    """Return the contents of all cells as a reader gets them; anything but text in a cell is an error."""
    found = []
    for token in PARSER.parse(markdown):
        if token.type == "inline":
            assert {child.type for child in token.children or []} <= {"text", "text_special"}
            found.append("".join(child.content for child in token.children or []))
    return found


@given(TEXT, TEXT)
def test_any_text_comes_out_of_a_table_as_it_went_in(first: str, second: str) -> None:
    rows = [["left", "right"], [first, second]]
    assert cells(markdown_table(rows)) == ["left", "right", " ".join(first.split()), " ".join(second.split())]


@pytest.mark.parametrize("text", ["<b>", "a|b", "\\|", "&lt;", "**x**", "[a](b)", "`x`", "~~x~~", "a\n\n# b"])
def test_markup_in_text_is_no_markup(text: str) -> None:
    assert cells(markdown_table([["head"], [text]]))[1] == " ".join(text.split())


def test_plain_text_is_left_as_it_is() -> None:
    assert escape("P(PD) 0.9408 (0.9201 to 0.9564), site-12") == "P(PD) 0.9408 (0.9201 to 0.9564), site-12"


def test_text_stands_left_and_numbers_right() -> None:
    lines = markdown_table([["name", "n"], ["a", "10"], ["longer", "5"]]).splitlines()
    assert lines == ["| name   |   n |", "|--------|----:|", "| a      |  10 |", "| longer |   5 |"]
