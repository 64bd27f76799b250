"""How the PPMI archive writes one field of a collection CSV, and what that means."""

import datetime
import re

GROUP_NAMES = {
    "PD": "pd",
    "Control": "control",
    "SWEDD": "swedd",
    "Prodromal": "prodromal",
    "GenCohort PD": "gencohort_pd",
    "GenCohort Unaff": "gencohort_unaffected",
    "GenReg PD": "genreg_pd",
    "GenReg Unaff": "genreg_unaffected",
}
"""The archive's names of the groups that can be asked for -> label in a cohort folder."""
NO_PATIENTS = ("phantom", "volunteer")
"""Groups of the archive that are never imported: test objects, and people of whom nothing is known."""
OLDEST_YEARS = 120
OTHER_MODALITY = "the CSV lists it as another modality than SPECT"
OTHER_DESCRIPTION = "the CSV does not describe it as a reconstructed DaTSCAN"

_MASKED_YEAR = 9999
_OTHER_SPELLINGS = {
    "hc": "control",
    "healthycontrol": "control",
    "healthycontrols": "control",
    "controls": "control",
    "parkinsonsdisease": "pd",
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
    """What is compared of a name: its letters, small."""
    return re.sub(r"[^a-z]", "", text.lower())


def left_out_reason(modality: str, description: str) -> str:
    """Why an image is no reconstructed DaTSCAN; "" if it is one."""
    if modality.lower() != "spect":
        return OTHER_MODALITY
    return "" if letters(description) == "reconstructeddatscan" else OTHER_DESCRIPTION


def group_label(name: str) -> str | None:
    """The label of a group, or of one of `NO_PATIENTS`; None if it is unknown."""
    known = {letters(group): label for group, label in GROUP_NAMES.items()} | _OTHER_SPELLINGS
    return (known | {group: group for group in NO_PATIENTS}).get(letters(name))


def parse_group(text: str) -> str:
    """The label of a group, "" if none is given; ValueError if it is unknown."""
    label = group_label(text) if text else ""
    if label is None:
        raise ValueError("unknown group")
    return label


def parse_image_id(text: str) -> str:
    """The digits of an image id, with or without its I; "" if it is none."""
    found = re.fullmatch(r"[Ii]?0*([0-9]+)(?:\.0)?", text)
    return found[1] if found else ""


def parse_subject(text: str) -> str:
    """The subject id, without the ".0" with which spreadsheets save a whole number."""
    return re.sub(r"\.0$", "", text)


def parse_sex(text: str) -> str:
    """One of female, male or ""; ValueError if it is unknown."""
    if text.lower() not in _SEXES:
        raise ValueError("unknown sex")
    return _SEXES[text.lower()]


def parse_age(text: str) -> float:
    """Years, NaN if none are given; ValueError if it is no age. "90+" is 90."""
    if not text:
        return float("nan")
    found = re.fullmatch(r"[>≥]?\s*([0-9]{1,3}(?:[.,][0-9]+)?)\+?", text)
    if found is None or (age := float(found[1].replace(",", "."))) > OLDEST_YEARS:
        raise ValueError("no age")
    return age


def parse_date(text: str) -> datetime.date | None:
    """The day, written month/day/year or year-month-day; None if it is masked; ValueError if it is no date."""
    found = next(filter(None, (form.fullmatch(text) for form in _DATES)), None)
    if found is None:
        raise ValueError("no date")
    day = datetime.date(int(found["year"]), int(found["month"]), int(found["day"]))
    return None if day.year == _MASKED_YEAR else day


def parse_visit(text: str) -> str:
    """SC, BL, V04, U01 and the like; N04 for number 4 of an old export, whose code is not known; else "other"."""
    code = re.sub(r"\.0$", "", re.sub(r"\s", "", text).upper())
    if code in _VISITS:
        return _VISITS[code]
    found = re.fullmatch(r"([A-Z]{0,3})([0-9]{0,3})", code)
    if found is None:
        return "other"  # whatever stands here, it must not reach a cohort's table
    number = f"{int(found[2]):02d}" if found[2] else ""
    return (found[1] or ("N" if number else "")) + number
