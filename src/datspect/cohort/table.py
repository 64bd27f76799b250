"""Read and write the cohort folder, the one format that the graph knows.

`participants.tsv` has a row a scan, `cohort.json` names the kind of the cohort, and the volumes lie beside them. A
phantom may have `truth.csv` too: what was simulated, which no scan shows. An import may leave `registration.csv`: how
well scans were placed that came in a space of their own.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datspect.arrays import IntArray
from datspect.cohort.kind import CohortKind
from datspect.errors import CohortError
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table, write_table
from datspect.text import from_cell, shown

CONTROL, PD = LABELS = ("control", "pd")
"""Class names in the order of their numbers; 1, Parkinson's disease, is the positive class."""
OTHER_LABELS = (
    *("swedd", "prodromal", "gencohort_pd", "gencohort_unaffected", "genreg_pd", "genreg_unaffected"),
    *("atypical", "vascular"),
)
"""Labels that a cohort folder may hold too; their subjects take no part in training or testing."""

COLUMNS = ("scan_id", "subject_id", "label", "sex", "age", "site", "visit", "path", "sha256")
TRUTH_NAME, TRUE = "truth.csv", "true_"
"""The file of a phantom's truth, and what the names of its columns begin with."""
REGISTRATION_NAME, REGISTRATION = "registration.csv", "registration_"
"""The table of registered scans, and what the names of its columns begin with among other measures of quality."""
_TEXT_COLUMNS = {column: str for column in COLUMNS if column != "age"}


@dataclass(frozen=True)
class Cohort:
    """A cohort folder: its kind and its table (columns `COLUMNS`, age in years, `path` relative to `folder`)."""

    folder: Path
    kind: CohortKind
    scans: pd.DataFrame


def targets(labels: "pd.Series[str]") -> NDArray[np.int64]:
    """Return 1 for Parkinson's disease and 0 for control, int64, shape (N,)."""
    return np.asarray(labels == PD).astype(np.int64)


def label_names(numbers: IntArray) -> NDArray[np.str_]:
    """Return the class names of targets or predicted labels; shape (N,)."""
    return np.array(LABELS)[numbers]


def read_cohort(folder: Path) -> Cohort:
    """Read and check a cohort folder's tables; the volumes are not opened.

    Raises
    ------
    CohortError : a file or column is missing or unreadable, or rows are not as they must be; it names all problems.
    """
    table_path, kind_path = folder / "participants.tsv", folder / "cohort.json"
    for path in (table_path, kind_path):
        if not path.is_file():
            raise CohortError(f"{path}: not found; cohort.path must name a cohort folder (phantom or imported)")
    return Cohort(folder, _read_kind(kind_path), _read_scans(table_path))


def write_cohort(cohort: Cohort) -> None:
    """Write `participants.tsv` and `cohort.json` of a cohort whose volumes are in place."""
    write_table(cohort.folder / "participants.tsv", cohort.scans[list(COLUMNS)], sep="\t")
    write_json(cohort.folder / "cohort.json", {"kind": cohort.kind})


def read_truth(cohort: Cohort) -> pd.DataFrame:
    """Return scan_id and the true binding ratios (columns `TRUE`...) of a cohort; of real scans nothing is true.

    Raises
    ------
    CohortError : real scans come with a truth, or it is not a table with a column scan_id and a row for every scan.
    """
    path, scans = cohort.folder / TRUTH_NAME, cohort.scans[["scan_id"]]
    if not path.is_file():
        return scans
    if cohort.kind is not CohortKind.PHANTOM:
        raise CohortError(f"{path}: only a phantom has a truth, and these scans are real; remove the file")
    truth = read_table(path, ["scan_id"]).set_index("scan_id")
    missing = sorted(set(scans["scan_id"]) - set(truth.index))
    if missing or truth.index.has_duplicates:
        raise CohortError(
            f"{path}: not one row a scan (missing: {', '.join(missing) or 'none'}); make the phantom anew"
        )
    known = truth[[column for column in truth.columns if column.startswith(TRUE)]]
    return known.loc[scans["scan_id"]].reset_index()


def write_truth(folder: Path, truth: pd.DataFrame) -> None:
    """Write scan_id and the columns `TRUE`... of a phantom's truth into its cohort folder."""
    columns = ["scan_id", *(column for column in truth.columns if column.startswith(TRUE))]
    write_table(folder / TRUTH_NAME, truth[columns])


def with_registration(quality: pd.DataFrame, cohort: Cohort) -> pd.DataFrame:
    """Return the quality of scans, and beside it how well they were registered, if any of the cohort was.

    Raises
    ------
    CohortError : the table of registered scans is not a table, or has no column scan_id.
    """
    path = cohort.folder / REGISTRATION_NAME
    registered = read_table(path, ["scan_id"]).set_index("scan_id") if path.is_file() else pd.DataFrame()
    return quality.join(registered.add_prefix(REGISTRATION), on="scan_id") if len(registered) else quality


def scans_digest(scans: pd.DataFrame) -> str:
    """Return a hexadecimal digest that changes with any scan, label or subject, but not with the order of the rows."""
    named = scans[["scan_id", "subject_id", "label", "sha256"]].sort_values("scan_id")
    return hashlib.sha256(named.to_csv(index=False, lineterminator="\n").encode()).hexdigest()


def _read_kind(path: Path) -> CohortKind:
    record = read_json(path)
    kind = record.get("kind") if isinstance(record, dict) else None
    if kind not in list(CohortKind):
        raise CohortError(f'{path}: kind is {kind!r}; expected {{"kind": "phantom"}} or {{"kind": "real"}}')
    return CohortKind(kind)


def _read_scans(path: Path) -> pd.DataFrame:
    try:
        scans: pd.DataFrame = pd.read_csv(
            path, sep="\t", dtype=_TEXT_COLUMNS, keep_default_na=False, na_values={"age": ["", "n/a"]}, encoding="utf-8"
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CohortError(f"{path}: not a readable table of tab-separated values ({type(error).__name__})") from error
    missing = [column for column in COLUMNS if column not in scans.columns]
    if missing:
        raise CohortError(f"{path}: column(s) missing: {', '.join(missing)}; expected {', '.join(COLUMNS)}")
    scans = scans.assign(**{column: scans[column].map(from_cell) for column in _TEXT_COLUMNS})
    problems = _row_problems(scans)
    if problems:
        raise CohortError("\n  ".join([f"{path}: {len(problems)} problem(s)", *problems]))
    return scans


def _row_problems(scans: pd.DataFrame) -> list[str]:
    ids = scans["scan_id"]
    ages = pd.to_numeric(scans["age"], errors="coerce")
    known = LABELS + OTHER_LABELS
    checks = {
        "scan_id repeated; each scan needs an id of its own": ids.duplicated(),
        "scan_id empty": ids == "",
        "scan_id, subject_id, site or visit holds a line break or a character that does not print": ~scans[
            ["scan_id", "subject_id", "site", "visit"]
        ]
        .map(lambda text: shown(text) == text)
        .all(axis=1),
        "subject_id empty": scans["subject_id"] == "",
        f"label unknown; expected {', '.join(known)}": ~scans["label"].isin(known),
        "age is no number of years": (ages.isna() & scans["age"].notna()) | np.isinf(ages),
        "path leaves the cohort folder": pd.Series([_leaves_folder(path) for path in scans["path"]], scans.index),
    }
    problems = [] if len(scans) else ["no scan in the table"]
    found = [(what, sorted(set(map(shown, ids[bad])))) for what, bad in checks.items() if bad.any()]
    return problems + [f"{what}: {', '.join(which)}" for what, which in found]


def _leaves_folder(path: str) -> bool:
    # DVC watches the cohort folder: a volume outside it could change unseen.
    return PurePath(path).is_absolute() or ".." in PurePath(path).parts
