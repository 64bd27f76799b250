"""Place each scan as `predict` does and keep what the tables need; memory and seconds are those of whole programs."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from nibabel.affines import apply_affine

from datspect.arrays import FloatArray
from datspect.errors import ScanError
from datspect.imaging.orientation import mni_ras_affine, reorient
from datspect.imaging.resampling import resampled_to_mni
from datspect.imaging.volume import Affine, Volume
from datspect.io.native_files import Identity, write_dicom
from datspect.io.scan_reading import ReadScan, read_scan
from datspect.normalisation.placing import USUAL_Z_OFFSET_VOXELS, NotPlacedError, Placed, placed
from datspect.prediction.predictor import Predictor, PreparedScan
from datspect.running.pool import unordered
from datspect.running.progress import progress
from measuring import BenchmarkError, peak_memory_mb
from registration_parts.scans import read_hopeless, read_ordinary

_ONE = """
import sys
from pathlib import Path
from datspect.io.scan_reading import read_scan
from datspect.io.sources import find_sources
from datspect.normalisation.placing import placed
for source in find_sources([Path(path) for path in sys.argv[1:]])[0]:
    placed(read_scan(source))
"""
_WARM_SCANS = 3

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of an ordinary scan.

    error_mm : over the middles of the four nuclei, in the order of `phantom.native.STRIATA`; None if it was refused
    native : ready for the network of each predictor, as it was placed
    by_truth : the same voxels, placed by the true transform
    in_mni : the same reconstruction, brought to MNI space before it was stored on a camera's grid
    """

    name: str
    seconds: float
    reasons: tuple[str, ...] = ()
    how: str = ""
    error_mm: tuple[float, ...] | None = None
    native: tuple[PreparedScan, ...] = ()
    by_truth: tuple[PreparedScan, ...] = ()
    in_mni: tuple[PreparedScan, ...] = ()

    @property
    def mean_error_mm(self) -> float:
        """Mean over the four points; not a number if it was refused."""
        return float("nan") if self.error_mm is None else float(np.mean(self.error_mm))


@dataclass(frozen=True)
class Refusal:
    """What became of a hopeless scan: why it was refused; no reason if it was not."""

    name: str
    kind: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """Peak memory of a program that reads and places the largest scans, and seconds of `predict` of one DICOM file."""

    memory_mb: int
    predict_seconds: float


def place_ordinary(
    folder: Path, names: Sequence[str], predictors: Sequence[Predictor], n_workers: int
) -> list[Outcome]:
    """Place every ordinary scan, in the order of `names`; the predictors expect it at the same height."""
    for predictor in predictors:
        predictor.place()
    return _each(partial(_ordinary, folder, predictors), names, n_workers, "ordinary")


def place_hopeless(folder: Path, names: Sequence[str], n_workers: int) -> list[Refusal]:
    """Place every hopeless scan, in the order of `names`."""
    return _each(partial(_hopeless, folder), names, n_workers, "hopeless")


def answered(outcomes: Iterable[Outcome], predictors: Sequence[Predictor]) -> list[list[tuple[float, float, float]]]:
    """Return P(PD) by each predictor of every accepted scan: as placed, placed by the truth, and in MNI space."""
    accepted = [each for each in outcomes if each.error_mm is not None]
    found = []
    for row, predictor in enumerate(predictors):
        sides = ([getattr(each, side)[row] for each in accepted] for side in ("native", "by_truth", "in_mni"))
        native, by_truth, in_mni = ([each.probability for each in predictor.answers(side)] for side in sides)
        found.append(list(zip(native, by_truth, in_mni, strict=True)))
    return found


def cost(paths: Sequence[Path], scratch: Path, model: Path) -> Cost:
    """Measure memory with the scans of `paths`, and `predict` with the first of them as DICOM."""
    memory = peak_memory_mb([sys.executable, "-c", _ONE, *map(str, paths)])
    dicom = scratch / "one.dcm"
    source = read_ordinary(paths[0].parent, paths[0].stem).source
    write_dicom(dicom, read_scan(source).volume, Identity("P-phantom", True, 60.0, "site", "bench"))
    command = ["datspect", "predict", str(dicom), "--model", str(model)]
    times = []
    for _ in range(_WARM_SCANS):
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - started)
        if done.returncode:
            raise BenchmarkError(f"datspect predict failed: {done.stdout[-300:]}{done.stderr[-300:]}")
    return Cost(memory, float(np.median(times[1:])))


def point_errors_mm(found: Placed, mni_mm: FloatArray, native_mm: FloatArray) -> tuple[float, ...]:
    """Return how far off registration puts each point, shape (N, 3), mm; the MNI grid lies above MNI by the offset."""
    to_scan = np.eye(4) if found.to_scan is None else found.to_scan
    off = apply_affine(to_scan @ _above_mni(), mni_mm) - native_mm
    return tuple(float(each) for each in np.linalg.norm(off, axis=1))


def _above_mni() -> Affine:
    """Return MNI mm to mm of the grid on which scans are placed, shape (4, 4)."""
    above = np.eye(4)
    above[2, 3] = USUAL_Z_OFFSET_VOXELS * mni_ras_affine()[2, 2]
    return above


def _ordinary(folder: Path, predictors: Sequence[Predictor], name: str) -> Outcome:
    scan = read_ordinary(folder, name)
    started = time.process_time()
    try:
        read = read_scan(scan.source)
        found = placed(read, z_offset_voxels=predictors[0].parts.preprocess.z_offset_voxels)
    except ScanError as error:
        return Outcome(name, time.process_time() - started, _reasons(error))
    took = time.process_time() - started
    to_grid = _above_mni() @ np.linalg.inv(scan.to_native)
    by_truth = reorient(resampled_to_mni(Volume(read.volume.data, to_grid @ read.volume.affine), is_whole=False))
    errors = point_errors_mm(found, scan.striata_mni_mm, scan.striata_native_mm)
    prepared = [
        tuple(_prepared(predictor, volume) for predictor in predictors)
        for volume in (found.volume, by_truth, scan.in_mni)
    ]
    return Outcome(name, took, (), found.how, errors, *prepared)


def _hopeless(folder: Path, name: str) -> Refusal:
    scan = read_hopeless(folder, name)
    try:
        placed(read_scan(scan.source))
    except ScanError as error:
        return Refusal(name, scan.kind, _reasons(error))
    return Refusal(name, scan.kind, ())


def _reasons(error: ScanError) -> tuple[str, ...]:
    return error.quality.reasons if isinstance(error, NotPlacedError) else (str(error),)


def _prepared(predictor: Predictor, volume: Volume) -> PreparedScan:
    """Return a volume on the MNI grid, ready for the network; it stays where it is."""
    prepared = predictor.prepare(ReadScan(volume, "header", "mni", 1.0), space="mni")
    return replace(prepared, volume=None)


def _each(work: Callable[[str], Result], names: Sequence[str], n_workers: int, what: str) -> list[Result]:
    """Return the results of `work` in the order of `names`."""

    def numbered(item: tuple[int, str]) -> tuple[int, Result]:
        return item[0], work(item[1])

    done = progress(unordered(numbered, enumerate(names), n_workers), total=len(names), what=what, unit="scans")
    return [result for _, result in sorted(done, key=lambda pair: pair[0])]
