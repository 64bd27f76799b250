"""Read the collection CSVs of a PPMI download, old and new, as one table of images."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from datspect.errors import ImportingError
from datspect.importing.commonest import commonest
from datspect.importing.ppmi_fields import (
    GROUP_NAMES,
    NO_PATIENTS,
    RECONSTRUCTED,
    UNKNOWN_GROUP,
    date_problem,
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
from datspect.importing.ppmi_rows import (
    NO_IMAGE_ID,
    NO_SUBJECT,
    LeftOutRow,
    day_first,
    exchanged_dates,
    mark_contradictions,
    place_text,
)
from datspect.io.delimited import read_delimited

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
    "place",
)
NAMES_OF_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "image_id": ("Image Data ID", "Image ID"),
    "subject": ("Subject", "Subject ID"),
    "group": ("Group", "Research Group"),
    "sex": ("Sex", "Gender"),
    "age": ("Age",),
    "visit": ("Visit", "Image Visit"),
    "modality": ("Modality", "Image Modality"),
    "description": ("Description", "Image Description"),
    "kind": ("Type", "Image Type"),
    "date": ("Acq Date", "Study Date", "Acquisition Date", "Image Date"),
}
"""Names of columns in exports of the archive, old and new; only their letters are compared."""
_OPTIONS = {"image_id": "image", "group": "label"}
_NEEDED_IN_EACH = ("image_id", "subject", "description", "date")


class Collection(NamedTuple):
    """`images`: a row an image with the columns `COLUMNS`; `left_out`: the rows that could not be used."""

    images: pd.DataFrame
    left_out: tuple[LeftOutRow, ...] = ()


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


def read_collection(
    paths: Sequence[Path],
    columns: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    description: str = RECONSTRUCTED,
    *,
    needs_group: bool = True,
) -> Collection:
    """Read every image that the CSVs list, once; what several CSVs say of it is joined.

    `columns` names columns, by the keys of `NAMES_OF_COLUMNS`; `labels` maps further spellings of groups, as
    `parse_labels` gives them; `description` is that of the wanted images. `needs_group`: some CSV must have the groups.

    In `images`, `image_id`: its digits alone. `group`: a label, "" if no CSV gives the subject's. `sex`: female, male
    or "". `age`: years, NaN if unknown. `visit`: SC, BL, V04, U01; N04 for number 4 of an old export, whose code is not
    known; "other" for anything else. `kind`: the archive's Type. `date`: a datetime.date, None if masked (year 9999).
    `left_out`: "" for a wanted image, else the reason; other fields are then not checked. `place`: CSV and row.

    Raises
    ------
    ImportingError : a CSV or column is missing, no row is of a wanted image, or dates have day and month exchanged.
    """
    rows = _joined(paths, columns or {}, needs_group=needs_group)
    rows["image_id"] = [parse_image_id(text) for text in rows["image_id"]]
    rows["subject"] = [parse_subject(text) for text in rows["subject"]]
    rows["left_out"] = [
        left_out_reason(modality, text, description)
        for modality, text in zip(rows["modality"], rows["description"], strict=True)
    ]
    wanted = rows[rows["left_out"] == ""].copy()
    if wanted.empty:
        raise ImportingError(_nothing_matches(rows, description))
    _refuse_day_first(wanted)
    _parse(wanted, labels or {})
    _refuse_exchanged(wanted)
    mark_contradictions(rows, wanted)
    others = rows[(rows["left_out"] != "") & (rows["image_id"] != "")]
    return _sorted_out(wanted, _unchecked(others, labels or {}))


def _joined(paths: Sequence[Path], asked: Mapping[str, str], *, needs_group: bool) -> pd.DataFrame:
    """Return all rows as text, columns named as in `COLUMNS`, and `place`: number of the CSV and row in it."""
    tables, problems, seen = [], [], set()
    for number, path in enumerate(paths, start=1):
        table = read_delimited(path, f"CSV {number}")
        found = {column: _find(table, column, asked) for column in NAMES_OF_COLUMNS}
        problems += [f"CSV {number}: {what}" for what in _missing(found, _NEEDED_IN_EACH)]
        seen |= {name for name in found.values() if name is not None}
        seen |= {column for column, name in found.items() if name is not None}
        columns = {
            column: table[name] if name else (None if column == "modality" else "") for column, name in found.items()
        }
        tables.append(pd.DataFrame(columns | {"place": [(number, row) for row in table.index]}, index=table.index))
    there = {name.casefold() for name in seen}
    problems += [
        f"no CSV has the column named by --{_option(column)}-column"
        for column, name in asked.items()
        if name.casefold() not in there
    ]
    if needs_group and "group" not in seen:
        problems.append(
            "no CSV has the column(s) Group; add the CSV of the collection, name the column with --label-column, or "
            "add the table of participants' status with --status"
        )
    if problems:
        raise ImportingError("\n  ".join(["the collection CSVs are not as they must be:", *problems]))
    return pd.concat(tables, ignore_index=True)


def _missing(found: Mapping[str, str | None], needed: Sequence[str]) -> list[str]:
    missing = [column for column in needed if found[column] is None]
    if not missing:
        return []
    names = ", ".join(NAMES_OF_COLUMNS[column][0] for column in missing)
    options = ", ".join(f"--{_option(column)}-column" for column in missing)
    return [f"column(s) missing: {names}; name them with {options}, or see whether it is the table of the collection"]


def _option(column: str) -> str:
    return _OPTIONS.get(column, column)


def _find(table: pd.DataFrame, column: str, asked: Mapping[str, str]) -> str | None:
    """Return the name of a column in a table: the one that the user named, else one that the archive uses."""
    names = list(map(str, table.columns))
    if column in asked:
        named = next((name for name in names if name.casefold() == asked[column].casefold()), None)
        if named is not None:
            return named
    by_letters = {letters(name): name for name in reversed(names)}
    known = (letters(name) for name in NAMES_OF_COLUMNS[column])
    return next((by_letters[name] for name in known if name in by_letters), None)


def _nothing_matches(rows: pd.DataFrame, description: str) -> str:
    people = list(rows["subject"])
    modalities = [text if text is not None else "not listed" for text in rows["modality"]]
    return (
        f"no row of the CSV(s) lists a scan of modality SPECT described as {description!r}; the commonest modality is "
        f"{commonest(modalities, people)}, the commonest description {commonest(list(rows['description']), people)}; "
        "say how the scans are described with --description, name the columns with --modality-column and "
        "--description-column, or add the CSV of their collection"
    )


def _parse(wanted: pd.DataFrame, labels: Mapping[str, str]) -> None:
    """Replace text by values; note why a row is of no use in `left_out`, its first possible day in `earliest`."""
    wanted["group"] = pd.Series([parse_group(text, labels) for text in wanted["group"]], wanted.index, dtype="object")
    wanted["sex"] = [parse_sex(text) for text in wanted["sex"]]
    wanted["age"] = pd.Series([parse_age(text) for text in wanted["age"]], wanted.index, dtype="float64")
    wanted["visit"] = [parse_visit(text) for text in wanted["visit"]]
    dates, reasons, earliest = [], [], []
    for text in wanted["date"]:
        date, reason, first = _date(text)
        dates.append(date)
        reasons.append(reason)
        earliest.append(first)
    wanted["date"] = pd.Series(dates, wanted.index, dtype="object")
    wanted["earliest"] = pd.Series(earliest, wanted.index, dtype="object")
    wanted["left_out"] = reasons
    for reason, applies in (
        (UNKNOWN_GROUP, [group is None for group in wanted["group"]]),
        (NO_SUBJECT, wanted["subject"] == ""),
        (NO_IMAGE_ID, wanted["image_id"] == ""),
    ):
        wanted.loc[applies, "left_out"] = reason


def _date(text: str) -> tuple[datetime.date | None, str, datetime.date]:
    """Return the day, None if masked or unreadable; what is wrong with it; and the earliest day that it may mean."""
    try:
        day = parse_date(text)
    except ValueError:
        return None, *date_problem(text)
    return day, "", day or datetime.date.min


def _refuse_day_first(wanted: pd.DataFrame) -> None:
    if places := day_first(wanted):
        raise ImportingError(
            f"dates have the day before the month: {place_text(places)}; a spreadsheet may have saved the CSV with the "
            "dates of another country: download it anew, or write all its dates as year-month-day"
        )


def _refuse_exchanged(wanted: pd.DataFrame) -> None:
    if places := exchanged_dates(wanted):
        raise ImportingError(
            f"two rows of one image have dates with day and month exchanged: {place_text(places)}; a spreadsheet may "
            "have saved a CSV with the dates of another country: download it anew, or write dates as year-month-day"
        )


def _unchecked(others: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return the images that are left out, with the subject's group if known, and no field that would need a check."""
    groups = [parse_group(text, labels) or "" for text in others["group"]]
    return others.assign(group=groups, sex="", age=float("nan"), visit="", date=None)


def _sorted_out(wanted: pd.DataFrame, others: pd.DataFrame) -> Collection:
    """Return the images; a row that cannot be used leaves out its image unless another row lists the image well."""
    is_good = wanted["left_out"] == ""
    good, bad = wanted[is_good], wanted[~is_good]
    if good.empty:
        raise ImportingError(_nothing_usable(bad))
    lost = bad[~bad["image_id"].isin(set(good["image_id"])) & (bad["image_id"] != "")]
    fields = ("place", "subject", "image_id", "left_out", "earliest")
    rows = tuple(
        LeftOutRow(place_text([place]), *rest) for place, *rest in zip(*(bad[name] for name in fields), strict=True)
    )
    lost = lost.assign(group=[group or "" for group in lost["group"]], date=None)
    return Collection(_collapsed(pd.concat([good, lost, others], ignore_index=True)), rows)


def _nothing_usable(bad: pd.DataFrame) -> str:
    lines = [f"{reason}: {place_text(list(rows['place']))}" for reason, rows in bad.groupby("left_out", sort=False)]
    return "\n  ".join(["no row of a reconstructed DaTSCAN in the collection CSVs can be used; mend them:", *lines])


def _collapsed(images: pd.DataFrame) -> pd.DataFrame:
    """Return a row an image with the first filled value of each field; a subject has one group and sex for all rows."""
    images = images.sort_values("visit", key=lambda visits: visits.astype(str).str.match("N[0-9]"), kind="stable")
    places = images.groupby("image_id")["place"].min().map(lambda place: place_text([place]))
    filled = images.drop(columns="place").astype({"age": "object"}).replace("", None)
    for column in ("group", "sex"):
        filled[column] = filled.groupby("subject")[column].transform("first")
    single: pd.DataFrame = filled.groupby("image_id", sort=True, as_index=False).first()
    single["place"] = single["image_id"].map(places)
    text = [column for column in COLUMNS if column not in ("age", "date")]
    single[text] = single[text].astype("object").where(single[text].notna(), "")
    single["date"] = single["date"].astype("object").where(single["date"].notna(), None)
    single["age"] = single["age"].astype("float64")
    return single[list(COLUMNS)]
