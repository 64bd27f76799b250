"""Parse single fields of a collection CSV as the PPMI archive writes them."""

import datetime
import re
from collections.abc import Mapping

from datspect.cohort.table import CONTROL, PD
from datspect.importing.labels import spelling

GROUP_NAMES = {
    "PD": PD,
    "Control": CONTROL,
    "SWEDD": "swedd",
    "Prodromal": "prodromal",
    "GenCohort PD": "gencohort_pd",
    "GenCohort Unaff": "gencohort_unaffected",
    "GenReg PD": "genreg_pd",
    "GenReg Unaff": "genreg_unaffected",
}
"""From the archive's names of the groups that can be asked for to labels in a cohort folder."""
NO_PATIENTS = ("phantom", "volunteer")
"""Groups of the archive that are never imported: test objects, and people of whom nothing is known."""
OLDEST_YEARS = 120
OTHER_MODALITY = "the CSV lists it as another modality than SPECT"
OTHER_DESCRIPTION = "the CSV does not describe it as a reconstructed DaTSCAN"
RECONSTRUCTED = "Reconstructed DaTSCAN"
"""How the archive describes the scans that are imported."""

UNKNOWN_GROUP = "its row gives a group that is not known; say what it means with --labels"
MONTH_ONLY = "its row has a date without a day, so its place among the person's scans cannot be told; complete the date"
DAY_FIRST = "its row has a date with the day before the month; write dates as month/day/year or year-month-day"
NO_DATE = "its row has a date that is neither month/day/year nor year-month-day; write it so"

MASKED_YEAR = 9999
"""Year of the dates that the archive masks."""

_OTHER_SPELLINGS = {
    **dict.fromkeys(("hc", "healthycontrol", "healthycontrols", "controls"), CONTROL),
    "parkinsonsdisease": PD,
    "gencohortunaffected": "gencohort_unaffected",
    "genregunaffected": "genreg_unaffected",
}
_SEXES = {"m": "male", "male": "male", "f": "female", "female": "female"} | dict.fromkeys(("", "u", "unknown", "x"), "")
_VISITS = {"SCREENING": "SC", "BASELINE": "BL", "0": "SC"}
_DATES = (
    re.compile(r"(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})/(?P<year>[0-9]{4})(?: .*)?"),
    re.compile(r"(?P<year>[0-9]{4})-(?P<month>[0-9]{1,2})-(?P<day>[0-9]{1,2})(?:[ T].*)?"),
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WITHOUT_DAY = (
    re.compile(r"(?P<month>[0-9]{1,2})[/.-](?P<year>[0-9]{4})"),
    re.compile(r"(?P<year>[0-9]{4})(?:[/.-](?P<month>[0-9]{1,2}))?"),
    re.compile(r"(?P<name>[a-z]{3})[a-z]*\.?[ /-]?(?P<year>[0-9]{4})", re.IGNORECASE),
)
_ABOVE_12, _UP_TO_12 = "(?:1[3-9]|2[0-9]|3[01])", "(?:0?[1-9]|1[0-2])"
_DAY_FIRST = re.compile(rf"{_ABOVE_12}[/.-]{_UP_TO_12}[/.-][0-9]{{4}}(?: .*)?")
_MONTH_FIRST = re.compile(rf"{_UP_TO_12}[/.-]{_ABOVE_12}[/.-][0-9]{{4}}(?: .*)?")


def letters(text: str) -> str:
    """Return the part of a name that is compared: its letters in lower case."""
    return re.sub(r"[^a-z]", "", text.lower())


def left_out_reason(modality: str | None, description: str, wanted: str = RECONSTRUCTED) -> str:
    """Return why an image is not one described as `wanted`; "" if it is. A modality of None is not listed at all."""
    if modality is not None and modality.lower() not in ("spect", "nm"):
        return OTHER_MODALITY
    return "" if _compared(description) == _compared(wanted) else OTHER_DESCRIPTION


def _compared(description: str) -> str:
    return re.sub(r"[\W_]", "", description.casefold())


def group_label(name: str) -> str | None:
    """Return the label of a group, or of one of `NO_PATIENTS`; None if it is unknown."""
    known = {letters(group): label for group, label in GROUP_NAMES.items()} | _OTHER_SPELLINGS
    return (known | {group: group for group in NO_PATIENTS}).get(letters(name))


def parse_group(text: str, labels: Mapping[str, str] | None = None) -> str | None:
    """Return the label of a group, "" if none is given, None if it is unknown; `labels` maps further spellings."""
    if not text:
        return ""
    return (labels or {}).get(spelling(text)) or group_label(text)


def parse_image_id(text: str) -> str:
    """Return the digits of an image id, with or without its I; "" if it is not an image id."""
    found = re.fullmatch(r"[Ii]?0*([0-9]+)(?:\.0)?", text)
    return found[1] if found else ""


def parse_subject(text: str) -> str:
    """Return the subject id without the ".0" with which spreadsheets save a whole number."""
    return re.sub(r"\.0$", "", text)


def parse_sex(text: str) -> str:
    """Return female, male, or "" if it is unknown or unreadable."""
    return _SEXES.get(text.lower(), "")


def parse_age(text: str) -> float:
    """Return years, NaN if none are given or they are not an age. "90+" is 90."""
    found = re.fullmatch(r"[>≥]?\s*([0-9]{1,3}(?:[.,][0-9]+)?)\+?", text)
    age = float(found[1].replace(",", ".")) if found else float("nan")
    return age if age <= OLDEST_YEARS else float("nan")


def parse_date(text: str) -> datetime.date | None:
    """Return the day of month/day/year or year-month-day; None if masked; raise ValueError if it is not a date."""
    found = next(filter(None, (form.fullmatch(text) for form in _DATES)), None)
    if found is None:
        raise ValueError("no date")
    day = datetime.date(int(found["year"]), int(found["month"]), int(found["day"]))
    return None if day.year == MASKED_YEAR else day


def date_problem(text: str) -> tuple[str, datetime.date]:
    """Return what is wrong with a date that `parse_date` refuses, and the earliest day that it may mean.

    >>> date_problem("8/1999") == (MONTH_ONLY, datetime.date(1999, 8, 1))
    True
    """
    found = next(filter(None, (form.fullmatch(text) for form in _WITHOUT_DAY)), None)
    if found:
        parts = found.groupdict()
        name = (parts.get("name") or "").casefold()
        month = _MONTHS.index(name) + 1 if name in _MONTHS else int(parts.get("month") or 1)
        if (name in _MONTHS or not name) and 1 <= month <= 12 and 1 <= int(parts["year"]) < MASKED_YEAR:
            return MONTH_ONLY, datetime.date(int(parts["year"]), month, 1)
    return DAY_FIRST if is_day_first(text) else NO_DATE, datetime.date.min


def is_day_first(text: str) -> bool:
    """Return whether a date can only have the day before the month.

    >>> is_day_first("25/12/1999"), is_day_first("2/3/1999")
    (True, False)
    """
    return _DAY_FIRST.fullmatch(text) is not None


def is_month_first(text: str) -> bool:
    """Return whether a date can only have the month before the day."""
    return _MONTH_FIRST.fullmatch(text) is not None


def parse_visit(text: str) -> str:
    """Return SC, BL, V04, U01 and the like; N04 for number 4 of an old export, whose code is unknown; else "other"."""
    code = re.sub(r"\.0$", "", re.sub(r"\s", "", text).upper())
    if code in _VISITS:
        return _VISITS[code]
    found = re.fullmatch(r"([A-Z]{0,3})([0-9]{0,3})", code)
    if found is None:
        return "other"  # the text may be anything and must not reach a cohort's table
    number = f"{int(found[2]):02d}" if found[2] else ""
    return (found[1] or ("N" if number else "")) + number
