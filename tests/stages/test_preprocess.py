import numpy as np
import pandas as pd
import pytest

from datspect.cohort.kind import CohortKind
from datspect.cohort.table import REGISTRATION_NAME, Cohort, read_cohort, write_cohort, write_truth
from datspect.errors import CohortError
from datspect.imaging.striatal_box import BOX_SHAPE
from datspect.imaging.volume import Volume
from datspect.io.arrays import read_array
from datspect.io.digests import file_digest
from datspect.io.records import read_json
from datspect.io.tables import read_table, write_table
from datspect.io.volumes import read_volume, write_volume
from datspect.stages import preprocess

OUTPUTS = {
    "images.npy",
    "striatum.npy",
    "striatal_box.npy",
    "subjects.csv",
    "cohort.json",
    "quality.csv",
    "excluded.csv",
    "truth.csv",
    "other_groups.npy",
    "other_groups_box.npy",
    "other_groups.csv",
    "contact_sheet.png",
}


def _outputs(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_scan_becomes_an_image_in_the_order_of_the_tables(tiny_cohort, tmp_path, write_params):
    cohort = read_cohort(tiny_cohort)
    write_cohort(Cohort(tiny_cohort, CohortKind.PHANTOM, cohort.scans.iloc[[3, 0, 5, 1, 4, 2]]))
    preprocess.main(tiny_cohort, tmp_path / "images", write_params())
    images, subjects = read_array(tmp_path / "images/images.npy"), read_table(tmp_path / "images/subjects.csv")
    quality = read_table(tmp_path / "images/quality.csv")
    assert images.shape == (6, 109, 91, 3)
    assert images.dtype == np.float32
    assert 0 <= images.min() < images.max() <= 1
    assert list(subjects.columns) == ["scan_id", "subject_id", "label", "sex", "age", "site", "visit"]
    assert list(subjects["scan_id"]) == list(quality["scan_id"]) == [f"S{number:02d}" for number in range(6)]
    # The nonspecific brain is grey against a hot striatum in controls, and nearer to white in PD.
    brain = np.median(images[:, 70:80, 40:50], axis=(1, 2, 3))
    assert brain[subjects["label"] == "control"].max() < brain[subjects["label"] == "pd"].min()
    # The voxels of the striatum follow the same order: hotter in controls.
    striatum = read_array(tmp_path / "images/striatum.npy")
    assert striatum.dtype == np.float32
    hottest = striatum.max(axis=(1, 2, 3))
    assert hottest[subjects["label"] == "control"].min() > hottest[subjects["label"] == "pd"].max() > 1
    boxes = read_array(tmp_path / "images/striatal_box.npy", memory_mapped=True)
    assert boxes.dtype == np.float16
    assert boxes.shape == (6, *BOX_SHAPE)
    hottest = np.partition(boxes.reshape(6, -1), -100, axis=1)[:, -100]
    assert hottest[subjects["label"] == "control"].min() > hottest[subjects["label"] == "pd"].max() > 1
    putamen = quality["sbr_putamen_left"]
    assert putamen[subjects["label"] == "control"].min() > 2 * putamen[subjects["label"] == "pd"].max() > 0
    assert read_table(tmp_path / "images/excluded.csv").empty


def test_outputs_repeat_byte_for_byte_whatever_the_order_of_the_cohort(tiny_cohort, tmp_path, write_params):
    params_path = write_params()
    preprocess.main(tiny_cohort, tmp_path / "a", params_path)
    cohort = read_cohort(tiny_cohort)
    write_cohort(Cohort(tiny_cohort, CohortKind.PHANTOM, cohort.scans[::-1]))
    preprocess.main(tiny_cohort, tmp_path / "b", params_path)
    assert set(_outputs(tmp_path / "a")) == OUTPUTS
    assert _outputs(tmp_path / "a") == _outputs(tmp_path / "b")


def test_the_convention_turns_the_picture_and_nothing_that_a_network_sees(tiny_cohort, tmp_path, write_params):
    for convention in ("radiological", "neurological"):
        params = write_params(figures={"convention": convention})
        preprocess.main(tiny_cohort, tmp_path / convention, params)
    one, other = (_outputs(tmp_path / name) for name in ("radiological", "neurological"))
    assert [name for name in sorted(OUTPUTS) if one[name] != other[name]] == ["contact_sheet.png"]


@pytest.fixture
def faulty_cohort(tiny_cohort):
    """S00 cut short, S01 a copy of S03, S04 a second scan of the subject of S02."""
    cohort = read_cohort(tiny_cohort)
    first, copy = (tiny_cohort / cohort.scans["path"][row] for row in (0, 1))
    first.write_bytes(first.read_bytes()[:5000])
    copy.write_bytes((tiny_cohort / cohort.scans["path"][3]).read_bytes())
    cohort.scans.loc[1, "sha256"] = file_digest(copy)
    cohort.scans.loc[4, "subject_id"] = "P02"
    write_cohort(cohort)
    return tiny_cohort


REASONS = {
    "S00": "not a readable NIfTI file",
    "S01": "same voxels as S03",
    "S03": "same voxels as S01",
    "S04": "subject P02 has 2 scans: one is used, here S02",
}


def test_bad_scans_stop_the_stage_all_at_once_and_without_paths(faulty_cohort, tmp_path, write_params):
    with pytest.raises(CohortError, match="4 of 6 scans cannot be used") as caught:
        preprocess.main(faulty_cohort, tmp_path / "images", write_params())
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [f"scan {scan_id}" for scan_id in REASONS]
    assert all(reason in line for reason, line in zip(REASONS.values(), lines, strict=True))
    assert str(faulty_cohort) not in str(caught.value)
    assert ".nii" not in str(caught.value)
    assert not (tmp_path / "images").exists()


def test_bad_scans_can_be_excluded_with_their_reasons(faulty_cohort, tmp_path, write_params):
    preprocess.main(faulty_cohort, tmp_path / "images", write_params(preprocess={"on_bad_scan": "exclude"}))
    excluded = read_table(tmp_path / "images/excluded.csv")
    assert list(excluded["scan_id"]) == list(REASONS)
    assert all(reason in found for reason, found in zip(REASONS.values(), excluded["reason"], strict=True))
    assert list(read_table(tmp_path / "images/subjects.csv")["scan_id"]) == ["S02", "S05"]
    assert len(read_array(tmp_path / "images/images.npy")) == len(read_array(tmp_path / "images/striatum.npy")) == 2
    record = read_json(tmp_path / "images/cohort.json")
    assert {key: record[key] for key in ("kind", "n", "n_excluded")} == {"kind": "phantom", "n": 2, "n_excluded": 4}


@pytest.fixture
def cohort_with_a_near_copy(tiny_cohort):
    """S05 holds the scan of S01, with other grey values and 8 bits."""
    cohort = read_cohort(tiny_cohort)
    original, copy = (tiny_cohort / cohort.scans["path"][row] for row in (1, 5))
    volume = read_volume(original)
    write_volume(copy, Volume(np.rint(volume.data / volume.data.max() * 255), volume.affine))
    cohort.scans.loc[5, "sha256"] = file_digest(copy)
    write_cohort(cohort)
    return tiny_cohort


def test_the_same_scan_under_two_ids_stops_the_stage(cohort_with_a_near_copy, tmp_path, write_params):
    with pytest.raises(CohortError, match="2 of 6 scans cannot be used") as caught:
        preprocess.main(cohort_with_a_near_copy, tmp_path / "images", write_params())
    assert "scan S01: near-copy of S05 (smoothed, shifted or exported anew)" in str(caught.value)
    preprocess.main(cohort_with_a_near_copy, tmp_path / "images", write_params(preprocess={"on_bad_scan": "exclude"}))
    assert list(read_table(tmp_path / "images/excluded.csv")["scan_id"]) == ["S01", "S05"]


def test_a_phantoms_truth_follows_its_scans_and_real_scans_have_none(tiny_cohort, tmp_path, write_params):
    cohort = read_cohort(tiny_cohort)
    cohort.scans.loc[2, "label"] = "swedd"
    write_cohort(cohort)
    truth = cohort.scans[["scan_id", "label"]].assign(true_putamen_left=np.arange(6.0), true_putamen_right=1.0)
    write_truth(tiny_cohort, truth[::-1])
    preprocess.main(tiny_cohort, tmp_path / "phantom", write_params())
    known = read_table(tmp_path / "phantom/truth.csv")
    assert list(known.columns) == ["scan_id", "true_putamen_left", "true_putamen_right"]
    assert dict(zip(known["scan_id"], known["true_putamen_left"], strict=True)) == {
        f"S{number:02d}": float(number) for number in (0, 1, 3, 4, 5)
    }
    write_cohort(Cohort(tiny_cohort, CohortKind.REAL, cohort.scans))
    with pytest.raises(CohortError, match=r"truth\.csv: only a phantom has a truth"):
        preprocess.main(tiny_cohort, tmp_path / "real", write_params())
    (tiny_cohort / "truth.csv").unlink()
    preprocess.main(tiny_cohort, tmp_path / "real", write_params())
    assert list(read_table(tmp_path / "real/truth.csv").columns) == ["scan_id"]


def test_other_groups_are_set_aside_without_a_fault(tiny_cohort, tmp_path, write_params, caplog):
    cohort = read_cohort(tiny_cohort)
    cohort.scans.loc[[0, 3], "label"] = ["swedd", "prodromal"]
    (tiny_cohort / cohort.scans["path"][0]).write_bytes(b"of no matter")
    write_cohort(cohort)
    with caplog.at_level("INFO"):
        preprocess.main(tiny_cohort, tmp_path / "images", write_params(preprocess={"on_bad_scan": "stop"}))
    assert "2 scans set aside, which take no part in training or testing: 1 prodromal, 1 swedd" in caplog.text
    excluded = read_table(tmp_path / "images/excluded.csv")
    assert dict(zip(excluded["scan_id"], excluded["reason"], strict=True)) == {
        "S00": "label swedd takes no part in training or testing",
        "S03": "label prodromal takes no part in training or testing",
    }
    assert set(read_table(tmp_path / "images/subjects.csv")["label"]) == {"control", "pd"}
    assert len(read_array(tmp_path / "images/images.npy")) == len(read_table(tmp_path / "images/quality.csv")) == 4
    record = read_json(tmp_path / "images/cohort.json")
    assert (record["n"], record["n_excluded"]) == (4, 2)


def asked_for(cohort_folder, labels):
    """Label scans by their row, and return what asks for all of these labels."""
    cohort = read_cohort(cohort_folder)
    cohort.scans.loc[list(labels), "label"] = list(labels.values())
    write_cohort(cohort)
    return {"answered": sorted(set(labels.values()))}


def test_other_groups_that_are_asked_for_have_images_of_their_own(tiny_cohort, tmp_path, write_params):
    everybody = write_params()
    preprocess.main(tiny_cohort, tmp_path / "all", everybody)
    images, quality = read_array(tmp_path / "all/images.npy"), read_table(tmp_path / "all/quality.csv")
    asked_for(tiny_cohort, {0: "swedd", 3: "vascular"})
    preprocess.main(tiny_cohort, tmp_path / "aside", write_params())
    preprocess.main(tiny_cohort, tmp_path / "images", write_params(other_groups={"answered": ["vascular"]}))
    aside, asked = _outputs(tmp_path / "aside"), _outputs(tmp_path / "images")
    own = {"other_groups.npy", "other_groups_box.npy", "other_groups.csv"}
    assert {name for name in OUTPUTS if aside[name] != asked[name]} == own, "nothing of the others follows from it"
    table = read_table(tmp_path / "images/other_groups.csv")
    assert list(table["scan_id"]) == ["S03"]
    assert list(table["label"]) == ["vascular"]
    assert table["sbr_putamen_left"][0] == quality["sbr_putamen_left"][3]
    np.testing.assert_array_equal(read_array(tmp_path / "images/other_groups.npy"), images[[3]])
    boxes = read_array(tmp_path / "images/other_groups_box.npy")
    np.testing.assert_array_equal(boxes, read_array(tmp_path / "all/striatal_box.npy")[[3]])
    assert read_table(tmp_path / "aside/other_groups.csv").empty
    assert read_array(tmp_path / "aside/other_groups.npy").shape == (0, 109, 91, 3)


def test_a_bad_scan_of_another_group_counts_where_it_is_asked_for(tiny_cohort, tmp_path, write_params):
    asked = asked_for(tiny_cohort, {0: "swedd", 3: "vascular", 4: "vascular"})
    cohort = read_cohort(tiny_cohort)
    (tiny_cohort / cohort.scans["path"][0]).write_bytes(b"cut short")
    cohort.scans.loc[3, "subject_id"] = "P01"
    write_cohort(cohort)
    with pytest.raises(CohortError, match="2 of 6 scans cannot be used"):
        preprocess.main(tiny_cohort, tmp_path / "images", write_params(other_groups=asked))
    params = write_params(other_groups=asked, preprocess={"on_bad_scan": "exclude"})
    preprocess.main(tiny_cohort, tmp_path / "images", params)
    excluded = read_table(tmp_path / "images/excluded.csv").set_index("scan_id")["reason"]
    label = "label {} takes no part in training or testing"
    assert excluded["S00"].startswith(f"{label.format('swedd')}; not a readable NIfTI file")
    assert excluded["S03"].startswith(f"{label.format('vascular')}; subject P01 has two labels")
    assert excluded["S04"] == label.format("vascular")
    assert list(read_table(tmp_path / "images/other_groups.csv")["scan_id"]) == ["S04"]
    # The scan that S03 contradicts trains on: what is asked for changes nothing there.
    assert list(read_table(tmp_path / "images/subjects.csv")["scan_id"]) == ["S01", "S02", "S05"]


def test_a_cohort_of_other_groups_alone_has_nothing_to_tell_apart(tiny_cohort, tmp_path, write_params):
    cohort = read_cohort(tiny_cohort)
    write_cohort(Cohort(tiny_cohort, CohortKind.REAL, cohort.scans.assign(label="swedd")))
    with pytest.raises(CohortError, match="no scan is labelled control or pd"):
        preprocess.main(tiny_cohort, tmp_path / "images", write_params())


def test_a_cohort_without_a_usable_scan_stops_even_so(tiny_cohort, tmp_path, write_params):
    for path in (tiny_cohort / "volumes").iterdir():
        path.unlink()
    with pytest.raises(CohortError, match="none of 6 scans can be used"):
        preprocess.main(tiny_cohort, tmp_path / "images", write_params(preprocess={"on_bad_scan": "exclude"}))


def test_the_data_digest_follows_the_scans_in_use_alone(tiny_cohort, tmp_path, write_params):
    def digest(**changes):
        preprocess.main(tiny_cohort, tmp_path / "images", write_params(preprocess=changes))
        return read_json(tmp_path / "images/cohort.json")["digest"]

    before = digest()
    assert digest(intensity="nonspecific_ratio", input_size=[80, 80]) == before
    (tiny_cohort / "volumes/S05.nii").unlink()
    assert digest(on_bad_scan="exclude") != before


def test_size_and_intensity_follow_the_params(tiny_cohort, tmp_path, write_params):
    changes = {"intensity": "nonspecific_ratio", "input_size": [120, 96]}
    preprocess.main(tiny_cohort, tmp_path / "images", write_params(preprocess=changes))
    images = read_array(tmp_path / "images/images.npy")
    assert images.shape == (6, 120, 96, 3)
    assert np.median(images[:, 80:90, 42:53]) == pytest.approx(1 / 8, rel=0.03)


def test_how_well_scans_were_registered_stands_beside_their_quality(tiny_cohort, tmp_path, write_params):
    write_table(tiny_cohort / REGISTRATION_NAME, pd.DataFrame({"scan_id": ["S03", "S01"], "margin": [0.1, 0.9]}))
    preprocess.main(tiny_cohort, tmp_path / "images", write_params())
    quality = read_table(tmp_path / "images/quality.csv").set_index("scan_id")
    assert quality["registration_margin"].dropna().to_dict() == {"S01": 0.9, "S03": 0.1}
    assert len(quality) == 6
