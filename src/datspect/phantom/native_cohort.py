"""Write a folder of native phantom scans as a hospital sends them, a table of participants, and the truth apart."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from datspect.cohort.table import LABELS
from datspect.errors import CohortError
from datspect.imaging.volume import Affine
from datspect.io.atomic import write_text
from datspect.io.native_files import FormCodes, Identity, write_dicom, write_dicom_slices, write_nifti
from datspect.io.records import write_json
from datspect.io.tables import write_table
from datspect.io.volumes import write_volume
from datspect.params.data import PhantomParams, SimulatedGroups
from datspect.phantom.binding import MEASURED
from datspect.phantom.cohort import Laboratory, cohort_members
from datspect.phantom.native import (
    HEAD_MIDDLE_MM,
    STRIATA,
    NativeCamera,
    NativeScan,
    NativeSubject,
    draw_native_camera,
    draw_native_subject,
    moved,
    native_scan,
)
from datspect.running.pool import unordered
from datspect.running.progress import progress

Format = Literal["nifti", "dicom", "mixed"]
FORMATS: tuple[Format, ...] = get_args(Format)
FileKind = Literal["nii", "nii.gz", "dicom", "dicom_slices"]
"""How one scan is written."""

SCANS, PARTICIPANTS, TRUTH, IN_MNI = "scans", "participants.tsv", "truth/transforms.json", "truth/in_mni"
_FILES: Mapping[Format, Mapping[FileKind, float]] = {
    "nifti": {"nii.gz": 0.85, "nii": 0.15},
    "dicom": {"dicom": 0.6, "dicom_slices": 0.4},
    "mixed": {"nii.gz": 0.4, "nii": 0.1, "dicom": 0.3, "dicom_slices": 0.2},
}
_CODES: Mapping[FormCodes, float] = {
    FormCodes(1, 1): 0.5,  # dcm2niix
    FormCodes(1, 0): 0.15,
    FormCodes(0, 1): 0.15,
    FormCodes(2, 1): 0.1,
    FormCodes(2, 2): 0.1,  # SPM
}
"""Codes of the two forms, and how often. [assumed]"""
_DICOM_AXES = {"LPS": 0.75, "LPI": 0.25}
"""Frames are axial, foot first or head first."""
_STREAM = 18
"""Stream of random numbers, which no subject of a cohort has."""
_README = """PHANTOMS: every scan in this folder is simulated, nobody was imaged.

scans/            as cameras store them, in native space
participants.tsv  whose they are; file is the path below scans/
truth/            what a registration would have to find out: it must not see this folder.
                  transforms.json: for each scan the affine from MNI mm of the template to world mm (RAS+) of the scan
"""


def native_params(params: PhantomParams, n_scans: int, seed: int) -> PhantomParams:
    """Return parameters of `n_scans` subjects, classes in the same proportion, none of other groups."""
    share = params.n_control / (params.n_control + params.n_pd)
    n_control = round(share * n_scans)
    nobody = SimulatedGroups(swedd=0, atypical=0, vascular=0)
    sizes = {"n_control": n_control, "n_pd": n_scans - n_control, "other_groups": nobody}
    return params.model_copy(update={**sizes, "seed": seed})


def check_empty(folder: Path) -> None:
    """Refuse a folder that holds anything; a cohort that was cut short would be mixed with another.

    Raises
    ------
    CohortError : there is something in it, or it is no folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CohortError(f"{folder}: expected no such folder, or an empty one; name another or remove it")


def write_native_cohort(
    folder: Path, laboratory: Laboratory, stored_as: Format, *, in_mni: bool = False, n_workers: int | None = None
) -> pd.DataFrame:
    """Simulate the subjects of `laboratory` into an empty `folder`; the number of workers does not change the bytes.

    `in_mni`: also write each reconstruction brought to MNI by the true transform. `participants.tsv` comes last.

    Returns
    -------
    The table of participants: participant_id, group, age, sex, site, file.
    """
    check_empty(folder)
    write_text(folder / "README.txt", _README)
    members = cohort_members(laboratory.params)
    rows = unordered(partial(_write_member, folder, laboratory, stored_as, in_mni), members, n_workers)
    written = sorted(
        progress(rows, total=len(members), what="native phantoms", unit="scans"),
        key=lambda row: str(row[0]["participant_id"]),
    )
    write_json(folder / TRUTH, {row["participant_id"]: truth for row, truth in written})
    participants = pd.DataFrame([row for row, _ in written])
    write_table(folder / PARTICIPANTS, participants, sep="\t")
    return participants


def _write_member(
    folder: Path, laboratory: Laboratory, stored_as: Format, in_mni: bool, member: tuple[str, int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Simulate and write one scan; return its rows of participants.tsv and of the truth."""
    label, index = member
    stream = (_STREAM, LABELS.index(label), index)
    draw = np.random.default_rng(np.random.SeedSequence(laboratory.params.seed, spawn_key=stream))
    kind: FileKind = _drawn(_FILES[stored_as], draw)
    codes: FormCodes = _drawn(_CODES, draw)
    axes: str | None = _drawn(_DICOM_AXES, draw) if kind.startswith("dicom") else None
    subject, rng = draw_native_subject(laboratory, label, index)
    scan = native_scan(subject, draw_native_camera(laboratory, rng, label, axes=axes), rng)
    file = _write_scan(folder / SCANS, scan, subject, kind, codes, laboratory.params.seed)
    if in_mni:
        write_volume(folder / IN_MNI / f"{subject.subject_id}.nii", scan.in_mni)
    row = {
        "participant_id": subject.subject_id,
        "group": subject.person.label,
        "age": round(subject.person.age, 1),
        "sex": "M" if subject.person.is_man else "F",
        "site": scan.camera.acquisition.site,
        "file": file,
    }
    return row, {"file": file, "stored_as": kind, **truth_of(scan, subject)}


def _write_scan(
    folder: Path, scan: NativeScan, subject: NativeSubject, kind: FileKind, codes: FormCodes, seed: int
) -> str:
    """Write the scan and return its path below `folder`."""
    person = subject.person
    identity = Identity(subject.subject_id, person.is_man, person.age, scan.camera.acquisition.site, str(seed))
    match kind:
        case "nii" | "nii.gz":
            name = f"{subject.subject_id}.{kind}"
            write_nifti(folder / name, scan.volume, codes)
        case "dicom":
            name = f"{subject.subject_id}.dcm"
            write_dicom(folder / name, scan.volume, identity)
        case "dicom_slices":
            name = subject.subject_id
            write_dicom_slices(folder / name, scan.volume, identity)
    return name


def truth_of(scan: NativeScan, subject: NativeSubject) -> dict[str, Any]:
    """Return what is true of a scan and its header does not tell."""
    camera = scan.camera
    points = zip(STRIATA, scan.striata_mni_mm.tolist(), scan.striata_native_mm.tolist(), strict=True)
    return {
        "cohort": "phantom",
        "label": subject.person.label,
        "to_native": scan.to_native.tolist(),
        "striata": {name: {"mni_mm": mni, "native_mm": native} for name, mni, native in points},
        "tilt_degrees": round(_tilt_degrees(scan.to_native), 3),
        "shift_mm": round(_shift_mm(camera), 3),
        "axial_mm": round(camera.axial_mm, 2),
        "shape": list(scan.volume.data.shape),
        "dtype": str(scan.volume.data.dtype),
        "axes": camera.header.axes,
        "oblique": not np.allclose(camera.header.to_world[:3, :3], np.eye(3)),
        "family": camera.acquisition.family,
        "counts": round(camera.acquisition.counts),
        "peak": float(scan.volume.data.max()),
        "true_binding": dict(zip(MEASURED, np.round(subject.true_binding, 4).tolist(), strict=True)),
    }


def _tilt_degrees(to_native: Affine) -> float:
    """Return by how much the head is turned in the world of its header."""
    left, _, right = np.linalg.svd(to_native[:3, :3])
    return float(np.degrees(Rotation.from_matrix(left @ right).magnitude()))


def _shift_mm(camera: NativeCamera) -> float:
    """Return how far the head's middle lies from the middle of the stored grid."""
    middle_mm = moved(camera.head_to_camera, HEAD_MIDDLE_MM)
    return float(np.linalg.norm(middle_mm - np.array(camera.grid.centre_mm)))


def _drawn(shares: Mapping[Any, float], rng: np.random.Generator) -> Any:
    return list(shares)[int(rng.choice(len(shares), p=list(shares.values())))]
