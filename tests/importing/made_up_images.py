"""Make the images of a made-up download, full of identifiers, and list what must not come out of an import."""

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from tests.importing.ppmi_download import Download, MadeUpImage
from tests.io.dicom_files import IDENTIFIERS, PRIVATE_TEXT, PROJECTIONS, dicom_bytes, frames_of

from datspect.imaging.volume import mni_affine
from datspect.phantom.template import mean_phantom

FIRST_SUBJECT, FIRST_IMAGE = 7_351_900_417, 32_366_000_529
"""They are longer than real ones, so that none stands in a digest or a float by chance."""


def image_bytes(image: MadeUpImage) -> bytes:
    """Return the file of an image, as DICOM or NIfTI."""
    rng = np.random.default_rng(int(image.image_id))
    identifiers = {**IDENTIFIERS, "PatientID": image.subject, "StudyDate": f"{image.date:%Y%m%d}"}
    if image.content == "projections":
        frames = rng.integers(0, 90, (64, 32, 32), dtype=np.int16)
        return dicom_bytes(frames, identifiers=identifiers, **PROJECTIONS)
    if image.content == "native":
        return dicom_bytes(rng.integers(0, 90, (40, 64, 64), dtype=np.int16), identifiers=identifiers)
    if image.form == "dcm":
        whole = dicom_bytes(frames_of(voxels(image)), identifiers=identifiers)
    else:
        whole = nifti_bytes(voxels(image), image.subject)
    return whole[: len(whole) // 2] if image.content == "spoilt" else whole


def forbidden(download: Download) -> set[str]:
    """Return texts that no output may hold: ids, dates, names of files and folders, header text."""
    header = {text for text in (*IDENTIFIERS.values(), PRIVATE_TEXT) if len(text) > 5}
    header.remove("Reconstructed DaTSCAN")  # names nobody
    places = {root.as_posix() for root in download.roots} | {root.parent.name for root in download.roots[1:]}
    return download.identifiers() | header | places


def voxels(image: MadeUpImage) -> NDArray[np.int16]:
    """Return a head that lies 3 voxels above MNI, stored right to left, with noise of its own."""
    rng = np.random.default_rng(int(image.twin_of or image.image_id))
    head = mean_phantom(3.0).data[::-1] * 1000
    return np.rint(head + rng.normal(0, 30, head.shape)).astype(np.int16)


def nifti_bytes(data: NDArray[np.int16], subject: str) -> bytes:
    """Return the volume as a file whose header names the subject."""
    nifti = nib.Nifti1Image(data, mni_affine())
    nifti.header["descrip"] = subject.encode()
    nifti.header.extensions.append(nib.nifti1.Nifti1Extension("comment", PRIVATE_TEXT.encode()))
    content: bytes = nifti.to_bytes()
    return content
