"""Tell which visit of a subject came first, by the names that cohorts give to visits."""

import re
from collections.abc import Iterable

BEFORE_ALL = {"sc": -2, "screening": -2, "bl": -1, "baseline": -1}
"""Visits before all numbered ones, in lower case, and their order."""

_NUMBER = re.compile(r"(\d+)")


def visit_places(visits: Iterable[str]) -> list[int]:
    """Return a number for each visit by which they are sorted; equal names have equal numbers.

    Screening comes first, then baseline, then all others, in which numbers count as numbers.

    >>> visit_places(["V10", "V2", "BL", "V2", "Screening"])
    [3, 2, 1, 2, 0]
    """
    named = list(visits)
    places = {visit: place for place, visit in enumerate(sorted(set(named), key=_key))}
    return [places[visit] for visit in named]


def _key(visit: str) -> tuple[int, list[str | int], str]:
    # Text and numbers take turns, so that the same places of two visits can be compared.
    parts = [int(part) if n % 2 else part for n, part in enumerate(_NUMBER.split(visit.casefold()))]
    return BEFORE_ALL.get(visit.casefold(), 0), parts, visit
