"""Read the collection CSVs of a PPMI download, old and new, as one table of images."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from datspect.errors import ImportingError
from datspect.importing.plan import TOP_AGE_YEARS
from datspect.importing.ppmi_fields import (
    GROUP_NAMES,
    NO_PATIENTS,
    OLDEST_YEARS,
    group_label,
    left_out_reason,
    letters,
    parse_age,
    parse_date,
    parse_group,
    parse_image_id,
    parse_sex,
    parse_subject,
    parse_visit,
)
from datspect.io.delimited import read_delimited, row_list

COLUMNS = (
    "image_id",
    "subject",
    "group",
    "sex",
    "age",
    "visit",
    "modality",
    "description",
    "kind",
    "date",
    "left_out",
)
_NAMES_OF_COLUMNS = {
    "image_id": ("Image Data ID", "Image ID"),
    "subject": ("Subject", "Subject ID"),
    "group": ("Group", "Research Group"),
    "sex": ("Sex", "Gender"),
    "age": ("Age",),
    "visit": ("Visit",),
    "modality": ("Modality",),
    "description": ("Description",),
    "kind": ("Type",),
    "date": ("Acq Date", "Study Date", "Acquisition Date"),
}
_NEEDED_IN_EACH = ("image_id", "subject", "modality", "description", "date")
_NEEDED_IN_ONE = ("group", "sex", "age", "visit")
_SAME_AGE_YEARS = 1.0
"""Exports round ages differently; ages further apart contradict each other."""

Places = dict[str, list[tuple[int, int]]]
"""From what is wrong to (number of the CSV, row in it)."""


def parse_groups(text: str) -> tuple[str, ...]:
    """Return labels of groups named as in the archive, joined by commas; case, spaces and underscores do not matter.

    Raises
    ------
    ImportingError : a group is unknown, or is one that is never imported.
    """
    labels: list[str] = []
    for name in filter(None, map(str.strip, text.split(","))):
        label = group_label(name)
        if label in NO_PATIENTS:
            raise ImportingError(f"--groups: {label} is no group of patients or controls and is never imported")
        if label is None:
            raise ImportingError(f"--groups: unknown group {name!r}; expected some of {', '.join(GROUP_NAMES)}")
        labels.append(label)
    if not labels:
        raise ImportingError(f"--groups: no group named; expected some of {', '.join(GROUP_NAMES)}")
    return tuple(dict.fromkeys(labels))


def read_collection(paths: Sequence[Path]) -> pd.DataFrame:
    """Read every image that the CSVs list, once, with the columns `COLUMNS`; what several CSVs say of it is joined.

    `image_id`: its digits alone. `group`: a label, "" if no CSV gives the subject's. `sex`: female, male or "".
    `age`: years, NaN if unknown. `visit`: SC, BL, V04, U01; N04 for number 4 of an old export, whose code is not
    known; "other" for anything else. `kind`: the archive's Type. `date`: a datetime.date, None if masked (year 9999).
    `left_out`: "" for a reconstructed DaTSCAN, else the reason; its other fields are then not checked.

    Raises
    ------
    ImportingError : a CSV or column is missing, a field unreadable, or rows contradict each other; all at once, by the
        numbers of CSVs and rows.
    """
    images = _joined(paths)
    images["image_id"] = [parse_image_id(text) for text in images["image_id"]]
    images["subject"] = [parse_subject(text) for text in images["subject"]]
    images["left_out"] = [left_out_reason(*row) for row in zip(images["modality"], images["description"], strict=True)]
    wanted = images[images["left_out"] == ""].copy()
    problems: Places = defaultdict(list)
    _parse(wanted, problems)
    _find_contradictions(images, wanted, problems)
    if problems:
        raise ImportingError(_message(problems))
    return _collapsed(pd.concat([wanted, _others(images)], ignore_index=True))


def _joined(paths: Sequence[Path]) -> pd.DataFrame:
    """Return all rows as text, columns named as in `COLUMNS`, and `place`: number of the CSV and row in it."""
    tables, problems, seen = [], [], set()
    for number, path in enumerate(paths, start=1):
        table = read_delimited(path, f"CSV {number}")
        found = {column: _find(table, names) for column, names in _NAMES_OF_COLUMNS.items()}
        missing = [_NAMES_OF_COLUMNS[column][0] for column in _NEEDED_IN_EACH if found[column] is None]
        problems += [f"CSV {number}: column(s) missing: {', '.join(missing)}"] if missing else []
        seen |= {column for column, name in found.items() if name is not None}
        columns = {column: table[name] if name else "" for column, name in found.items()}
        tables.append(pd.DataFrame(columns | {"place": [(number, row) for row in table.index]}, index=table.index))
    nowhere = [_NAMES_OF_COLUMNS[column][0] for column in _NEEDED_IN_ONE if column not in seen]
    problems += [f"no CSV has the column(s) {', '.join(nowhere)}; add the CSV of the collection"] if nowhere else []
    if problems:
        raise ImportingError("\n  ".join(["the collection CSVs are not as they must be:", *problems]))
    return pd.concat(tables, ignore_index=True)


def _find(table: pd.DataFrame, names: Sequence[str]) -> str | None:
    by_letters = {letters(str(column)): str(column) for column in reversed(list(table.columns))}
    return next((by_letters[letters(name)] for name in names if letters(name) in by_letters), None)


def _parse(wanted: pd.DataFrame, problems: Places) -> None:
    """Replace text by values; note the rows where that cannot be done."""
    parsers: dict[str, tuple[Callable[[str], Any], str]] = {
        "group": (parse_group, f"the group is none of {', '.join(GROUP_NAMES)}, Phantom, Volunteer"),
        "sex": (parse_sex, "the sex is none of M, F, Male, Female"),
        "age": (parse_age, f"the age is no number of years up to {OLDEST_YEARS}"),
        "date": (parse_date, "the date is neither month/day/year nor year-month-day"),
        "visit": (parse_visit, ""),
    }
    for column, what in (("image_id", "the image id is no number"), ("subject", "the subject is missing")):
        _note(problems, what, wanted["place"][wanted[column] == ""])
    for column, (parse, what) in parsers.items():
        values: list[Any] = []
        for place, text in zip(wanted["place"], wanted[column], strict=True):
            try:
                values.append(parse(text))
            except ValueError:
                _note(problems, what, [place])
                values.append(None)
        wanted[column] = pd.Series(values, wanted.index, dtype="float64" if column == "age" else "object")


def _others(images: pd.DataFrame) -> pd.DataFrame:
    """Return the images that are left out, with the subject's group if known, and no field that would need a check."""
    others = images[(images["left_out"] != "") & (images["image_id"] != "")]
    groups = [group_label(text) or "" for text in others["group"]]
    return others.assign(group=groups, sex="", age=float("nan"), visit="", date=None)


def _find_contradictions(images: pd.DataFrame, wanted: pd.DataFrame, problems: Places) -> None:
    listed_elsewhere = set(images["image_id"][images["left_out"] != ""])
    both = wanted["image_id"].isin(listed_elsewhere) & (wanted["image_id"] != "")
    _note(problems, "an image is listed as a reconstructed DaTSCAN and as something else", wanted["place"][both])
    single = (("image_id", "subject"), ("image_id", "date"), ("subject", "group"), ("subject", "sex"))
    for whose, column in single:
        known = wanted[wanted[column].notna() & (wanted[column] != "") & (wanted[whose] != "")]
        differ = known.groupby(whose)[column].transform("nunique") > 1
        article = "one image has" if whose == "image_id" else "one subject has"
        _note(problems, f"{article} two values of {_NAMES_OF_COLUMNS[column][0]}", known["place"][differ])
    ages = wanted[wanted["age"].notna() & (wanted["image_id"] != "")].assign(
        age=wanted["age"].clip(upper=TOP_AGE_YEARS)
    )
    by_image = ages.groupby("image_id")["age"]
    apart = by_image.transform("max") - by_image.transform("min") > _SAME_AGE_YEARS
    _note(problems, "one image has two values of Age", ages["place"][apart])


def _collapsed(images: pd.DataFrame) -> pd.DataFrame:
    """Return a row an image with the first filled value of each field; a subject has one group and sex for all rows."""
    images = images.sort_values("visit", key=lambda visits: visits.astype(str).str.match("N[0-9]"), kind="stable")
    filled = images.astype({"age": "object"}).replace("", None)
    for column in ("group", "sex"):
        filled[column] = filled.groupby("subject")[column].transform("first")
    single = filled.groupby("image_id", sort=True, as_index=False).first()
    text = [column for column in COLUMNS if column not in ("age", "date")]
    single[text] = single[text].astype("object").where(single[text].notna(), "")
    single["date"] = single["date"].astype("object").where(single["date"].notna(), None)
    single["age"] = single["age"].astype("float64")
    return single[list(COLUMNS)]


def _message(problems: Places) -> str:
    lines = []
    for what, places in problems.items():
        by_table: dict[int, list[int]] = defaultdict(list)
        for table, row in places:
            by_table[table].append(row)
        where = "; ".join(f"CSV {table} {row_list(rows)}" for table, rows in sorted(by_table.items()))
        lines.append(f"{what}: {where}")
    return "\n  ".join(["the collection CSVs cannot be used; mend or leave out these rows:", *lines])


def _note(problems: Places, what: str, places: Any) -> None:
    if len(places):
        problems[what].extend(places)
