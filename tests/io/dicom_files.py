"""Write DICOM files as a PPMI download may hold them: nuclear medicine objects full of identifiers."""

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations, product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)
from tests.io.jpeg_files import encoded

Syntax = Literal["explicit", "implicit", "big", "deflated", "rle", "jpeg", "jpeg sv1"]
Place = Literal["detector", "top", "both"]
Frames = NDArray[Any]
"""Shape (frame, row, column)."""

SYNTAXES: Mapping[Syntax, UID] = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg": JPEGLossless,
    "jpeg sv1": JPEGLosslessSV1,
}
PREDICTOR = 6
"""Of files with syntax "jpeg"; "jpeg sv1" has predictor 1 by definition."""
NUCLEAR_MEDICINE = "1.2.840.10008.5.1.4.1.1.20"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.3"
PRIVATE_TEXT = "PRIVATE-NOTE OF DR WHISTLER"

IDENTIFIERS: Mapping[str, str] = {
    "PatientName": "DOE^JANE QUILLFEATHER",
    "PatientID": "73519",
    "PatientBirthDate": "19470316",
    "PatientSex": "F",
    "PatientAge": "065Y",
    "PatientAddress": "12 LARKSPUR LANE",
    "StudyDate": "20120814",
    "SeriesDate": "20120814",
    "AcquisitionDate": "20120813",
    "StudyTime": "154829.508",
    "AccessionNumber": "ACC884213",
    "InstitutionName": "ST ELSEWHERE HOSPITAL",
    "InstitutionAddress": "HARBOUR ROAD",
    "StationName": "GAMMA7",
    "ReferringPhysicianName": "WHISTLER^DR",
    "OperatorsName": "OAKES",
    "StudyDescription": "DATSCAN FOR MRS DOE",
    "SeriesDescription": "Reconstructed DaTSCAN",
    "ProtocolName": "BRAIN DOE",
    "StudyID": "117534",
    "ImageComments": "NORMAL PER DR WHISTLER",
}
"""Every value that must never leave the reader."""

PROJECTIONS: Mapping[str, Any] = {"image_type": ("ORIGINAL", "PRIMARY", "TOMO", "EMISSION"), "projections": True}
"""Options that make a reconstruction a raw acquisition; it needs 60 to 480 frames."""


def frames_of(data: NDArray[Any]) -> Frames:
    """Return frames, in the order PPMI is said to have, of a volume on the stored grid (x left, y forward, z up)."""
    return np.ascontiguousarray(data[:, ::-1, :].transpose(2, 1, 0))


def as_slices(frames: Frames, **options: Any) -> list[bytes]:
    """One file a slice, axial, stacked from the feet up; `options` are those of `dicom_bytes`."""
    changes = dict.fromkeys(("NumberOfFrames", "SliceVector", "FrameIncrementPointer"))
    return [
        dicom_bytes(frames[place : place + 1], position=(-90.0, -90.0, 2.0 * place - 72), changes=changes, **options)
        for place in range(len(frames))
    ]


def turned(ras: NDArray[Any], order: Sequence[int], signs: Sequence[int]) -> tuple[Frames, tuple[float, ...], int]:
    """A RAS+ array as frames whose (frame, row, column) index runs along the world axes `order` times `signs`.

    Returns the frames, Image Orientation (Patient) in LPS, and the sign of Spacing Between Slices.
    """
    frames = np.ascontiguousarray(ras.transpose(order)[tuple(slice(None, None, sign) for sign in signs)])
    along_frames, down_rows, along_columns = (
        sign * np.eye(3)[axis] * (-1, -1, 1) for axis, sign in zip(order, signs, strict=True)
    )
    stacking = round(float(np.dot(np.cross(along_columns, down_rows), along_frames)))
    return frames, (*map(float, along_columns), *map(float, down_rows)), stacking


def all_axis_orders() -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield the 48 ways to name and point three axes."""
    yield from product(permutations(range(3)), product((1, -1), repeat=3))


def dicom_bytes(
    frames: Frames,
    *,
    identifiers: Mapping[str, str] = IDENTIFIERS,
    modality: str | None = "NM",
    sop_class: str = NUCLEAR_MEDICINE,
    image_type: Sequence[str] | None = ("DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"),
    projections: bool = False,
    syntax: Syntax = "explicit",
    pixel_spacing: Sequence[float] | None = (2.0, 2.0),
    slice_spacing: float | None = 2.0,
    slice_thickness: float | None = 2.0,
    orientation: Sequence[float] | None = None,
    position: Sequence[float] | None = None,
    place: Place = "detector",
    slope: float | Sequence[float] | None = None,
    intercept: float | None = None,
    changes: Mapping[str, Any] | None = None,
    private: bool = True,
    preamble: bool = True,
    meta: bool = True,
    cut_to: int | None = None,
) -> bytes:
    """A DICOM file of `frames`, shape (frame, row, column), as int16 or as the integers that they are.

    `changes` are further elements set last, by keyword, so that a header can lie; None deletes one. `preamble=False`
    leaves out the first 132 bytes, `meta=False` the file meta information too. `cut_to` keeps that many bytes.
    """
    dataset = Dataset()
    _add_identity(dataset, identifiers, modality, sop_class, image_type)
    _add_pixels(dataset, frames, big_endian=syntax == "big")
    _add_frame_organisation(dataset, len(frames), projections=projections)
    _add_geometry(dataset, pixel_spacing, slice_spacing, slice_thickness)
    _add_orientation(dataset, orientation, position, place)
    for keyword, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
        if value is not None:
            setattr(dataset, keyword, [*value] if isinstance(value, Sequence) else value)
    if private:
        _add_private(dataset)
    content = _written(dataset, syntax, changes or {}, meta=meta)
    return (content if preamble and meta else content[132:])[:cut_to]


def _add_identity(
    dataset: Dataset,
    identifiers: Mapping[str, str],
    modality: str | None,
    sop_class: str,
    image_type: Sequence[str] | None,
) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.73519.1"
    dataset.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.73519.2"
    dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.73519.3"
    dataset.Manufacturer = "Hermes"
    if modality is not None:
        dataset.Modality = modality
    if image_type is not None:
        dataset.ImageType = list(image_type)
    for keyword, value in identifiers.items():
        setattr(dataset, keyword, value)


def _add_pixels(dataset: Dataset, frames: Frames, *, big_endian: bool) -> None:
    stored = frames if frames.dtype.kind in "iu" and frames.dtype.itemsize <= 4 else frames.astype(np.int16)
    bits = 8 * stored.dtype.itemsize
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    content = stored.astype(stored.dtype.newbyteorder(">" if big_endian else "<")).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"


def _add_frame_organisation(dataset: Dataset, n_frames: int, *, projections: bool) -> None:
    """Module NM multi-frame: which vector counts the frames; 0054,0080 slices, 0054,0090 angular views."""
    numbers = list(range(1, n_frames + 1))
    dataset.EnergyWindowVector, dataset.NumberOfEnergyWindows = [1] * n_frames, 1
    dataset.DetectorVector, dataset.NumberOfDetectors = [1] * n_frames, 1
    if projections:
        dataset.FrameIncrementPointer = [0x00540010, 0x00540020, 0x00540050, 0x00540090]
        dataset.RotationVector, dataset.NumberOfRotations = [1] * n_frames, 1
        dataset.AngularViewVector = numbers
        rotation = Dataset()
        rotation.NumberOfFramesInRotation, rotation.AngularStep, rotation.ScanArc = n_frames, 360 / n_frames, 360
        dataset.RotationInformationSequence = [rotation]
    else:
        dataset.FrameIncrementPointer = [0x00540080]
        dataset.SliceVector, dataset.NumberOfSlices = numbers, n_frames


def _add_geometry(
    dataset: Dataset, pixel_spacing: Sequence[float] | None, slice_spacing: float | None, thickness: float | None
) -> None:
    if pixel_spacing is not None:
        dataset.PixelSpacing = list(pixel_spacing)
    if slice_spacing is not None:
        dataset.SpacingBetweenSlices = slice_spacing
    if thickness is not None:
        dataset.SliceThickness = thickness


def _add_orientation(
    dataset: Dataset, orientation: Sequence[float] | None, position: Sequence[float] | None, place: Place
) -> None:
    """Add the orientation: nuclear medicine keeps it in the first item of the detectors, others at the top level."""
    detector = Dataset()
    detector.CollimatorType = "FANB"
    detector.DetectorDescription = "DETECTOR OF GAMMA7"
    for target in {"detector": [detector], "top": [dataset], "both": [detector, dataset]}[place]:
        if orientation is not None:
            target.ImageOrientationPatient = list(orientation)
        if position is not None:
            target.ImagePositionPatient = list(position)
    dataset.DetectorInformationSequence = [detector]


def _add_private(dataset: Dataset) -> None:
    block = dataset.private_block(0x0009, "HERMES DOE JANE", create=True)
    block.add_new(0x01, "LO", PRIVATE_TEXT)
    block.add_new(0x02, "OB", bytes(range(256)) * 4)
    nested = Dataset()
    nested.PatientID = dataset.get("PatientID", "")
    inner = Dataset()
    inner.ReferencedFileID = ["PPMI", "73519"]
    nested.ReferencedImageSequence = [inner]
    block.add_new(0x03, "SQ", [nested])
    dataset[block.get_tag(0x03)].is_undefined_length = True


def _pack_as_jpeg(file: FileDataset, syntax: Syntax) -> None:
    frames = file.pixel_array.reshape(-1, file.Rows, file.Columns)
    bits = int(file.BitsAllocated)
    predictor = PREDICTOR if syntax == "jpeg" else 1
    unsigned = frames.view(f"u{bits // 8}")
    streams = [encoded(frame, predictor=predictor, precision=bits) for frame in unsigned]
    file.PixelData = encapsulate(streams)
    file["PixelData"].VR = "OB"
    file["PixelData"].is_undefined_length = True
    file.file_meta.TransferSyntaxUID = SYNTAXES[syntax]


def _written(dataset: Dataset, syntax: Syntax, changes: Mapping[str, Any], *, meta: bool) -> bytes:
    """Return the bytes of the file; without `meta`, those of the data set alone after 132 bytes."""
    file_meta = FileMetaDataset()
    file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    is_packed = syntax in ("rle", "jpeg", "jpeg sv1")
    file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if is_packed else SYNTAXES[syntax]
    buffer = io.BytesIO()
    with config.disable_value_validation():  # some tests need headers that lie
        file = FileDataset(buffer, dataset, preamble=b"\0" * 128, file_meta=file_meta)
        if syntax == "rle":
            file.compress(RLELossless, generate_instance_uid=False)
        elif is_packed:
            _pack_as_jpeg(file, syntax)
        for keyword, value in changes.items():
            if value is None:
                delattr(file, keyword)
            else:
                setattr(file, keyword, value)
        if meta:
            dcmwrite(buffer, file, enforce_file_format=True)
        else:
            chosen = SYNTAXES[syntax]
            del file.file_meta
            file.preamble = None
            buffer.write(b"\0" * 132)
            dcmwrite(buffer, file, implicit_vr=chosen.is_implicit_VR, little_endian=chosen.is_little_endian)
    return buffer.getvalue()
