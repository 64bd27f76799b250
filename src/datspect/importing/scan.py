"""Bring one subject's scan into a cohort folder: read it, check it, turn it upright if asked, write it."""

import logging
from dataclasses import dataclass
from pathlib import Path

from datspect.cohort.screening import check_volume
from datspect.errors import ImportingError, IneligibleError, ScanError
from datspect.imaging.volume import Volume
from datspect.importing.journal import ImportedScan, PassedOver, volume_path
from datspect.importing.plan import Candidate, PlannedSubject
from datspect.io.digests import file_digest
from datspect.io.nifti import Frames
from datspect.io.scan_reading import ReadScan, on_mni_grid, read_scan
from datspect.io.sources import Source
from datspect.io.volumes import write_volume
from datspect.phantom.uprightness import check_uprightness, uprighted

_VERSION = 1
"""Raise it when the same file and options give another volume: finished scans are then read anew."""

_DIGITS = 4
"""Digits of correlations that are kept. Further ones depend on the number of threads, and bytes must repeat."""

log = logging.getLogger("datspect.importing")


@dataclass(frozen=True)
class ImportOptions:
    """How to import.

    `z_offset_voxels`: the value that the graph has now, None if unknown. `n_workers`: processes that read scans, None
    for one a core.
    """

    fix_orientation: bool = False
    resample: bool = False
    frames: Frames = "refuse"
    strict: bool = False
    z_offset_voxels: float | None = None
    n_workers: int | None = None

    @property
    def made_with(self) -> str:
        """The version and options that a volume depends on besides its file."""
        frames = "" if self.frames == "refuse" else f" frames={self.frames}"
        return f"{_VERSION} fix_orientation={self.fix_orientation} resample={self.resample}{frames}"


@dataclass(frozen=True)
class Failure:
    """A subject without a scan: the last acquisition that was tried ("" if none is listed) and why it failed."""

    subject_id: str
    scan_id: str
    reason: str
    passed_over: tuple[PassedOver, ...] = ()


def import_subject(subject: PlannedSubject, folder: Path, options: ImportOptions) -> ImportedScan | Failure:
    """Try a subject's acquisitions in order; write the volume of the first that is a reconstructed scan.

    Raises
    ------
    ImportingError : the volume cannot be written.
    """
    passed_over: list[PassedOver] = []
    for candidate in subject.candidates:
        try:
            return _import_scan(subject.subject_id, candidate, folder, options, tuple(passed_over))
        except IneligibleError as error:
            passed_over.append(PassedOver(candidate.scan_id, str(error)))
        except ScanError as error:
            return Failure(subject.subject_id, candidate.scan_id, str(error), tuple(passed_over))
    if not passed_over:
        return Failure(subject.subject_id, "", "no scan is listed for this subject")
    *earlier, last = passed_over
    return Failure(subject.subject_id, last.scan_id, last.reason, tuple(earlier))


def _import_scan(
    subject_id: str, candidate: Candidate, folder: Path, options: ImportOptions, passed_over: tuple[PassedOver, ...]
) -> ImportedScan:
    if candidate.source is None:
        raise ScanError("no file of it was found; add it to the download, since a later scan is no replacement")
    scan = _read(candidate.source, options.frames)
    for note in scan.notes:
        log.info("%s: %s", candidate.scan_id, note)
    volume, is_resampled = on_mni_grid(scan, resample=options.resample)
    check_volume(volume)
    seen = check_uprightness(volume)
    fixed = seen.best if options.fix_orientation else ""
    path = folder / volume_path(candidate.scan_id)
    _write(path, uprighted(volume, fixed))
    return ImportedScan(
        subject_id=subject_id,
        scan_id=candidate.scan_id,
        sha256=file_digest(path),
        placed_by=scan.placed_by,
        resampled=is_resampled,
        scale=scan.scale,
        correlations={str(flips): round(value, _DIGITS) for flips, value in seen.correlations.items()},
        best=seen.best,
        margin=round(seen.margin, _DIGITS),
        fixed=fixed,
        z_offset_voxels=round(seen.z_offset_voxels, _DIGITS),
        passed_over=passed_over,
    )


def _read(source: Source, frames: Frames) -> ReadScan:
    try:
        return read_scan(source, frames=frames)
    except ScanError:
        raise
    except Exception as error:  # one file must not stop the rest, nor may an error's text quote its header
        log.debug("reading failed", exc_info=True)
        raise ScanError(f"reading it failed in a way that was not foreseen ({type(error).__name__})") from None


def _write(path: Path, volume: Volume) -> None:
    try:
        write_volume(path, volume)
    except OSError as error:
        raise ImportingError(
            f"a volume cannot be written ({error.strerror}); make room, then the same command goes on"
        ) from None
