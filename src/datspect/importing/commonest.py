"""Say what stands most often in a column of a table, without quoting what may name a person."""

import re
from collections import defaultdict
from collections.abc import Sequence

from datspect.text import shown

_MOST, _LONGEST = 3, 40
_ENOUGH_PEOPLE = 3
"""A text that so many people share names none of them."""
_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        spect nm st pet pt mr mri ct dti fmri t1 t2 flair mprage mp rage dat datscan datspect ioflupane fpcit recon
        reconstructed reconstruction iterative tomo projections projection raw data static brain head scan scans series
        image images transaxial axial ax sag cor ac nac corrected uncorrected attenuation correction osem fbp filtered
        smoothed processed preprocessed pre original mni normalised normalized none not listed other pd hc control
        healthy parkinson parkinsons disease swedd prodromal patient case normal abnormal pathologic positive negative
        yes no true false unknown
        """,
    )
)


def commonest(values: Sequence[str], people: Sequence[str]) -> str:
    """Return the commonest texts of a column with their numbers of rows; `people`: whose row each is.

    A text is quoted if several people share it or if all its words are words of imaging or of diagnosis.

    >>> commonest(["MRI", "MRI", "CT", "Jane Doe"], ["1", "2", "3", "4"])
    "'MRI' (2 rows), 'CT' (1 row), others (1 row)"
    """
    rows: dict[str, list[str]] = defaultdict(list)
    for value, person in zip(values, people, strict=True):
        rows[value].append(person)
    ordered = sorted(rows, key=lambda value: -len(rows[value]))
    quoted = [value for value in ordered if _names_nobody(value, rows[value])][:_MOST]
    n_others = sum(len(its) for value, its in rows.items() if value not in quoted)
    parts = [f"{shown(value)[:_LONGEST]!r} ({_rows(len(rows[value]))})" for value in quoted]
    return ", ".join([*parts, f"others ({_rows(n_others)})"] if n_others else parts) or "nothing"


def _names_nobody(value: str, people: Sequence[str]) -> bool:
    words = re.findall(r"[^\W_]+", value.casefold())
    is_known = all(word in _WORDS or re.fullmatch(r"\d{1,2}", word) for word in words)
    return is_known or (len(set(people)) >= _ENOUGH_PEOPLE and value not in people)


def _rows(number: int) -> str:
    return f"{number} row{'s' if number != 1 else ''}"
