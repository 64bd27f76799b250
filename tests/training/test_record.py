"""What a stage writes beside its models, and the record of how it came about."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from tests.tracking import made_up_results

from datspect.io.digests import file_digest
from datspect.io.records import read_json
from datspect.io.tables import read_table
from datspect.params.network import ParametersFrom
from datspect.training.record import origin_of_parameters
from datspect.training.to_mlflow import FILES

SPLITS_SHA256 = "1a2b3c4d5e6f" + "7" * 52
STUDY = ParametersFrom(study="wide", trial=7, split="1a2b3c4d5e6f")
ELSEWHERE = STUDY.model_copy(update={"split": "1a2b3c4d5e60"})
ROOT = Path(__file__).parents[2]


def test_the_record_names_what_the_result_was_made_from(project: Path) -> None:
    made_up_results.write_cv(project, run_id="abc")
    record = read_json(project / "reports/cv/run.json")
    params = made_up_results.params()
    assert record["params"] == {
        "classifier": params.classifier.model_dump(),
        "training": params.training.model_dump(),
    }
    assert record["settings"]["preprocess"] == params.preprocess.model_dump()
    assert record["name"] == "cv"  # a folder without git
    assert record["splits_sha256"] == file_digest(project / "splits.csv")
    assert record["tags"]["datspect.result_id"] == record["result_id"]
    assert record["mlflow"] == {"run_id": "abc", "experiment": params.tracking.experiment}
    assert record["git"] == {"commit": None, "dirty": False, "changed": []}  # a folder without git
    assert record["requirements"] == made_up_results.REQUIREMENTS
    assert {"python", "keras", "numpy", "mlflow"} < set(record["releases"])
    assert {"processor", "instructions", "cores"} < set(record["machine"])
    digests = {head["weights_sha256"] for head in record["heads"]}
    assert len(digests) == len(record["heads"])  # every head was drawn for itself
    started, written = (pd.Timestamp(record[moment]) for moment in ("started", "written"))
    assert started.tzinfo is not None
    assert started <= written


@pytest.mark.parametrize(("stage", "expected"), FILES.items())
def test_the_record_holds_the_digest_of_every_file_and_model(
    project: Path, stage: str, expected: tuple[str, ...]
) -> None:
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


def splits(n_train: int, n_test: int) -> pd.DataFrame:
    """Two scans of every subject."""
    role = ["train"] * n_train + ["test"] * n_test
    table = pd.DataFrame({"subject_id": [f"P{k}" for k in range(len(role))], "role": role})
    return pd.concat([table, table])


def study_of_today(project: Path, trial: int = 7) -> ParametersFrom:
    """A trial of a study that saw the splits of the made-up results."""
    made_up_results.write_cv(project)
    return ParametersFrom(study="wide", trial=trial, split=file_digest(project / "splits.csv")[:12])


def write_from_study(project: Path, monkeypatch: pytest.MonkeyPatch, stage: str, origin: ParametersFrom | None) -> Any:
    """run.json of a stage whose parameters are of `origin`."""
    changed = made_up_results.params().model_copy(update={"parameters_from": origin})
    with monkeypatch.context() as patch:
        patch.setattr(made_up_results, "params", lambda: changed)
        made_up_results.WRITERS[stage](project)
    return read_json(project / "reports" / stage / "run.json")


def test_the_note_of_cv_counts_the_subjects_that_took_part_in_the_tuning() -> None:
    origin = origin_of_parameters("cv", STUDY, splits(527, 132), SPLITS_SHA256)
    assert origin is not None
    assert (origin["study"], origin["trial"], origin["same_split"]) == ("wide", 7, True)
    for part in ("80 % of these subjects (527 of 659)", "study wide, trial 7", "Table 1", "optimistic", "nested score"):
        assert part in origin["note"]


def test_the_note_of_final_says_that_the_test_subjects_took_no_part() -> None:
    origin = origin_of_parameters("final", STUDY, splits(527, 132), SPLITS_SHA256)
    assert origin is not None
    assert "the 132 test subjects took no part" in origin["note"]
    assert "development folds are optimistic" in origin["note"]


def test_parameters_of_no_study_have_no_note() -> None:
    assert origin_of_parameters("cv", None, splits(3, 1), SPLITS_SHA256) is None


@pytest.mark.parametrize("stage", ["cv", "final"])
def test_of_a_study_of_another_split_nobody_is_said_to_have_taken_part_or_not(stage: str) -> None:
    origin = origin_of_parameters(stage, ELSEWHERE, splits(527, 132), SPLITS_SHA256)
    assert origin is not None
    assert (origin["study"], origin["trial"], origin["same_split"]) == ("wide", 7, False)
    for part in ("another split or cohort", "study wide, trial 7", "not known which of these subjects took part"):
        assert part in origin["note"]
    assert "all figures, those of Table 2 too, may be optimistic" in origin["note"]
    for claim in ("527", "132", "%", "honest", "took no part"):
        assert claim not in origin["note"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["cv", "grouped", "final"])
def test_a_study_is_in_the_record_the_tags_and_the_digest(
    project: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    study = study_of_today(project)
    own, tuned, later = (
        write_from_study(project, monkeypatch, stage, origin)
        for origin in (None, study, study_of_today(project, trial=8))
    )
    assert own["parameters_from"] is None
    assert own["tags"]["datspect.parameters_from"] == "params.yaml"
    assert "mlflow.note.content" not in own["tags"]
    data = made_up_results.training_data("phantom", np.random.default_rng(0))
    digest = file_digest(project / "splits.csv")
    assert tuned["parameters_from"] == origin_of_parameters(stage, study, data.splits, digest)
    assert tuned["parameters_from"]["same_split"] is True
    assert tuned["tags"]["datspect.parameters_from"] == "study wide, trial 7"
    assert tuned["tags"].get("mlflow.note.content") == (None if stage == "final" else tuned["parameters_from"]["note"])
    assert tuned["params"]["parameters_from"] == {"study": "wide", "trial": 7, "split": study.split}
    assert len({record["params_sha256"] for record in (own, tuned, later)}) == 3
    assert len({record["data_sha256"] for record in (own, tuned, later)}) == 1


@pytest.mark.parametrize("stage", ["cv", "final"])
def test_of_a_study_of_another_split_the_runs_of_both_stages_are_described(
    project: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    record = write_from_study(project, monkeypatch, stage, ELSEWHERE)
    assert record["parameters_from"]["same_split"] is False
    assert record["tags"]["mlflow.note.content"] == record["parameters_from"]["note"]


def test_what_trains_runs_again_for_another_study_and_nothing_depends_on_the_search_itself() -> None:
    stages = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    names = {stage: [name.split(".")[0] for name in parts.get("params", [])] for stage, parts in stages.items()}
    assert [stage for stage in names if "parameters_from" in names[stage]] == ["cv", "grouped", "final"]
    assert [stage for stage in names if "tune" in names[stage]] == []
