"""Read diagnoses as tables spell them: words, codes, and codes that a spreadsheet saved as numbers."""

import re
from collections.abc import Mapping

from datspect.cohort.table import CONTROL, LABELS, OTHER_LABELS, PD
from datspect.errors import ImportingError

SPELLINGS: Mapping[str, str] = {
    **dict.fromkeys((PD, "parkinson", "parkinsons", "parkinson's", "parkinson's disease", "parkinson disease"), PD),
    **dict.fromkeys((CONTROL, "controls", "hc", "healthy", "healthy control", "healthy controls"), CONTROL),
    **{label.replace("_", " "): label for label in OTHER_LABELS},
    **{label: label for label in OTHER_LABELS},
}
"""From labels as tables spell them, in lower case, to ours."""

_WHOLE_NUMBER = re.compile(r"([0-9]+)[.,]0+")


def spelling(text: str) -> str:
    """Return a label as it is compared: in lower case, a whole number without the ".0" of a spreadsheet.

    >>> spelling("Healthy"), spelling("1.0"), spelling("2")
    ('healthy', '1', '2')
    """
    number = _WHOLE_NUMBER.fullmatch(text.strip())
    return number[1] if number else text.strip().casefold()


def parse_labels(text: str) -> dict[str, str]:
    """Return spellings, as they are compared, with their labels.

    >>> parse_labels("PD=pd, 0.0=control")
    {'pd': 'pd', '0': 'control'}

    Raises
    ------
    ImportingError : the text does not have this form, or names an unknown label.
    """
    mapping = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        theirs, equals, label = (part.strip() for part in pair.rpartition("="))
        if not equals or not theirs or label not in (*LABELS, *OTHER_LABELS):
            raise ImportingError(
                'labels are given as --labels "PD=pd,HC=control": the spelling in the table, =, and one of '
                f"{', '.join((*LABELS, *OTHER_LABELS))}"
            )
        mapping[spelling(theirs)] = label
    return mapping
