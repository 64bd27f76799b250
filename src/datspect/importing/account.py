"""Give the account of an import: what was found, what became of it, who the subjects are and how their scans lie."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pandas as pd

from datspect.cohort.signature import GEOMETRY, GEOMETRY_NAME
from datspect.cohort.table import REGISTRATION_NAME
from datspect.imaging.head_search import FLIPS
from datspect.importing.folder import DOUBTFUL
from datspect.importing.journal import ImportedScan
from datspect.importing.plan import Exclusion
from datspect.io.atomic import write_text
from datspect.io.tables import write_table
from datspect.normalisation.verdict import MEASURES, SURE

ACCOUNT_NAME, EXCLUDED_NAME, ORIENTATION_NAME = "account.txt", "excluded.tsv", "orientation.tsv"
OFFSET_TOLERANCE_VOXELS = 0.5
_WIDTH = 50
_HOW = {
    "as it is": "on the MNI grid",
    "resampled": "in MNI space on another grid, resampled",
    "registered": f"in another space, registered ({REGISTRATION_NAME})",
}
_DOUBTFUL = f"  of these near a limit: look at them ({DOUBTFUL}/)"
_REASONS_SHOWN = 20


@dataclass(frozen=True)
class Account:
    """What an import did.

    `counts`: what was seen, in the order of the text. `scans`: the cohort's table. `z_offset_voxels`: the value of
    preprocess.z_offset_voxels, None if unknown.
    """

    counts: Mapping[str, int]
    scans: pd.DataFrame
    imported: tuple[ImportedScan, ...]
    exclusions: tuple[Exclusion, ...]
    z_offset_voxels: float | None = None


def account_text(account: Account) -> str:
    """Return the account in words, for the terminal and for `account.txt`; it names pseudonyms at most."""
    parts = [["Account of the import"], _seen(account), _excluded(account.exclusions)]
    if account.imported:
        parts += [_groups(account.scans), _orientation(account), _scales(account.imported)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def write_account(folder: Path, account: Account) -> None:
    """Write `account.txt`, `excluded.tsv` (what, reason), and of scans `orientation.tsv`, registration and geometry."""
    write_text(folder / ACCOUNT_NAME, account_text(account))
    excluded = pd.DataFrame([(out.what, out.reason) for out in account.exclusions], columns=["what", "reason"])
    write_table(folder / EXCLUDED_NAME, excluded, sep="\t")
    write_table(folder / ORIENTATION_NAME, orientation_table(account.imported), sep="\t")
    write_table(folder / REGISTRATION_NAME, registration_table(account.imported))
    write_table(folder / GEOMETRY_NAME, geometry_table(account.imported))


def orientation_table(imported: Iterable[ImportedScan]) -> pd.DataFrame:
    """Return how each scan lies: scan_id, placed_by, a correlation with the mean phantom for each flip, best, ..."""
    rows = [
        {
            "scan_id": scan.scan_id,
            "placed_by": scan.placed_by,
            **{f"correlation_{flips or 'as_is'}": scan.correlations[flips] for flips in FLIPS},
            "best": scan.best or "as_is",
            "margin": scan.margin,
            "fixed": scan.fixed or "no",
            "z_offset_voxels": scan.z_offset_voxels,
            "scale": scan.scale,
            "how": scan.how,
            "notes": "; ".join(scan.notes),
        }
        for scan in sorted(imported, key=lambda scan: scan.scan_id)
    ]
    return pd.DataFrame(rows)


def registration_table(imported: Iterable[ImportedScan]) -> pd.DataFrame:
    """Return how well each registered scan was placed: scan_id and the measures of `normalisation.verdict`."""
    rows = [
        {"scan_id": scan.scan_id, **scan.registration}
        for scan in sorted(imported, key=lambda scan: scan.scan_id)
        if scan.registration is not None
    ]
    return pd.DataFrame(rows, columns=["scan_id", *MEASURES])


def geometry_table(imported: Iterable[ImportedScan]) -> pd.DataFrame:
    """Return on which grid each registered scan came, by which cameras may be told: scan_id, matrix and spacing."""
    rows = [(scan.scan_id, *scan.geometry) for scan in sorted(imported, key=lambda scan: scan.scan_id) if scan.geometry]
    return pd.DataFrame(rows, columns=["scan_id", *GEOMETRY])


def _seen(account: Account) -> list[str]:
    return [_counted(what, n) for what, n in account.counts.items()] + [
        _counted("subjects imported, one scan each", len(account.imported))
    ]


def _excluded(exclusions: Iterable[Exclusion]) -> list[str]:
    by_reason = Counter(out.reason for out in exclusions).most_common()
    if not by_reason:
        return ["Left out: nothing"]
    lines = [f"Left out ({EXCLUDED_NAME} names each):"]
    lines += [f"  {n:5d}  {reason}" for reason, n in by_reason[:_REASONS_SHOWN]]
    hidden = by_reason[_REASONS_SHOWN:]
    return lines + ([f"  {sum(n for _, n in hidden):5d}  for {len(hidden)} further reasons"] if hidden else [])


def _groups(scans: pd.DataFrame) -> list[str]:
    lines = [f"{'group':<24}{'subjects':>8}   {'age: mean (sd), range':<36}{'female':>7}{'male':>6}{'unknown':>8}"]
    for label, group in scans.groupby("label", sort=True):
        sexes = Counter(group["sex"])
        lines.append(
            f"{label:<24}{len(group):>8}   {_ages(group['age']):<36}"
            f"{sexes['female']:>7}{sexes['male']:>6}{len(group) - sexes['female'] - sexes['male']:>8}"
        )
    return [*lines, "Ages are whole years at the scan; 90 stands for 90 and above."]


def _ages(ages: "pd.Series[float]") -> str:
    known = ages.dropna().astype(float)
    if known.empty:
        return "unknown"
    spread = f"{known.std():.1f}" if len(known) > 1 else "-"
    unknown = f", {len(ages) - len(known)} unknown" if len(known) < len(ages) else ""
    return f"{known.mean():.1f} ({spread}), {known.min():.0f} to {known.max():.0f}{unknown}"


def _orientation(account: Account) -> list[str]:
    placed = Counter(scan.placed_by for scan in account.imported)
    lines = ["How the scans lie:"]
    lines += [_counted(f"  placed by {'its' if by == 'header' else 'the'} {by}", n) for by, n in sorted(placed.items())]
    lines += [_counted(f"  {what}", sum(scan.how == how for scan in account.imported)) for how, what in _HOW.items()]
    n_doubtful = sum(scan.registration is not None and scan.registration["margin"] < SURE for scan in account.imported)
    lines += [_counted(_DOUBTFUL, n_doubtful)] if n_doubtful else []
    lines += [_counted(f"  {note}", n) for note, n in sorted(_noted(account.imported).items())]
    return [
        *lines,
        *_flips(account.imported),
        *_offset(account),
        "  Left and right are NOT checked: both sides look alike to a symmetric template.",
    ]


def _noted(imported: Iterable[ImportedScan]) -> Counter[str]:
    """Return how many scans were read with each kind of note, numbers in it left out."""
    return Counter(
        " ".join(word for word in note.split() if not word.isdigit()) for scan in imported for note in scan.notes
    )


def _flips(imported: Iterable[ImportedScan]) -> Iterator[str]:
    for (best, fixed), n in sorted(Counter((scan.best, scan.fixed) for scan in imported).items()):
        if not best:
            yield _counted("  most like the mean phantom as they are", n)
        elif fixed:
            yield _counted(f"  most like it with {_axes(best)} flipped: corrected", n)
        else:
            yield _counted(f"  most like it with {_axes(best)} flipped: LEFT AS THEY ARE", n)
            yield f"    look at them ({ORIENTATION_NAME}); --fix-orientation would flip them"


def _offset(account: Account) -> Iterator[str]:
    offsets = [scan.z_offset_voxels for scan in account.imported]
    middle = median(offsets)
    yield f"  striata above MNI: {middle:.1f} voxels (median; {min(offsets):.1f} to {max(offsets):.1f})"
    configured = account.z_offset_voxels
    if configured is not None and abs(middle - configured) > OFFSET_TOLERANCE_VOXELS:
        yield f"    set preprocess.z_offset_voxels: {middle:.1f} in params.yaml (it is {configured:.1f})"


def _scales(imported: Iterable[ImportedScan]) -> list[str]:
    n_scaled = sum(scan.scale != 1 for scan in imported)
    return [f"Stored with other units than in the file, so as to fit: {n_scaled} scans ({ORIENTATION_NAME}, scale)"]


def _axes(flips: str) -> str:
    return " and ".join(flips)


def _counted(what: str, n: int) -> str:
    return f"{what:<{_WIDTH}} {n:>7d}"
