"""What a stage writes beside its models, and the record of how it came about."""

from pathlib import Path

import pandas as pd
import pytest
from tests.tracking import made_up_results
from tests.tracking.projects import new_project

from datspect.digests import file_digest
from datspect.io.tables import read_json, read_table
from datspect.recording import CV_FILES, FINAL_FILES


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return new_project(tmp_path, monkeypatch)


def test_the_record_names_what_the_result_was_made_from(project: Path) -> None:
    made_up_results.write_cv(project, run_id="abc")
    record = read_json(project / "reports/cv/run.json")
    params = made_up_results.params()
    assert record["params"] == {
        "classifier": params.classifier.model_dump(),
        "training": params.training.model_dump(),
    }
    assert record["splits_sha256"] == file_digest(project / "splits.csv")
    assert record["tags"]["datspect.result_id"] == record["result_id"]
    assert record["mlflow"] == {"run_id": "abc", "experiment": params.tracking.experiment}
    assert record["git"] == {"commit": None, "dirty": False}  # a folder without git
    assert record["requirements"] == made_up_results.REQUIREMENTS
    assert {"python", "keras", "numpy", "mlflow"} < set(record["releases"])
    started, written = (pd.Timestamp(record[moment]) for moment in ("started", "written"))
    assert started.tzinfo is not None
    assert started <= written


@pytest.mark.parametrize(("stage", "expected"), [("cv", CV_FILES), ("final", FINAL_FILES)])
def test_the_record_holds_the_digest_of_every_file_and_model(project: Path, stage: str, expected: list[str]) -> None:
    made_up_results.write_result(project, stage)
    folder = project / "reports" / stage
    record = read_json(folder / "run.json")
    assert record["files"] == {name: file_digest(folder / name) for name in expected}
    assert {path.name for path in folder.iterdir()} == {"run.json", *expected}
    for model in record["models"]:
        assert model["sha256"] == file_digest(project / "models" / stage / model["file"])


def test_heads_are_listed_with_seed_and_size(project: Path) -> None:
    made_up_results.write_result(project, "cv")
    heads = read_json(project / "reports/cv/run.json")["heads"]
    assert [head["name"] for head in heads] == ["fold-01", "fold-02", "fold-03", "fold-04"]
    assert len({head["seed"] for head in heads}) == 4
    assert [head["n_train"] for head in heads] == read_table(project / "reports/cv/table1.csv")["n_train"].tolist()


def test_the_confusion_table_keeps_the_counts_and_not_the_order_of_subjects(project: Path) -> None:
    made_up_results.write_result(project, "cv")
    confusion = read_table(project / "reports/cv/confusion.csv")
    predictions = read_table(project / "reports/cv/predictions.csv")
    pairs = predictions.rename(columns={"label": "actual", "prediction": "predicted"})[["actual", "predicted"]]
    assert confusion.value_counts().to_dict() == pairs.value_counts().to_dict()
    assert confusion.equals(confusion.sort_values(["actual", "predicted"], ignore_index=True))
    assert not pairs.equals(confusion)
