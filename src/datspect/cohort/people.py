"""Read age and sex of whoever was scanned from a table, such as the participants.tsv of a cohort folder."""

import math
from pathlib import Path, PurePosixPath

import pandas as pd

from datspect.errors import CohortError
from datspect.evaluation.normal_range import Person, Sex
from datspect.io.delimited import read_delimited

_UNKNOWN = ("", "n/a", "na", "nan", "unknown", "other")
_SEXES: dict[str, Sex] = {"f": "female", "female": "female", "m": "male", "male": "male"}


def people_by_file(path: Path) -> dict[str, Person]:
    """Return the people of a table with columns path, age and sex, by the last part of the path of each scan.

    Raises
    ------
    ImportingError : the table cannot be read.
    CohortError : it lacks a column, names two files alike, or holds an age or a sex that is none.
    """
    table = read_delimited(path, "the table of participants")
    missing = [name for name in ("path", "age", "sex") if name not in table.columns]
    if missing:
        raise CohortError(f"{path.name}: column(s) missing: {', '.join(missing)}; expected path, age and sex")
    names = table["path"].map(lambda text: PurePosixPath(text.replace("\\", "/")).name)
    if names.duplicated().any():
        raise CohortError(f"{path.name}: {names.duplicated().sum()} file(s) named twice; scans are told by their names")
    rows = zip(names, table.iterrows(), strict=True)
    return {name: _person(row, f"{path.name}, line {line}") for name, (line, row) in rows}


def person_of(age: float | None, sex: str | None, where: str) -> Person:
    """Return a person of an age and a sex; `where` begins the message.

    >>> person_of(63, "M", "the command line"), person_of(None, None, "")
    (Person(age=63, sex='male'), Person(age=None, sex=None))

    Raises
    ------
    CohortError : the age is no number of years from 0 to 120, or the sex neither female nor male nor unknown. What
        stood there is not quoted: it may be anything of a patient.
    """
    if age is not None and not 0 <= age <= 120:
        raise CohortError(f"{where}: expected an age from 0 to 120 years")
    known = (sex or "").lower()
    if known not in _SEXES and known not in _UNKNOWN:
        raise CohortError(f"{where}: expected sex female or male; leave it empty if unknown")
    return Person(age, _SEXES.get(known))


def _person(row: "pd.Series[str]", where: str) -> Person:
    text = row["age"]
    try:
        age = None if text.lower() in _UNKNOWN else float(text)
    except ValueError:
        age = math.nan  # refused below
    return person_of(age, row["sex"], where)
