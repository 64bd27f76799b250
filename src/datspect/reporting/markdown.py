"""Write text and tables as Markdown, in which text from data stays text."""

import re
from collections.abc import Sequence

_SPECIAL = re.compile(r"([\\`*_\[\]<|&~$])")


def escape(text: str) -> str:
    """Return `text` on one line, every character that Markdown or HTML would read as markup taken literally."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def markdown_table(rows: Sequence[Sequence[str]], n_text_columns: int = 1) -> str:
    """Return a table whose first row is its head; cells are plain text and are escaped here.

    The first `n_text_columns` columns are aligned to the left, the others, numbers, to the right.
    """
    cells = [[escape(cell) for cell in row] for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    is_text = [index < n_text_columns for index in range(len(widths))]
    head, *body = (_line(row, widths, is_text) for row in cells)
    rules = ["-" * (width + 1) + ("-" if left else ":") for width, left in zip(widths, is_text, strict=True)]
    return "\n".join([head, f"|{'|'.join(rules)}|", *body])


def _line(cells: Sequence[str], widths: Sequence[int], is_text: Sequence[bool]) -> str:
    columns = zip(cells, widths, is_text, strict=True)
    return "| " + " | ".join(cell.ljust(width) if left else cell.rjust(width) for cell, width, left in columns) + " |"
