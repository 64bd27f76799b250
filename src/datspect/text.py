"""Text that comes from outside (names of files, ids, messages about them), made fit for where it goes."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_NOT_SHOWN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that steer a terminal, turn the direction of writing, or end a line."""
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""How a text begins that a spreadsheet would compute, or that was kept from it."""
_ENDINGS = (".gz", ".nii", ".dcm")
_LONGEST_NAME = 120
_LONGEST_MESSAGE = 4000


def shown(text: str) -> str:
    r"""Return the text on one line, with everything that does not print escaped.

    >>> shown("a\nb\x1b[2Jc"), shown("Jürgen's scan")
    ('a\\nb\\x1b[2Jc', "Jürgen's scan")
    """
    if text.isprintable():
        return text
    return "".join(_escaped(each) if unicodedata.category(each) in _NOT_SHOWN else each for each in text)


def message(text: str) -> str:
    r"""Return a message of several lines as it is shown: each line as `shown`, cut in the middle if it is very long.

    >>> message("two problems\n  first\x07")
    'two problems\n  first\\x07'
    """
    if len(text) > _LONGEST_MESSAGE:
        half = _LONGEST_MESSAGE // 2
        text = f"{text[:half]} [... {len(text) - 2 * half:,} characters ...] {text[-half:]}"
    return "\n".join(map(shown, text.split("\n")))


def in_figure(text: str) -> str:
    r"""Return a text for Matplotlib, which takes what stands between two dollars for a formula.

    >>> in_figure("x$y$"), in_figure("two\nlines")
    ('x\\$y\\$', 'two\nlines')
    """
    return "\n".join(map(shown, text.split("\n"))).replace("$", r"\$")


def cell(text: str) -> str:
    """Return a text for a CSV file that no spreadsheet takes for a formula; `from_cell` gives it back.

    >>> cell("=1+1"), cell("plain"), from_cell(cell("=1+1")), from_cell(cell("'=1"))
    ("'=1+1", 'plain', '=1+1', "'=1")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(text: str) -> str:
    """Return the text that `cell` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def file_names(names: Sequence[str]) -> list[str]:
    """Return a file name, without ending, for each of these names, no two alike even where capitals do not count.

    >>> file_names(["ward/x.nii", "x.nii.gz", "y.dcm"])
    ['ward_x', 'x', 'y']
    >>> a, b, _ = file_names(["x.nii", "x.nii.gz", "z"])
    >>> a != b, a.startswith("x-"), b.startswith("x-")
    (True, True, True)
    """
    plain = [_file_name(name) for name in names]
    folded = [name.casefold() for name in plain]
    shared = Counter(folded)
    taken = set(folded)
    unique = []
    for number, (name, stem) in enumerate(zip(names, plain, strict=True)):
        if shared[folded[number]] > 1:
            digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
            copies = [f"{stem}-{digest}", *(f"{stem}-{digest}-{copy}" for copy in range(2, len(names) + 2))]
            stem = next(each for each in copies if each.casefold() not in taken)
            taken.add(stem.casefold())
        unique.append(stem)
    return unique


def _file_name(name: str) -> str:
    stem = name
    for ending in _ENDINGS:
        stem = stem.removesuffix(ending)
    plain = "".join(each if each.isalnum() or each in "-_." else "_" for each in stem).lstrip(".") or "scan"
    if len(plain.encode()) <= _LONGEST_NAME:
        return plain
    return plain.encode()[:_LONGEST_NAME].decode("utf-8", "ignore")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
