"""Order visits by the names that tables give them, and write them without a date."""

import re
from collections.abc import Sequence
from datetime import date

from datspect.cohort.visits import BEFORE_ALL

_CODE = re.compile(r"(v|visit|u|t|fu|w|week|m|month|y|year|)[-_ ]?(\d{1,3})(w|m|y|)", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)")

_Key = tuple[str, int]


def in_order(visits: Sequence[str]) -> list[int] | None:
    """Return the places of the visits from the first to the last; None if the order cannot be told.

    Numbers and codes of one kind (V04, V06; M12, M24), screening and baseline before them, and dates as year, month,
    day have an order.

    >>> in_order(["V06", "baseline", "V04"])
    [1, 2, 0]
    """
    keys = [_key(visit) for visit in visits]
    if len(visits) <= 1:
        return list(range(len(visits)))
    known = [key for key in keys if key is not None]
    kinds = {kind for kind, _ in known} - {"first"}
    if len(known) < len(keys) or len(kinds) > 1:
        return None
    numbers = [number for _, number in known]
    return sorted(range(len(numbers)), key=numbers.__getitem__) if len(set(numbers)) == len(numbers) else None


def written_visit(visit: str, number: int) -> str:
    """Return a visit as it may be kept: a short code as it is, everything else, which may be a date, as its number."""
    is_code = visit.casefold() in BEFORE_ALL or _CODE.fullmatch(visit)
    return visit if is_code or not visit else f"visit{number}"


def _key(visit: str) -> _Key | None:
    if visit.casefold() in BEFORE_ALL:
        return "first", BEFORE_ALL[visit.casefold()]
    dated = _DATE.fullmatch(visit)
    if dated:
        try:
            return "date", date(*map(int, dated.groups())).toordinal()
        except ValueError:
            return None
    coded = _CODE.fullmatch(visit)
    return (f"{coded[1]} {coded[3]}".casefold(), int(coded[2])) if coded else None
