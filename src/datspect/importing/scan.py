"""Bring one subject's scan into a cohort folder: read it, check it, turn it upright if asked, write it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nibabel.affines import voxel_sizes

from datspect.cohort.screening import check_volume
from datspect.errors import ImportingError, IneligibleError, ScanError
from datspect.imaging.registration import Template
from datspect.importing.folder import DOUBTFUL, REFUSED
from datspect.importing.journal import ImportedScan, PassedOver, transform_path, volume_path
from datspect.importing.plan import Candidate, PlannedSubject
from datspect.io.digests import file_digest
from datspect.io.nifti import Frames
from datspect.io.png import write_figure
from datspect.io.scan_reading import ReadScan, read_scan
from datspect.io.sources import Source
from datspect.io.transforms import write_transform
from datspect.io.volumes import write_volume
from datspect.normalisation.picture import refusal_figure, registration_figure
from datspect.normalisation.placing import NotPlacedError, Placed, Space, placed
from datspect.normalisation.verdict import SURE

_VERSION = 2
"""Raise it when the same file and options give another volume: finished scans are then read anew."""

_DIGITS = 4
"""Digits of correlations that are kept. Further ones depend on the number of threads, and bytes must repeat."""

log = logging.getLogger("datspect.importing")


@dataclass(frozen=True)
class ImportOptions:
    """How to import.

    `space`: where scans lie, see `normalisation.placing`. `template`: what those in another space are registered to,
    None for the mean phantom. `z_offset_voxels`: the value that the graph has now, None if
    unknown. `n_workers`: processes that read scans, None for one a core.
    """

    space: Space = "auto"
    template: Template | None = None
    fix_orientation: bool = False
    frames: Frames = "refuse"
    strict: bool = False
    z_offset_voxels: float | None = None
    n_workers: int | None = None

    @property
    def made_with(self) -> str:
        """The version and options that a volume depends on besides its file."""
        template = "mean phantom" if self.template is None else self.template.digest
        return (
            f"{_VERSION} space={self.space} template={template} fix_orientation={self.fix_orientation} "
            f"frames={self.frames} z_offset_voxels={self.z_offset_voxels}"
        )


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
    _picture_path(folder, candidate.scan_id).unlink(missing_ok=True)  # of an import before
    scan = _read(candidate.source, options.frames)
    for note in scan.notes:
        log.info("%s: %s", candidate.scan_id, note)
    found = _placed(scan, candidate.scan_id, folder, options)
    check_volume(found.volume)
    path = folder / volume_path(candidate.scan_id)
    with _said_when_full():
        write_volume(path, found.volume)
    seen = found.seen
    return ImportedScan(
        subject_id=subject_id,
        scan_id=candidate.scan_id,
        sha256=file_digest(path),
        placed_by=scan.placed_by,
        how=found.how,
        scale=scan.scale,
        correlations={str(flips): round(value, _DIGITS) for flips, value in seen.correlations.items()},
        best=seen.best,
        margin=round(seen.margin, _DIGITS),
        fixed=found.fixed,
        z_offset_voxels=round(seen.z_offset_voxels, _DIGITS),
        notes=scan.notes,
        registration=_registration(found),
        geometry=_geometry(scan) if found.how == "registered" else (),
        passed_over=passed_over,
    )


def _placed(scan: ReadScan, scan_id: str, folder: Path, options: ImportOptions) -> Placed:
    """Place a scan; keep the transform of one that was registered, and pictures of the doubtful and the refused."""
    try:
        found = placed(
            scan,
            space=options.space,
            wrong_way="fix" if options.fix_orientation else "leave",
            z_offset_voxels=options.z_offset_voxels,
            template=options.template,
        )
    except NotPlacedError as error:
        with _said_when_full():
            write_figure(_picture_path(folder, scan_id), refusal_figure(error, scan_id))
        raise
    if found.to_scan is not None:
        with _said_when_full():
            write_transform(folder / transform_path(scan_id), found.to_scan)
            if found.quality is not None and found.quality.margin < SURE:
                picture = registration_figure(found.volume, found.quality, found.z_offset_voxels, scan_id)
                write_figure(folder / DOUBTFUL / f"{scan_id}.png", picture)
    return found


def _picture_path(folder: Path, scan_id: str) -> Path:
    return folder / REFUSED / f"{scan_id}.png"


def _registration(found: Placed) -> dict[str, float] | None:
    """Return what the table of registrations says of a scan."""
    return None if found.quality is None else {k: round(v, _DIGITS) for k, v in found.quality.measures.items()}


def _geometry(scan: ReadScan) -> tuple[str, str]:
    """Return matrix and spacing, in the order of the axes that are stored: a part of a camera's signature."""
    matrix = " x ".join(f"{side}" for side in scan.volume.data.shape)
    return matrix, f"{' x '.join(f'{mm:.2f}' for mm in voxel_sizes(scan.volume.affine))} mm"


def _read(source: Source, frames: Frames) -> ReadScan:
    try:
        return read_scan(source, frames=frames)
    except ScanError:
        raise
    except Exception as error:  # one file must not stop the rest, nor may an error's text quote its header
        log.debug("reading failed", exc_info=True)
        raise ScanError(f"reading it failed in a way that was not foreseen ({type(error).__name__})") from None


@contextmanager
def _said_when_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImportingError(
            f"a scan's file cannot be written ({error.strerror}); make room, then the same command goes on"
        ) from None
