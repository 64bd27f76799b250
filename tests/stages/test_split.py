import pandas as pd
import pytest

from datspect.errors import CohortError, ParamsError
from datspect.io.tables import read_table, write_table
from datspect.stages import split


@pytest.fixture
def subjects(tmp_path):
    table = pd.DataFrame(
        {
            "scan_id": [f"S{number:04d}" for number in range(659)],
            "subject_id": [f"P{number:04d}" for number in range(659)],
            "label": ["control"] * 210 + ["pd"] * 449,
            "age": 60.0,
        }
    )
    write_table(tmp_path / "subjects.csv", table)
    return table


def test_every_scan_gets_its_place_and_bytes_repeat(subjects, tmp_path, write_params):
    split.main(tmp_path / "subjects.csv", tmp_path / "splits.csv", write_params())
    splits = read_table(tmp_path / "splits.csv")
    assert list(splits.columns) == ["scan_id", "subject_id", "label", "fold", "role", "dev_fold"]
    assert list(splits["scan_id"]) == list(subjects["scan_id"])
    write_table(tmp_path / "subjects.csv", subjects.sample(frac=1, random_state=1))
    split.main(tmp_path / "subjects.csv", tmp_path / "again.csv", write_params())
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "splits.csv").read_bytes()


def test_too_many_folds_stop_the_stage(subjects, tmp_path, write_params):
    with pytest.raises(ParamsError, match=r"split\.n_folds = 211: at most 210"):
        split.main(tmp_path / "subjects.csv", tmp_path / "splits.csv", write_params(split={"n_folds": 211}))
    assert not (tmp_path / "splits.csv").exists()


def test_a_table_without_labels_is_refused(subjects, tmp_path, write_params):
    write_table(tmp_path / "subjects.csv", subjects.drop(columns="label"))
    with pytest.raises(CohortError, match=r"column\(s\) missing: label"):
        split.main(tmp_path / "subjects.csv", tmp_path / "splits.csv", write_params())
