"""How many copies of a scan are found under another id, and how many distinct scans are taken for copies.

    python benchmarks/near_duplicates.py [--cohort FOLDER] [--scans 60] [--quick] [--json FILE] [--into PAGE]

Copies of some scans are made, one kind at a time, and put beside the whole cohort, and beside small parts of it: found
are the pairs of scan and copy, false alarms are any other pairs. Nothing is written into the cohort.
"""

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from datspect.cohort.table import Cohort, read_cohort
from datspect.imaging.likeness import MIN_SCANS, Fingerprint, fingerprint, near_copies
from datspect.imaging.orientation import reorient
from datspect.io.volumes import read_volume
from datspect.phantom.acquisition import FWHM_PER_SD
from datspect.reporting.markdown import markdown_table
from datspect.running.progress import progress
from measuring import BenchmarkError, page_parser, publish

FloatVolume = NDArray[np.float32]
VOXEL_MM = 2.0
SEED = 2019
QUICK_SCANS, QUICK_COHORT = 4, 60
SIZES = (2, MIN_SCANS - 1, MIN_SCANS, 24, 60)
"""Sizes of the small cohorts, the copy included."""


def smoothed(fwhm_mm: float) -> Callable[[FloatVolume], FloatVolume]:
    return lambda data: gaussian_filter(data, fwhm_mm / FWHM_PER_SD / VOXEL_MM)


def moved(x: float, y: float, z: float) -> Callable[[FloatVolume], FloatVolume]:
    """What leaves the grid is lost, what enters it is 0; linear interpolation."""
    return lambda data: shift(data, (x, y, z), order=1)


def eight_bits(data: FloatVolume) -> FloatVolume:
    return np.rint((data - data.min()) / np.ptp(data) * 255)


def scaled(data: FloatVolume) -> FloatVolume:
    return np.rint(1.7 * data + 300)


def cut_off(data: FloatVolume) -> FloatVolume:
    """A twentieth of the brightest voxel taken off, negatives set to 0."""
    return np.clip(data - np.float32(0.05) * data.max(), 0, None)


def everything(data: FloatVolume) -> FloatVolume:
    return eight_bits(smoothed(8)(moved(-1.5, 2, 2.5)(cut_off(data))))


KINDS: dict[str, Callable[[FloatVolume], FloatVolume]] = {
    "scaled and offset, rounded": scaled,
    "8 bits": eight_bits,
    "offset, cut off at 0": cut_off,
    "smoothed, 4 mm": smoothed(4),
    "smoothed, 8 mm": smoothed(8),
    "3 voxels along x": moved(3, 0, 0),
    "3 voxels along y": moved(0, 3, 0),
    "3 voxels up": moved(0, 0, 3),
    "3 voxels down": moved(0, 0, -3),
    "half a voxel along each axis": moved(0.5, 0.5, 0.5),
    "2.5 voxels along each axis": moved(2.5, -2.5, -2.5),
    "all of it": everything,
}


def main() -> None:
    """Measure and print."""
    parser = page_parser(__doc__)
    parser.add_argument("--cohort", type=Path, default=Path("data/phantom/cohort"))
    parser.add_argument("--scans", type=int, default=60, help="how many scans are copied")
    arguments = parser.parse_args()
    cohort = read_cohort(arguments.cohort)
    n_cohort, n_copied = len(cohort.scans), arguments.scans
    if arguments.quick:
        n_cohort, n_copied = min(QUICK_COHORT, n_cohort), QUICK_SCANS
    if not max(SIZES) <= n_cohort or n_copied > n_cohort:
        raise BenchmarkError(f"expected {max(SIZES)} scans or more, and as many as are copied; got {n_cohort}")
    copied = np.linspace(0, n_cohort - 1, n_copied).round().astype(int)
    prints = _fingerprints(cohort, range(n_cohort), "fingerprints", lambda data: data)
    copies = {kind: _fingerprints(cohort, copied, kind, make) for kind, make in KINDS.items()}
    started = time.perf_counter()
    false_alarms = len(near_copies(prints))
    figures = {
        "n_scans": n_cohort,
        "n_pairs": n_cohort * (n_cohort - 1) // 2,
        "false_alarms": false_alarms,
        "compare_seconds": round(time.perf_counter() - started, 2),
        "fingerprint_milliseconds": round(1000 * _fingerprint_seconds(cohort), 1),
        "fingerprint_bytes": int(prints[0].nbytes),
    }
    rows = [_row(kind, prints, copied, copies[kind]) for kind in KINDS]
    text = [
        f"{figures['n_pairs']:,} pairs of distinct scans ({cohort.kind.caption}): {false_alarms} false alarms. A "
        f"fingerprint takes {figures['fingerprint_milliseconds']} ms and {figures['fingerprint_bytes']:,} bytes, all "
        f"pairs {figures['compare_seconds']} s.",
        f"Found of {n_copied} copies (false alarms), by the size of the cohort they are put into:",
        markdown_table([list(rows[0]), *(list(row.values()) for row in rows)]),
    ]
    publish(arguments, text, {**figures, "kinds": rows})


def _row(
    kind: str, prints: NDArray[np.complex64], copied: NDArray[np.intp], copies: NDArray[np.complex64]
) -> dict[str, str]:
    row = {"kind": kind}
    for size in SIZES:
        row[str(size)] = _counts(_in_small_cohorts(prints, copied, copies, size))
    n = len(prints)
    pairs = set(near_copies(np.concatenate([prints, copies])))
    right = {(int(scan), n + place) for place, scan in enumerate(copied)}
    row[f"{n} + {len(copied)}"] = _counts([(len(pairs & right), len(pairs - right))])
    return row


def _in_small_cohorts(
    prints: NDArray[np.complex64], copied: NDArray[np.intp], copies: NDArray[np.complex64], size: int
) -> Iterable[tuple[int, int]]:
    """(found, false alarms) for each copy in a cohort of its own: the scan, its copy, and others drawn at random."""
    rng = np.random.default_rng(SEED)
    for scan, copy in zip(copied, copies, strict=True):
        others = rng.choice(np.delete(np.arange(len(prints)), scan), size - 2, replace=False)
        pairs = near_copies(np.concatenate([prints[[scan]], [copy], prints[others]]))
        yield ((0, 1) in pairs), len(set(pairs) - {(0, 1)})


def _counts(outcomes: Iterable[tuple[int, int]]) -> str:
    found, false = np.sum(list(outcomes), axis=0)
    return f"{found} ({false})"


def _fingerprints(
    cohort: Cohort, rows: Iterable[int], what: str, change: Callable[[FloatVolume], FloatVolume]
) -> NDArray[np.complex64]:
    rows = list(rows)
    work = Parallel(n_jobs=-1, prefer="threads", return_as="generator")(
        delayed(_fingerprint)(cohort, row, change) for row in rows
    )
    return np.stack(list(progress(work, total=len(rows), what=what, unit="scan", only_on_terminal=True)))


def _fingerprint(cohort: Cohort, row: int, change: Callable[[FloatVolume], FloatVolume]) -> Fingerprint:
    volume = reorient(read_volume(cohort.folder / cohort.scans["path"].iloc[row]))
    return fingerprint(change(np.asarray(volume.data, dtype=np.float32)))


def _fingerprint_seconds(cohort: Cohort) -> float:
    """Median time of one fingerprint, the volume in memory."""
    data = np.array(reorient(read_volume(cohort.folder / cohort.scans["path"].iloc[0])).data)
    samples = []
    for _ in range(9):
        started = time.perf_counter()
        fingerprint(data)
        samples.append(time.perf_counter() - started)
    return float(np.median(samples))


if __name__ == "__main__":
    sys.exit(main())
