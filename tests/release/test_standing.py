"""Which versions have an alias, without a trace of having asked."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from datspect.release.registry import CHALLENGER, CHAMPION, DIGEST_TAG, NAME, PREVIOUS, Registry
from datspect.release.standing import versions_by_alias
from datspect.tracking.connection import TrackingError
from datspect.tracking.remedies import UnusableStoreError

NONE = {CHAMPION: None, CHALLENGER: None, PREVIOUS: None}


def test_without_a_database_there_is_no_version_and_none_is_made(empty_project: Path) -> None:
    assert versions_by_alias() == NONE
    assert not (empty_project / "mlflow.db").exists()


def test_a_database_without_the_model_has_none_either(empty_project: Path, migrated_database: Path) -> None:
    (empty_project / "mlflow.db").write_bytes(migrated_database.read_bytes())
    before = (empty_project / "mlflow.db").read_bytes()
    assert versions_by_alias() == NONE
    assert (empty_project / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("made", ["empty", "of another release"])
def test_a_database_that_is_not_whole_is_told_and_left_alone(
    empty_project: Path, migrated_database: Path, made: str
) -> None:
    path = empty_project / "mlflow.db"
    path.write_bytes(b"" if made == "empty" else migrated_database.read_bytes())
    if made == "of another release":
        with closing(sqlite3.connect(path)) as database:
            database.execute("UPDATE alembic_version SET version_num = 'elsewhere'")
            database.commit()
    before = path.read_bytes()
    with pytest.raises(TrackingError, match="its tables are not those of this MLflow"):
        versions_by_alias()
    assert path.read_bytes() == before


def test_a_version_says_what_its_tags_say(registry: Registry) -> None:
    tags = {DIGEST_TAG: "d", "datspect.cohort_kind": "phantom", "datspect.recipe": "striatum", "dev.loss": "0.2"}
    made = registry.connection.client.create_model_version(NAME, source="/nowhere", tags=tags)
    registry.set_alias(CHALLENGER, registry.named(str(made.version)))
    found = versions_by_alias()
    assert (found[CHAMPION], found[PREVIOUS]) == (None, None)
    challenger = found[CHALLENGER]
    assert challenger is not None
    assert (challenger["version"], challenger["model_digest"], challenger["recipe"]) == (1, "d", "striatum")
    assert challenger["measures"] == {"loss": "0.2"}


def test_a_server_that_is_not_there_and_a_folder_are_errors(
    empty_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1:9 failed"):
        versions_by_alias()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(empty_project))
    with pytest.raises(UnusableStoreError, match="names the folder"):
        versions_by_alias()
