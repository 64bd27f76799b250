"""Write one volume in native space as every kind of file that cameras and converters make of it."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from tests.io.dicom_files import dicom_bytes

SHAPE = (40, 48, 36)
"""Columns, rows, frames."""
MARKED = (7, 31, 12)
"""Column, row and frame of the brightest voxel, far from every middle."""
PIXELS_MM, SLICES_MM = (2.8, 2.4), 3.1
"""Between rows, between columns; between frames."""
POSITION = (-61.5, 20.25, -410.0)
"""Of the first voxel of the first frame, mm in LPS."""
_TILT = np.radians(17.0)
OBLIQUE = (1.0, 0.0, 0.0, 0.0, float(np.cos(_TILT)), float(np.sin(_TILT)))

Files = list[tuple[str, bytes]]
Frames = NDArray[Any]


def native_frames() -> Frames:
    """Shape (frame, row, column), int16: a lukewarm ball with one hot voxel in it."""
    grid = np.stack(np.meshgrid(*(np.arange(n) - n / 2 for n in SHAPE), indexing="ij"))
    ball = np.where((grid**2).sum(axis=0) < 15**2, 300, 10).astype(np.int16)
    ball[MARKED] = 2000
    return np.ascontiguousarray(ball.transpose(2, 1, 0))


def true_affine(slices_mm: float = SLICES_MM, position: Sequence[float] = POSITION) -> NDArray[np.float64]:
    """Index (column, row, frame) to mm in RAS+, written out from the standard (DICOM PS3.3 C.7.6.2.1.1)."""
    right, down = np.array(OBLIQUE).reshape(2, 3)
    steps = np.column_stack([PIXELS_MM[1] * right, PIXELS_MM[0] * down, slices_mm * np.cross(right, down)])
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ steps
    affine[:3, 3] = np.multiply(position, (-1, -1, 1))
    return affine


def volume_file(frames: Frames, **options: Any) -> Files:
    """One multi-frame file with the geometry of this module, unless `options` of `dicom_bytes` say otherwise."""
    geometry = {
        "pixel_spacing": PIXELS_MM, "slice_spacing": SLICES_MM, "slice_thickness": SLICES_MM, "orientation": OBLIQUE,
        "position": POSITION,
    }  # fmt: skip
    return [("volume.dcm", dicom_bytes(frames, **(geometry | options)))]


def slice_files(frames: Frames, order: Sequence[int] | None = None, **options: Any) -> Files:
    """One file a slice, named in the order in which slices are taken; `options` are those of `dicom_bytes`."""
    step = (true_affine()[:3, 2] * (-1, -1, 1)).tolist()
    files = []
    for name, number in enumerate(range(len(frames)) if order is None else order):
        position = [round(start + number * along, 4) for start, along in zip(POSITION, step, strict=True)]
        given = {"position": position, "slice_spacing": None, "place": "top", **options}
        changes = {"NumberOfFrames": None, "SliceVector": None, "FrameIncrementPointer": None}
        changes |= dict(given.pop("changes", {}))
        ((_, content),) = volume_file(frames[number : number + 1], changes=changes, **given)
        files.append((f"IM{name:04d}", content))
    return files


def enhanced_file(frames: Frames, order: Sequence[int] | None = None, *, shared: bool = True, **options: Any) -> Files:
    """A multi-frame file with geometry in functional groups, frames stored in `order`, each with its position."""
    order = list(range(len(frames)) if order is None else order)
    step = true_affine()[:3, 2] * (-1, -1, 1)
    measures, orientation = (
        item(PixelSpacing=list(PIXELS_MM), SliceThickness=SLICES_MM),
        item(ImageOrientationPatient=list(OBLIQUE)),
    )
    common = {"PixelMeasuresSequence": [measures], "PlaneOrientationSequence": [orientation]}
    per_frame = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=list(np.round(np.add(POSITION, number * step), 4)))],
            **({} if shared else common),
        )
        for number in order
    ]
    changes = {"PerFrameFunctionalGroupsSequence": per_frame, "SliceVector": None, "FrameIncrementPointer": None}
    if shared:
        changes["SharedFunctionalGroupsSequence"] = [item(**common)]
    nothing = dict.fromkeys(("pixel_spacing", "slice_spacing", "slice_thickness", "orientation", "position"))
    return volume_file(frames[order], **nothing, changes=changes | options.pop("changes", {}), **options)


def item(**elements: Any) -> Dataset:
    """A data set of these elements."""
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def nifti_file(frames: Frames, code: int = 1, image_class: Any = nib.Nifti1Image) -> Files:
    """A .nii file whose affine has this code."""
    image = image_class(frames.transpose(2, 1, 0), true_affine())
    image.set_sform(image.affine, code)
    image.set_qform(image.affine, code)
    return [("volume.nii", image.to_bytes())]


def pair_files(frames: Frames, image_class: Any = nib.Nifti1Pair) -> Files:
    """Header and voxels as two files."""
    image = image_class(frames.transpose(2, 1, 0), true_affine() if image_class is nib.Nifti1Pair else None)
    image.header.set_zooms((PIXELS_MM[1], PIXELS_MM[0], SLICES_MM))
    return written(image)


def written(image: Any) -> Files:
    """The files of an image of two files."""
    streams = {name: io.BytesIO() for name in ("header", "image", "mat")}
    image.to_file_map({name: nib.FileHolder(fileobj=stream) for name, stream in streams.items()})
    return [("volume.hdr", streams["header"].getvalue()), ("volume.img", streams["image"].getvalue())]


def _head_first(frames: Frames) -> Files:
    first = true_affine()[:3] @ (0, 0, len(frames) - 1, 1) * (-1, -1, 1)
    return volume_file(frames[::-1], slice_spacing=-SLICES_MM, position=tuple(first))


def _numbered_backwards(frames: Frames) -> Files:
    return volume_file(frames[::-1], changes={"SliceVector": list(range(len(frames), 0, -1))})


def _shuffled(files: Callable[[Frames, list[int]], Files]) -> Callable[[Frames], Files]:
    return lambda frames: files(frames, np.random.default_rng(1).permutation(len(frames)).tolist())


FORMS: Mapping[str, Callable[[Frames], Files]] = {
    "orientation with the detector": volume_file,
    "orientation at the top": lambda frames: volume_file(frames, place="top"),
    "frames head first": _head_first,
    "thickness alone": lambda frames: volume_file(frames, slice_spacing=None),
    "big endian": lambda frames: volume_file(frames, syntax="big"),
    "run lengths": lambda frames: volume_file(frames, syntax="rle"),
    "JPEG Lossless": lambda frames: volume_file(frames, syntax="jpeg sv1"),
    "slices numbered out of order": _numbered_backwards,
    "shared functional groups": enhanced_file,
    "functional groups of each frame": lambda frames: enhanced_file(frames, shared=False),
    "frames out of order": _shuffled(enhanced_file),
    "a file a slice": slice_files,
    "slices out of order": _shuffled(slice_files),
    "slices with run lengths": lambda frames: slice_files(frames, syntax="rle"),
    "slices in JPEG Lossless": lambda frames: slice_files(frames, syntax="jpeg"),
    "NIfTI": nifti_file,
    "NIfTI aligned with another scan": lambda frames: nifti_file(frames, 2),
    "NIfTI-2": lambda frames: nifti_file(frames, image_class=nib.Nifti2Image),
    "NIfTI pair": pair_files,
}
"""Ways to store frames so that the same voxel lies at the same place."""
