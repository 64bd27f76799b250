"""Write volumes of any grid as scanners and converters do: NIfTI with any form codes, DICOM in one file or one a slice.

Written are simulated scans alone; a DICOM object without an identity of its own cannot be made, and the identity that
it gets says what it is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from datspect.errors import ScanError
from datspect.imaging.volume import Affine, Volume
from datspect.io.atomic import replacing

NUCLEAR_MEDICINE = "1.2.840.10008.5.1.4.1.1.20"
SLICE_VECTOR = 0x00540080
MOST_STORED = np.iinfo(np.uint16).max
PHANTOM_NOTE = "PHANTOM: simulated DaT SPECT, no patient"
"""Stands in every header."""
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class FormCodes:
    """Codes of the two affines of a NIfTI header: 0 not given, 1 scanner, 2 another scan, 4 MNI."""

    sform: Literal[0, 1, 2, 4]
    qform: Literal[0, 1, 2, 4]


@dataclass(frozen=True)
class Identity:
    """Who a DICOM object says it is of; `study` makes its unique identifiers, the same for the same text."""

    subject_id: str
    is_man: bool
    age: float
    site: str
    study: str


def write_nifti(path: Path, volume: Volume, codes: FormCodes) -> None:
    """Write `volume` in the type of its voxels, without scaling, as .nii or .nii.gz; same input, same bytes.

    Raises
    ------
    ScanError : neither form has a code, so nobody could know where the volume lies.
    """
    if not (codes.sform or codes.qform):
        raise ScanError("expected a code above 0 for sform or qform, got none; the volume would have no place")
    image = nib.Nifti1Image(volume.data, volume.affine)
    image.set_sform(volume.affine, codes.sform)
    image.set_qform(volume.affine, codes.qform)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = PHANTOM_NOTE
    with replacing(path) as unfinished:
        nib.save(image, unfinished)


def write_dicom(path: Path, volume: Volume, identity: Identity) -> None:
    """Write `volume`, its third axis as frames, as one reconstructed nuclear medicine object."""
    stored, slope = _stored(volume)
    dataset = _described(identity, stored, volume.affine, slope, first=0)
    dataset.NumberOfFrames = len(stored)
    dataset.SliceVector, dataset.NumberOfSlices = list(range(1, len(stored) + 1)), len(stored)
    _write(path, dataset)


def write_dicom_slices(folder: Path, volume: Volume, identity: Identity) -> None:
    """Write `volume` as one object a slice, numbered from 1, into `folder`."""
    stored, slope = _stored(volume)
    for index in range(len(stored)):
        dataset = _described(identity, stored[index : index + 1], volume.affine, slope, first=index)
        dataset.NumberOfFrames, dataset.SliceVector, dataset.NumberOfSlices = 1, [1], 1
        detector = dataset.DetectorInformationSequence[0]
        dataset.ImagePositionPatient = detector.ImagePositionPatient
        dataset.ImageOrientationPatient = detector.ImageOrientationPatient
        _write(folder / f"{identity.subject_id}_{index + 1:04d}.dcm", dataset)


def _stored(volume: Volume) -> tuple[NDArray[np.uint16] | NDArray[np.int16], float]:
    """Return 16-bit frames, shape (frame, row, column), and the slope that leads from them to the values."""
    frames = np.ascontiguousarray(volume.data.transpose(2, 1, 0))
    if frames.dtype in (np.uint16, np.int16):
        return frames, 1.0
    highest = float(frames.max())
    if not (np.isfinite(frames).all() and frames.min() >= 0 and highest > 0):
        raise ScanError("expected finite values of which none is negative and one is above 0")
    slope = float(f"{highest / MOST_STORED:.9g}")  # a decimal string has 16 characters
    return np.rint(np.clip(frames / slope, 0, MOST_STORED)).astype(np.uint16), slope


def _described(
    identity: Identity, frames: NDArray[np.uint16] | NDArray[np.int16], affine: Affine, slope: float, *, first: int
) -> Dataset:
    """Return the object of `frames`, shape (frame, row, column), which begin at slice `first`."""
    dataset = Dataset()
    _add_identity(dataset, identity, first)
    dataset.ImageType = ["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"]
    _, dataset.Rows, dataset.Columns = frames.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(frames.dtype == np.int16)
    if slope != 1:
        dataset.RescaleSlope, dataset.RescaleIntercept = _text(slope), "0"
    dataset.FrameIncrementPointer = [SLICE_VECTOR]
    dataset.EnergyWindowVector, dataset.NumberOfEnergyWindows = [1] * len(frames), 1
    dataset.DetectorVector, dataset.NumberOfDetectors = [1] * len(frames), 1
    _add_geometry(dataset, affine, first)
    dataset.PixelData = frames.astype(frames.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def _add_identity(dataset: Dataset, identity: Identity, first: int) -> None:
    dataset.SOPClassUID, dataset.Modality = NUCLEAR_MEDICINE, "NM"
    for keyword, of in (("StudyInstanceUID", "study"), ("SeriesInstanceUID", "series"), ("SOPInstanceUID", str(first))):
        setattr(dataset, keyword, generate_uid(entropy_srcs=["phantom", identity.study, identity.subject_id, of]))
    dataset.PatientName, dataset.PatientID = "PHANTOM", identity.subject_id
    dataset.PatientSex, dataset.PatientBirthDate = "M" if identity.is_man else "F", ""
    dataset.PatientAge = f"{int(identity.age):03d}Y"
    dataset.StudyDate = dataset.StudyTime = dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, first + 1
    dataset.Manufacturer, dataset.InstitutionName = "datspect phantom", identity.site
    dataset.StudyDescription = dataset.SeriesDescription = dataset.ImageComments = PHANTOM_NOTE
    dataset.PatientPosition = "HFS"


def _add_geometry(dataset: Dataset, affine: Affine, first: int) -> None:
    """Add spacing, place and direction; frames stacked against the cross product have a negative spacing."""
    sizes_mm = np.linalg.norm(affine[:3, :3], axis=0)
    columns, rows, stack = (affine[:3, :3] / sizes_mm).T * _RAS_TO_LPS
    sign = np.sign(np.dot(np.cross(columns, rows), stack))
    dataset.PixelSpacing = [_text(sizes_mm[1]), _text(sizes_mm[0])]
    dataset.SliceThickness, dataset.SpacingBetweenSlices = _text(sizes_mm[2]), _text(sign * sizes_mm[2])
    detector = Dataset()
    detector.CollimatorType = "PARA"
    detector.ImageOrientationPatient = [_text(value) for value in (*columns, *rows)]
    corner_mm = (affine[:3, 3] + first * affine[:3, 2]) * _RAS_TO_LPS
    detector.ImagePositionPatient = [_text(value) for value in corner_mm]
    dataset.DetectorInformationSequence = Sequence([detector])
    dataset.EnergyWindowInformationSequence = Sequence([_window()])
    dataset.RadiopharmaceuticalInformationSequence = Sequence([Dataset()])
    dataset.RadiopharmaceuticalInformationSequence[0].Radiopharmaceutical = "PHANTOM"
    dataset.PatientOrientationCodeSequence = Sequence([])
    dataset.PatientGantryRelationshipCodeSequence = Sequence([])


def _window() -> Dataset:
    """Return the energy window of iodine-123."""
    limits = Dataset()
    limits.EnergyWindowLowerLimit, limits.EnergyWindowUpperLimit = "143", "175"
    window = Dataset()
    window.EnergyWindowRangeSequence = Sequence([limits])
    return window


def _text(value: float) -> str:
    """Return a decimal string, which may have 16 characters."""
    return f"{value + 0.0:.9g}"


def _write(path: Path, dataset: Dataset) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(path.name, dataset, preamble=b"\0" * 128, file_meta=meta)
    with replacing(path) as unfinished:
        dcmwrite(unfinished, file, enforce_file_format=True)
