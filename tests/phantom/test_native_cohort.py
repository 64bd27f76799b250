from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine
from pydicom import dcmread

from datspect.errors import CohortError
from datspect.importing.nifti_folder import Columns, plan_nifti
from datspect.importing.pseudonyms import Pseudonyms
from datspect.io.delimited import read_delimited
from datspect.io.records import read_json
from datspect.io.sources import find_sources
from datspect.io.volumes import read_volume
from datspect.phantom.native import STRIATA
from datspect.phantom.native_cohort import (
    IN_MNI,
    PARTICIPANTS,
    SCANS,
    TRUTH,
    check_empty,
    native_params,
    write_native_cohort,
)


def of(laboratory, n_scans, seed=2019):
    params = native_params(laboratory.params, n_scans, seed)
    return type(laboratory)(**(vars(laboratory) | {"params": params}))


@pytest.fixture(scope="module")
def written(laboratory, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("native") / "cohort"
    write_native_cohort(folder, of(laboratory, 4), "nifti", in_mni=True, n_workers=1)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_table_names_every_scan_and_the_truth_lies_apart(written):
    table = pd.read_csv(written / PARTICIPANTS, sep="\t")
    assert list(table.columns) == ["participant_id", "group", "age", "sex", "site", "file"]
    assert table["participant_id"].is_unique
    assert set(table["group"]) == {"pd", "control"}
    assert sorted(table["file"]) == sorted(path.name for path in (written / SCANS).iterdir())
    assert list(read_json(written / TRUTH)) == list(table["participant_id"])
    assert "PHANTOM" in (written / "README.txt").read_text()


def test_the_truth_leads_to_the_striata_of_the_file(written):
    for subject, truth in read_json(written / TRUTH).items():
        image = nib.Nifti1Image.from_filename(written / SCANS / truth["file"])
        assert b"PHANTOM" in image.header["descrip"].item()
        assert list(image.shape) == truth["shape"]
        mni = np.array([truth["striata"][name]["mni_mm"] for name in STRIATA])
        native = np.array([truth["striata"][name]["native_mm"] for name in STRIATA])
        np.testing.assert_allclose(apply_affine(np.array(truth["to_native"]), mni), native)
        voxels = apply_affine(np.linalg.inv(image.affine), native)
        assert (voxels >= 0).all()
        assert (voxels < image.shape).all()
        data = np.asarray(image.dataobj)
        nearest = data[tuple(np.rint(voxels).astype(int).T)]
        assert nearest.mean() > 1.2 * np.median(data[data > data.max() / 10])
        assert read_volume(written / IN_MNI / f"{subject}.nii").data.max() > 0


def test_the_importer_of_nifti_folders_finds_a_file_for_every_row(written):
    participants = read_delimited(written / PARTICIPANTS)
    sources = find_sources([written / SCANS])
    plan = plan_nifti(sources, participants, Pseudonyms(b"k" * 32), Columns(file=("file",)))
    assert len(plan.subjects) == 4
    assert not plan.exclusions


@pytest.mark.slow
def test_the_number_of_workers_changes_no_byte(written, laboratory, tmp_path):
    write_native_cohort(tmp_path / "again", of(laboratory, 4), "nifti", in_mni=True, n_workers=2)
    assert contents(tmp_path / "again") == contents(written)


@pytest.mark.slow
def test_a_mixed_cohort_holds_nifti_dicom_and_series_of_slices(laboratory, tmp_path):
    write_native_cohort(tmp_path / "mixed", of(laboratory, 10), "mixed", n_workers=1)
    truth = read_json(tmp_path / "mixed" / TRUTH)
    assert {each["stored_as"] for each in truth.values()} >= {"dicom", "dicom_slices", "nii.gz"}
    for subject, each in truth.items():
        path = tmp_path / "mixed" / SCANS / each["file"]
        if each["stored_as"].startswith("dicom"):
            header = dcmread(next(iter(sorted(path.iterdir()))) if path.is_dir() else path)
            assert (str(header.PatientName), header.PatientID) == ("PHANTOM", subject)
            assert each["axes"] in ("LPS", "LPI")


def test_classes_keep_their_proportion(phantom_params):
    params = native_params(phantom_params.model_copy(update={"n_pd": 449, "n_control": 210}), 200, 7)
    assert (params.n_pd, params.n_control, params.seed) == (136, 64, 7)


def test_a_folder_that_holds_something_is_refused(tmp_path):
    check_empty(tmp_path / "new")
    check_empty(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(CohortError, match="empty one"):
        check_empty(tmp_path)
    with pytest.raises(CohortError, match="empty one"):
        check_empty(tmp_path / "file")
