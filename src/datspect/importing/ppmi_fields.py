"""Parse single fields of a collection CSV as the PPMI archive writes them."""

import datetime
import re

from datspect.cohort.table import CONTROL, PD

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


def letters(text: str) -> str:
    """Return the part of a name that is compared: its letters in lower case."""
    return re.sub(r"[^a-z]", "", text.lower())


def left_out_reason(modality: str, description: str) -> str:
    """Return why an image is not a reconstructed DaTSCAN; "" if it is one."""
    if modality.lower() != "spect":
        return OTHER_MODALITY
    return "" if letters(description) == "reconstructeddatscan" else OTHER_DESCRIPTION


def group_label(name: str) -> str | None:
    """Return the label of a group, or of one of `NO_PATIENTS`; None if it is unknown."""
    known = {letters(group): label for group, label in GROUP_NAMES.items()} | _OTHER_SPELLINGS
    return (known | {group: group for group in NO_PATIENTS}).get(letters(name))


def parse_group(text: str) -> str:
    """Return the label of a group, "" if none is given; raise ValueError if it is unknown."""
    label = group_label(text) if text else ""
    if label is None:
        raise ValueError("unknown group")
    return label


def parse_image_id(text: str) -> str:
    """Return the digits of an image id, with or without its I; "" if it is not an image id."""
    found = re.fullmatch(r"[Ii]?0*([0-9]+)(?:\.0)?", text)
    return found[1] if found else ""


def parse_subject(text: str) -> str:
    """Return the subject id without the ".0" with which spreadsheets save a whole number."""
    return re.sub(r"\.0$", "", text)


def parse_sex(text: str) -> str:
    """Return female, male or ""; raise ValueError if it is unknown."""
    if text.lower() not in _SEXES:
        raise ValueError("unknown sex")
    return _SEXES[text.lower()]


def parse_age(text: str) -> float:
    """Return years, NaN if none are given; raise ValueError if it is not an age. "90+" is 90."""
    if not text:
        return float("nan")
    found = re.fullmatch(r"[>≥]?\s*([0-9]{1,3}(?:[.,][0-9]+)?)\+?", text)
    if found is None or (age := float(found[1].replace(",", "."))) > OLDEST_YEARS:
        raise ValueError("no age")
    return age


def parse_date(text: str) -> datetime.date | None:
    """Return the day of month/day/year or year-month-day; None if masked; raise ValueError if it is not a date."""
    found = next(filter(None, (form.fullmatch(text) for form in _DATES)), None)
    if found is None:
        raise ValueError("no date")
    day = datetime.date(int(found["year"]), int(found["month"]), int(found["day"]))
    return None if day.year == MASKED_YEAR else day


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
