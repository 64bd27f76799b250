"""Find rows of the collection CSVs that contradict each other, and keep account of those that cannot be used."""

import datetime
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from datspect.importing.plan import TOP_AGE_YEARS
from datspect.importing.ppmi_fields import is_day_first, is_month_first
from datspect.io.delimited import row_list

NO_IMAGE_ID = "its row has no image id that is a number; complete it"
NO_SUBJECT = "its row names no subject; complete it"
ALSO_SOMETHING_ELSE = "its image is listed as a reconstructed DaTSCAN and as something else; keep the right row"
TWO_AGES = "its image has two values of Age; keep the right row"
_SEVERAL = 2
_SAME_AGE_YEARS = 1.0
"""Exports round ages differently; ages further apart contradict each other."""

Place = tuple[int, int]
"""Number of the CSV, and row in it."""


@dataclass(frozen=True)
class LeftOutRow:
    """A row that could not be used: where it stands, whose it is ("" if unknown), why; `earliest` day it may mean."""

    place: str
    subject: str
    image_id: str
    reason: str
    earliest: datetime.date


def place_text(places: Sequence[Place]) -> str:
    """Return rows for a message.

    >>> place_text([(1, 5), (2, 3), (1, 4)])
    'CSV 1 rows 4, 5; CSV 2 row 3'
    """
    by_table: dict[int, list[int]] = defaultdict(list)
    for table, row in places:
        by_table[table].append(row)
    return "; ".join(f"CSV {table} {row_list(rows)}" for table, rows in sorted(by_table.items()))


def mark_contradictions(rows: pd.DataFrame, wanted: pd.DataFrame) -> None:
    """Write into `wanted["left_out"]` why rows of one image or subject cannot all be right; `rows`: also all others."""
    marks: list[tuple[str, pd.Series[bool]]] = []
    elsewhere = set(rows["image_id"][rows["left_out"] != ""]) - {""}
    marks.append((ALSO_SOMETHING_ELSE, wanted["image_id"].isin(elsewhere)))
    single = (("image_id", "subject"), ("image_id", "date"), ("subject", "group"), ("subject", "sex"))
    for whose, column in single:
        known = wanted[wanted[column].notna() & (wanted[column] != "") & (wanted[whose] != "")]
        differ = known.groupby(whose)[column].transform("nunique") > 1
        whole = "image" if whose == "image_id" else "subject"
        reason = f"its {whole} has two values of {column.title()}; keep the right row"
        marks.append((reason, wanted[whose].isin(set(known.loc[differ, whose]))))
    marks.append((TWO_AGES, wanted["image_id"].isin(_of_two_ages(wanted))))
    for reason, applies in marks:
        wanted.loc[applies & (wanted["left_out"] == ""), "left_out"] = reason


def _of_two_ages(wanted: pd.DataFrame) -> set[str]:
    ages = wanted[wanted["age"].notna() & (wanted["image_id"] != "")].assign(
        age=wanted["age"].clip(upper=TOP_AGE_YEARS)
    )
    by_image = ages.groupby("image_id")["age"]
    apart = by_image.transform("max") - by_image.transform("min") > _SAME_AGE_YEARS
    return set(ages.loc[apart, "image_id"])


def day_first(wanted: pd.DataFrame) -> list[Place]:
    """Return the places of dates with the day first, of tables that have several such and none with the month first.

    The other dates of such a table would be read as what they do not mean.
    """
    by_table: dict[int, list[Place]] = defaultdict(list)
    month_first = set()
    for text, place in zip(wanted["date"], wanted["place"], strict=True):
        if is_day_first(text):
            by_table[place[0]].append(place)
        elif is_month_first(text):
            month_first.add(place[0])
    return [
        place
        for table, places in by_table.items()
        if len(places) >= _SEVERAL and table not in month_first
        for place in places
    ]


def exchanged_dates(wanted: pd.DataFrame) -> list[Place]:
    """Return the places of rows of one image whose dates differ by exchanged day and month."""
    days: dict[str, set[datetime.date]] = defaultdict(set)
    for image_id, day in zip(wanted["image_id"], wanted["date"], strict=True):
        if image_id and day:
            days[image_id].add(day)
    return [
        place
        for image_id, day, place in zip(wanted["image_id"], wanted["date"], wanted["place"], strict=True)
        if day and day_and_month_exchanged(day) in days.get(image_id, set()) - {day}
    ]


def day_and_month_exchanged(day: datetime.date) -> datetime.date | None:
    """Return the date with day and month exchanged; None if there is no such day.

    >>> day_and_month_exchanged(datetime.date(1999, 2, 3))
    datetime.date(1999, 3, 2)
    """
    return day.replace(month=day.day, day=day.month) if day.day <= 12 else None
