"""Read and write tables as CSV: text that repeats byte for byte and gives every number back."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from datspect.errors import CohortError
from datspect.io.atomic import replacing
from datspect.text import cell, from_cell

TEXT_COLUMNS = ("scan_id", "subject_id", "label", "sex", "site", "visit", "role", "flags", "reason", "sha256")
"""Columns that are read as text whatever they look like: 007 is an id, NA a site."""


def read_table(path: Path, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Read a CSV file; `TEXT_COLUMNS` stay text (empty is ""), an empty field elsewhere is NaN.

    Raises
    ------
    CohortError : the file is missing, is not a table, or lacks one of `columns`.
    """
    try:
        table: pd.DataFrame = pd.read_csv(path, **_reading(pd.read_csv(path, nrows=0, encoding="utf-8").columns))
    except FileNotFoundError:
        raise CohortError(f"{path}: not found; run the stage that writes it (dvc repro)") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CohortError(f"{path}: not a readable CSV table ({type(error).__name__})") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise CohortError(f"{path}: column(s) missing: {', '.join(missing)}; found {', '.join(table.columns)}")
    texts = [column for column in TEXT_COLUMNS if column in table.columns]
    return table.assign(**{column: table[column].map(from_cell) for column in texts})


def write_table(path: Path, table: pd.DataFrame, sep: str = ",") -> None:
    """Write a CSV file in UTF-8 without the index; numbers have the fewest digits that give them back."""
    with replacing(path) as unfinished:
        csv_cells(table).to_csv(unfinished, sep=sep, index=False, encoding="utf-8", lineterminator="\n")


def csv_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with texts that no spreadsheet takes for formulas; `read_table` gives them back."""
    texts = [column for column in table.columns if not pd.api.types.is_numeric_dtype(table[column])]
    kept = {name: table[name].map(lambda value: cell(value) if isinstance(value, str) else value) for name in texts}
    return table.assign(**kept)


def _reading(columns: Iterable[str]) -> dict[str, Any]:
    # An empty field is a missing value in a number column, but an empty text in a text column.
    return {
        "dtype": dict.fromkeys(TEXT_COLUMNS, str),
        "keep_default_na": False,
        "na_values": {column: [""] for column in columns if column not in TEXT_COLUMNS},
        "encoding": "utf-8",
    }
