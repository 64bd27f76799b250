"""`datspect evaluate` counts every scan, judges those with a class, and stops at subjects that the model has met."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from tests.commands.documented import json_keys
from tests.prediction.made_up_predictor import write_striatal_predictor

from datspect.cohort.table import Cohort, read_cohort, write_cohort
from datspect.commands.evaluate import choose, evaluate
from datspect.commands.exits import WrongUseError
from datspect.commands.predict import Format
from datspect.errors import CohortError, LeakageError
from datspect.io.tables import write_table
from datspect.release.dvc_lock import content_md5
from datspect.release.known_subjects import KnownSubjects, known_subjects, why_unknown
from datspect.release.membership import subject_digests


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "models" / "predictor"
    folder.mkdir(parents=True)
    write_striatal_predictor(folder)
    return folder


@pytest.fixture
def copied(model: Path, tmp_path: Path) -> Path:
    """The predictor in a folder that says nothing of its training."""
    return Path(shutil.copytree(model, tmp_path / "predictor"))


def with_rows(cohort: Path, **columns: list[str]) -> Cohort:
    read = read_cohort(cohort)
    changed = Cohort(cohort, read.kind, read.scans.assign(**columns))
    write_cohort(changed)
    return read_cohort(cohort)


def printed(cohort: Path, model: Path, capsys: pytest.CaptureFixture[str], form: Format = "table") -> str:
    evaluate(cohort, str(model), form, prevalence=None, leave_out_known=False)
    return capsys.readouterr().out


def test_every_form_holds_the_same_figures_and_calls_a_phantom_a_phantom(
    copied: Path, tiny_cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads(printed(tiny_cohort, copied, capsys, "json"))
    rows = {
        (row["part"], row["name"]): row
        for row in csv.DictReader(io.StringIO(printed(tiny_cohort, copied, capsys, "csv")))
    }
    text = printed(tiny_cohort, copied, capsys)
    assert set(record) == json_keys("evaluate")
    assert record["cohort"] == {"kind": "phantom", "scans": {"control": 3, "pd": 3}}
    assert record["model"]["cohort_kind"] == "phantom"
    assert rows["about", "cohort_kind"]["value"] == rows["about", "model_cohort_kind"]["value"] == "phantom"
    assert rows["about", "training_subjects_known"]["value"] == "False"
    assert float(rows["measures", "roc_auc"]["value"]) == record["measures"]["roc_auc"]
    assert float(rows["shares", "inconclusive"]["high"]) == record["shares"]["inconclusive_high"]
    assert f" {record['measures']['accuracy']:.4f} (" in text
    assert text.count("PHANTOM cohort, simulated") == 2
    assert "is not known here" in text
    assert "no diagnosis" in text


def test_refused_scans_are_counted_named_and_in_no_measure(
    copied: Path, tiny_cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiny_cohort / "volumes" / "S01.nii").write_bytes(b"spoilt")
    record = json.loads(printed(tiny_cohort, copied, capsys, "json"))
    assert record["shares"]["n_refused"] == 1
    assert record["measures"]["n"] == 5
    text = printed(tiny_cohort, copied, capsys)
    assert "Refused:\n  S01: neither a DICOM nor a NIfTI file" in text


def locked(splits: str, predictor: str) -> str:
    """A lock file of a graph that made the predictor from the split."""
    return (
        f"schema: '2.0'\nstages:\n  predictor:\n    cmd: x\n    deps: [{{path: data/splits.csv, md5: '{splits}'}}]\n"
        f"    outs: [{{path: models/predictor, md5: '{predictor}'}}]\n"
    )


def test_subjects_of_the_graph_that_made_the_model_stop_it_or_are_left_out(
    model: Path, tiny_cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.DataFrame({"subject_id": ["P00", "P01", "P02", "P100"], "role": ["train", "train", "test", "train"]})
    root = model.parents[1]
    write_table(root / "data" / "splits.csv", table)
    lock = (root / "dvc.lock").write_text
    lock(locked(splits=content_md5(root / "data/splits.csv"), predictor=content_md5(model)))
    with pytest.raises(
        LeakageError, match=r"of 6 subjects the model has met 3 \(2 it was trained on, 1 in its test set\)"
    ):
        evaluate(tiny_cohort, str(model), "json", prevalence=None, leave_out_known=False)
    evaluate(tiny_cohort, str(model), "json", prevalence=None, leave_out_known=True)
    record = json.loads(capsys.readouterr().out)
    assert record["cohort"]["scans"] == {"control": 1, "pd": 2}
    assert record["left_out"] == {"of a subject that the model has met": 3}
    assert record["training_subjects_known"]
    assert known_subjects(str(model)) is not None
    lock(locked(splits=content_md5(root / "data/splits.csv"), predictor="0" * 32))  # as of another model
    assert known_subjects(str(model)) is None
    lock(locked(splits=content_md5(root / "data/splits.csv"), predictor=content_md5(model)))
    table["subject_id"] = ["P03", "P01", "P02", "P100"]  # as many as before, another split: dvc repro has stopped
    write_table(root / "data" / "splits.csv", table)
    assert known_subjects(str(model)) is None
    cause = r"by dvc\.lock, data/splits\.csv is not that of this model; run dvc repro"
    with pytest.raises(LeakageError, match=f"--leave-out-known: .*{cause}"):
        evaluate(tiny_cohort, str(model), "json", prevalence=None, leave_out_known=True)
    assert re.search(cause, printed(tiny_cohort, model, capsys))
    (root / "dvc.lock").unlink()
    assert known_subjects(str(model)) is None


def test_subjects_of_a_version_are_known_by_their_digests() -> None:
    salt = "00" * 16
    known = KnownSubjects({"train": frozenset(subject_digests(["P1"], salt)), "test": frozenset()}, salt)
    assert known.roles_of(["P1", "P2"]) == ["train", ""]
    assert "P1" not in known.roles["train"]


def test_a_folder_that_was_copied_out_of_its_project_says_nothing_of_its_training(copied: Path) -> None:
    assert known_subjects(str(copied)) is None
    assert "a folder on its own does not say it" in why_unknown(str(copied))


def test_the_known_are_not_left_out_in_silence_where_nobody_knows_them(copied: Path, tiny_cohort: Path) -> None:
    with pytest.raises(LeakageError, match=r"--leave-out-known: .*a folder on its own does not say it"):
        evaluate(tiny_cohort, str(copied), "table", prevalence=None, leave_out_known=True)


def test_other_labels_and_later_visits_are_left_out_and_counted(tiny_cohort: Path) -> None:
    cohort = with_rows(
        tiny_cohort,
        label=["control", "pd", "swedd", "pd", "control", "pd"],
        subject_id=["P0", "P1", "P2", "P1", "P4", "P5"],
        visit=["BL", "V04", "BL", "BL", "BL", "BL"],
    )
    chosen = choose(cohort, None, leave_out_known=False)
    assert list(chosen.scans["scan_id"]) == ["S00", "S03", "S04", "S05"]
    assert chosen.left_out == {"of another label": 1, "a later scan of the subject": 1}


def test_the_second_visit_comes_before_the_tenth(tiny_cohort: Path) -> None:
    cohort = with_rows(tiny_cohort, subject_id=["P0", "P1", "P2", "P3", "P0", "P5"], visit=["V10", *["V2"] * 5])
    assert list(choose(cohort, None, leave_out_known=False).scans["scan_id"]) == ["S04", "S01", "S02", "S03", "S05"]


def test_a_subject_with_two_labels_is_refused(tiny_cohort: Path) -> None:
    cohort = with_rows(tiny_cohort, subject_id=["P0", "P1", "P2", "P0", "P4", "P5"], visit=["V01", *["V02"] * 5])
    with pytest.raises(CohortError, match=r"1 subject\(s\) have two labels"):
        choose(cohort, None, leave_out_known=False)


def test_a_cohort_without_pd_or_controls_is_refused(tiny_cohort: Path) -> None:
    cohort = with_rows(tiny_cohort, label=["swedd"] * 6)
    with pytest.raises(CohortError, match=r"no scan to evaluate on \(6 of another label\)"):
        choose(cohort, None, leave_out_known=False)


def test_missing_volumes_and_an_impossible_prevalence_stop_before_anything_is_read(
    copied: Path, tiny_cohort: Path
) -> None:
    with pytest.raises(WrongUseError):
        evaluate(tiny_cohort, str(copied), "table", prevalence=1.0, leave_out_known=False)
    (tiny_cohort / "volumes" / "S04.nii").unlink()
    with pytest.raises(CohortError, match="the volume of 1 of 6 scans is missing, such as S04"):
        evaluate(tiny_cohort, str(copied), "table", prevalence=None, leave_out_known=False)
