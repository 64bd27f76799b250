"""Tables that mean harm: cells, columns, delimiters and encodings that no export would have, or that one did have."""

from hypothesis import strategies as st
from tests.fuzz.mutations import MARKER

_WORDS = "NA n/a nan inf -1 0 3000 1e999 I323662 323662 D323662 61.5 200"
_CODES = "PD Control HC SWEDD Phantom M F female SC BL U01 V04"
_DATES = "8/14/2012 08/14/2012 2012-08-14 31/12/2012 2/30/2012 0/0/0 1/1/99999 9999 12/31/9999"
_PATHS = f"../{MARKER}.nii ../../etc/passwd /abs.nii sub-01/scan.nii scan.nii.gz"
_ODD = (
    "",
    " ",
    "\x00",
    "é",
    "\u202e",
    "=1+1",
    '"',
    '""',
    '"open',
    "a\nb",
    "a\rb",
    ",",
    ";",
    "\t",
    "9" * 400,
    "x" * 50_000,
)
_TITLES = ("SPECT", "Processed", "Reconstructed DaTSCAN", "GenCohort PD", MARKER, f"{MARKER} 12/12/1912")
_CELLS = (*_WORDS.split(), *_CODES.split(), *_DATES.split(), *_PATHS.split(), *_ODD, *_TITLES)
_ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "mac-roman", "utf-7")


def tables(columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> st.SearchStrategy[bytes]:
    """Tables with most of `columns`, good `rows` and others of any cells, in any delimiter and encoding."""
    odd = (MARKER, "", "Age ", "subject", "x" * 200_000)
    names = st.lists(st.sampled_from((*columns, *columns, *odd)), max_size=2 * len(columns))
    good = st.just(list(columns))
    head = st.one_of(good, good, good, st.permutations(columns), names)
    row = st.sampled_from(rows).map(list) | st.lists(st.sampled_from(_CELLS), max_size=len(columns) + 2)
    mended = st.builds(_with_cell, st.sampled_from(rows), st.integers(0, len(columns) - 1), st.sampled_from(_CELLS))
    return st.builds(
        _text_of, head, st.lists(row | mended, max_size=6), st.sampled_from(",,,;\t\t|: "), st.booleans(),
        st.sampled_from(("\n", "\r\n", "\r")), st.sampled_from((*["utf-8"] * 8, *_ENCODINGS)),
    )  # fmt: skip


def _with_cell(row: tuple[str, ...], column: int, cell: str) -> list[str]:
    return [*row[:column], cell, *row[column + 1 :]]


def _text_of(head: list[str], rows: list[list[str]], delimiter: str, quoted: bool, ending: str, encoding: str) -> bytes:
    lines = [delimiter.join(f'"{cell}"' if quoted else cell for cell in row) for row in (head, *rows)]
    return ending.join(lines).encode(encoding, "replace")
