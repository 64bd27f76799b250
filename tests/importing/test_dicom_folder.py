"""A folder of DICOM files with a table: a series is one scan, and several acquisitions are tried in turn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datspect.errors import ImportingError
from datspect.imaging.volume import Volume, mni_affine
from datspect.importing.nifti_folder import DICOM, Columns, plan_nifti
from datspect.importing.pseudonyms import Pseudonyms
from datspect.io.native_files import Identity, write_dicom, write_dicom_slices
from datspect.io.several_files import with_several_files
from datspect.io.sources import find_sources

NAMES = Pseudonyms(bytes(range(32)))
VOLUME = Volume(np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4), mni_affine())


def identity(subject: str) -> Identity:
    return Identity(subject, is_man=True, age=60.0, site="site1", study="test")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One file for P01, a series for P02, two acquisitions and a report for P03."""
    root = tmp_path / "export"
    for name in ("", "P03", "P03/a", "P03/b"):
        (root / name).mkdir(parents=True, exist_ok=True)
    write_dicom(root / "P01.dcm", VOLUME, identity("P01"))
    write_dicom_slices(root / "P02", VOLUME, identity("P02"))
    write_dicom(root / "P03" / "b" / "IM0001", VOLUME, identity("P03"))
    write_dicom(root / "P03" / "a" / "IM0001", VOLUME, identity("P03"))
    (root / "P03" / "report.pdf").write_bytes(b"%PDF-1.7")
    (root / "P03" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    return root


def table(**columns: list[str]) -> pd.DataFrame:
    rows = pd.DataFrame(columns, dtype=str)
    return rows.set_index(pd.RangeIndex(2, len(rows) + 2, name="row"))


def planned_files(folder: Path, rows: pd.DataFrame, columns: Columns | None = None) -> dict[str, list[str]]:
    sources, unusable = find_sources([folder])
    plan = plan_nifti((with_several_files(sources), unusable), rows, NAMES, columns, kind=DICOM)
    return {
        who.subject_id: [each.source.name for each in who.candidates if each.source is not None]
        for who in plan.subjects
    }


def test_each_person_gets_their_acquisitions_in_order_and_a_series_is_one(folder: Path) -> None:
    rows = table(participant_id=["P01", "P02", "P03"], group=["PD", "Control", "PD"])
    found = planned_files(folder, rows)
    assert found[NAMES.subject("P01")] == ["P01.dcm"]
    (series,) = found[NAMES.subject("P02")]
    assert series.startswith("P02/")
    assert found[NAMES.subject("P03")] == ["P03/a/IM0001", "P03/b/IM0001"]


def test_a_table_names_a_series_by_its_folder(folder: Path) -> None:
    rows = table(participant_id=["x", "y"], group=["PD", "Control"], file=["P02", "P03/b/IM0001"])
    found = planned_files(folder, rows, Columns(file=("file",)))
    assert [len(files) for files in found.values()] == [1, 1]
    assert found[NAMES.subject("x")][0].startswith("P02/")
    assert found[NAMES.subject("y")] == ["P03/b/IM0001"]


def test_candidates_of_one_visit_have_ids_of_their_own(folder: Path) -> None:
    sources, unusable = find_sources([folder])
    rows = table(participant_id=["P03"], group=["PD"])
    plan = plan_nifti((with_several_files(sources), unusable), rows, NAMES, kind=DICOM)
    (who,) = plan.subjects
    assert len({candidate.scan_id for candidate in who.candidates}) == 2
    assert plan.counts["DICOM files and series among them"] == 4


def test_a_folder_without_dicom_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"\0" * 400)
    with pytest.raises(ImportingError, match=r"(?s)no DICOM file was found.*1 of the kind NIfTI"):
        planned_files(tmp_path, table(participant_id=["a"], group=["PD"]))


def test_a_dicom_file_that_the_table_of_a_nifti_folder_names_is_not_counted_as_unread(folder: Path) -> None:
    (folder / "n.nii").write_bytes(b"\0" * 400)
    sources, unusable = find_sources([folder])
    rows = table(participant_id=["x", "y"], group=["PD", "Control"], file=["P01.dcm", "n.nii"])
    plan = plan_nifti((with_several_files(sources), unusable), rows, NAMES, Columns(file=("file",)))
    assert plan.counts["not read: DICOM (.dcm, .ima)"] == 1  # the series of P02
