"""The whole status, with versions of a real registry."""

import json
from pathlib import Path

import pytest
from tests.prediction.made_up_predictor import write_predictor
from tests.status.made_up_projects import up_to_date, write_project

from datspect.errors import ParamsError
from datspect.prediction.files import predictor_digest
from datspect.release.registry import CHALLENGER, CHAMPION, DIGEST_TAG, NAME, Registry
from datspect.release.standing import versions_by_alias
from datspect.running.programs import Said
from datspect.status import whole
from datspect.status.text import status_text
from datspect.status.whole import project_status
from datspect.tracking import required_connection

MEASURES = {"dev.roc_auc": "0.9700 (0.9600 to 0.9800)", "dev.accuracy": "0.9165 (0.8929 to 0.9353)"}


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"no project here: .* has dvc.yaml and params.yaml"):
        project_status(tmp_path, 1)


def test_champion_and_challenger_have_figures_and_the_model_on_disk_is_found_among_them(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(project)
    write_predictor(project / "models/predictor")
    digest = predictor_digest(project / "models/predictor")
    with required_connection("datspect") as connection:
        registry = Registry(connection)
        registry.ensure()
        for alias, tag in ((CHAMPION, "another"), (CHALLENGER, digest)):
            tags = {DIGEST_TAG: tag, "datspect.cohort_kind": "phantom", **MEASURES}
            made = connection.client.create_model_version(NAME, source="/nowhere", tags=tags)
            registry.set_alias(alias, registry.named(str(made.version)))
    up_to_date(monkeypatch)
    answer = json.dumps(versions_by_alias())
    monkeypatch.setattr(whole, "said_by", lambda *_, **__: Said(0, f"a line of a library\n{answer}\n"))
    found = project_status(project, 60)
    champion, challenger = found["versions"]["champion"], found["versions"]["challenger"]
    assert (champion["version"], champion["is_workspace"]) == (1, False)
    assert (challenger["version"], challenger["is_workspace"]) == (2, True)
    assert champion["measures"]["roc_auc"] == {"estimate": 0.97, "low": 0.96, "high": 0.98}
    text = status_text(found)
    assert "version 1 (PHANTOM cohort), run none" in text
    assert "roc auc 0.9700 (0.9600 to 0.9800), accuracy 0.9165" in text
    assert ": the challenger\n" in text


def test_a_store_that_does_not_answer_costs_the_versions_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(project)
    uri = "postgresql://ann:s3cret@db.example/runs"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    up_to_date(monkeypatch)
    monkeypatch.setattr(whole, "said_by", lambda *_, **__: Said(1, "", f"error: MLflow at {uri} failed"))
    found = project_status(project, 60)
    assert found["versions"]["unknown"] == "MLflow at postgresql://db.example/runs failed"
    assert "champion     not known: MLflow at" in status_text(found) or "not known: MLflow at" in status_text(found)


@pytest.mark.slow
def test_the_program_that_asks_mlflow_changes_nothing(project: Path) -> None:
    write_project(project)
    with required_connection("datspect") as connection:
        Registry(connection).ensure()
    before = (project / "mlflow.db").read_bytes()
    assert whole.versions_status(project, 120)["named"] == {"champion": None, "challenger": None, "previous": None}
    assert (project / "mlflow.db").read_bytes() == before
