"""The registered model in MLflow's own registry: what is asked of it, and what it answers for what is not there."""

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from datspect.errors import PromotionError
from datspect.release.checked import model_folder
from datspect.release.dvc_lock import content_md5
from datspect.release.promoting import roll_back
from datspect.release.registry import CHAMPION, DIGEST_TAG, PREVIOUS, Registry, Version, opened
from datspect.tracking import mark_superseded


@pytest.fixture
def predictor(tmp_path: Path) -> Path:
    folder = tmp_path / "predictor"
    folder.mkdir()
    (folder / "predictor.json").write_text("{}")
    return folder


def create(registry: Registry, predictor: Path, digest: str = "d", run_id: str | None = None) -> Version:
    (predictor.parent / "notes.txt").write_text("notes")
    return registry.create(
        predictor,
        run_id=run_id,
        tags={DIGEST_TAG: digest, "dvc.b": "2", "dvc.a": "1"},
        description="said of it",
        extras=[("notes", predictor.parent / "notes.txt")],
    )


def add(registry: Registry, **fields: Any) -> Version:
    """A version without files, which takes less time."""
    created = registry.connection.client.create_model_version("datspect", source="/nowhere", **fields)
    return registry.named(str(created.version))


def test_a_version_gives_back_what_was_stored_with_it(registry: Registry, predictor: Path) -> None:
    run_id = registry.connection.client.create_run(registry.connection.experiment_id).info.run_id
    version = create(registry, predictor, run_id=run_id)
    assert registry.named("1") == version
    assert version.run_id == run_id
    assert list(version.outputs.items()) == [("a", "1"), ("b", "2")]
    assert (registry.artifact(version, "predictor") / "predictor.json").read_text() == "{}"
    assert registry.artifact(version, "notes").read_text() == "notes"
    assert list(registry.artifact(version, "notes").parents[1].rglob("serving.py")), "it carries this package"
    shown = registry.connection.client.get_model_version("datspect", "1").description
    assert shown.startswith("said of it\n\nModel card: [artifacts/card.html](#/experiments/")


def test_what_was_never_stored_and_what_is_gone_are_told_apart(registry: Registry, predictor: Path) -> None:
    version = create(registry, predictor)
    with pytest.raises(PromotionError, match="has no card; it was not made by this project"):
        registry.artifact(version, "card")
    stored = registry.artifact(version, "predictor")
    shutil.rmtree(stored)
    with pytest.raises(PromotionError, match="version 1 of datspect: predictor is gone from MLflow"):
        registry.artifact(version, "predictor")
    shutil.rmtree(stored.parents[1])
    with pytest.raises(PromotionError, match="notes is gone from MLflow; restore models:/m-"):
        registry.artifact(version, "notes")


def test_a_version_is_found_by_number_and_alias_or_there_is_none(registry: Registry) -> None:
    first, second = add(registry), add(registry)
    registry.set_alias(CHAMPION, first)
    assert registry.version("2") == second
    assert registry.version(CHAMPION) == first
    registry.set_alias(CHAMPION, second)
    assert registry.version(CHAMPION) == second
    for absent in ("3", "0", "previous", "no such alias", ""):
        assert registry.version(absent) is None
        with pytest.raises(PromotionError, match=f"datspect has no version {absent}; run datspect register first"):
            registry.named(absent)


def test_without_the_registered_model_there_is_no_version(registry: Registry) -> None:
    registry.connection.client.delete_registered_model("datspect")
    assert registry.version(CHAMPION) is None
    assert registry.version("1") is None
    assert registry.with_digest("d") is None
    registry.ensure()
    registry.ensure()  # there already
    assert registry.model_tags() == {}


def test_the_earliest_version_of_the_same_files_is_found(registry: Registry) -> None:
    for digest in ("other", *["same"] * 10):
        add(registry, tags={DIGEST_TAG: digest})
    found = registry.with_digest("same")
    assert found is not None
    assert found.number == "2"  # not 10, which comes before 2 as text
    assert registry.with_digest("none of them") is None


def test_tags_of_versions_and_of_the_model_are_kept_apart(registry: Registry) -> None:
    first, _ = add(registry), add(registry)
    registry.tag(first, {"a": "1", "b": "2"})
    registry.set_model_tag("c", "3")
    assert registry.named("1").tags == {"a": "1", "b": "2"}
    assert registry.named("2").tags == {}
    assert registry.model_tags() == {"c": "3"}


def test_reports_and_tags_come_from_the_versions_run(registry: Registry, tmp_path: Path) -> None:
    client = registry.connection.client
    run_id = client.create_run(registry.connection.experiment_id, tags={"datspect.result_id": "r"}).info.run_id
    (tmp_path / "table.csv").write_text("a")
    client.log_artifact(run_id, str(tmp_path / "table.csv"), "reports")
    version = add(registry, run_id=run_id)
    assert registry.run_file(version, "table.csv").read_text() == "a"
    assert registry.run_tags(version)["datspect.result_id"] == "r"


@pytest.mark.parametrize("name", ["predictions.csv", "dev_predictions.csv", "run.json"])
@pytest.mark.parametrize("gone", ["file", "reports", "all"])
@pytest.mark.parametrize("withheld", [False, True])
def test_a_report_that_was_lost_is_told_from_one_that_was_withheld(
    registry: Registry, project: Path, tmp_path: Path, name: str, gone: str, withheld: bool
) -> None:
    tags = {"datspect.subject_level": "withheld"} if withheld else {}
    run_id = registry.connection.client.create_run(registry.connection.experiment_id, tags=tags).info.run_id
    for each in ("other.csv", name):
        (tmp_path / each).write_text("a")
        registry.connection.client.log_artifact(run_id, str(tmp_path / each), "reports")
    version = add(registry, run_id=run_id)
    assert registry.run_file(version, name).read_text() == "a"
    artifacts = project / "mlruns" / run_id / "artifacts"
    lost = {"file": artifacts / "reports" / name, "reports": artifacts / "reports", "all": artifacts}[gone]
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    with pytest.raises(PromotionError) as refused:
        registry.run_file(version, name)
    said = str(refused.value)
    assert said.startswith(f"version 1: its run {run_id} has no {name}; it ")
    is_withheld = withheld and name != "run.json"
    assert ("was withheld: rows of single real subjects" in said) is is_withheld
    assert ("is lost, since the run was sent with it" in said) is not is_withheld
    assert "datspect relog" in said


def test_a_report_that_is_not_the_one_that_was_registered_is_refused(registry: Registry, tmp_path: Path) -> None:
    client = registry.connection.client
    run_id = client.create_run(registry.connection.experiment_id).info.run_id
    (tmp_path / "predictions.csv").write_text("a")
    md5 = content_md5(tmp_path / "predictions.csv")
    client.log_artifact(run_id, str(tmp_path / "predictions.csv"), "reports")
    version = add(registry, run_id=run_id, tags={"dvc.reports/final/predictions.csv": md5})
    assert registry.run_file(version, "predictions.csv").read_text() == "a"
    (tmp_path / "predictions.csv").write_text("b")
    client.log_artifact(run_id, str(tmp_path / "predictions.csv"), "reports")
    with pytest.raises(PromotionError, match=f"is not the file that it was registered with .MD5 {md5}, got"):
        registry.run_file(version, "predictions.csv")


def test_in_a_moved_repository_models_reports_and_aliases_are_found(
    registry: Registry, project: Path, predictor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = registry.connection.client
    run_id = client.create_run(registry.connection.experiment_id).info.run_id
    client.log_artifact(run_id, str(project / "params.yaml"), "reports")
    for alias in (PREVIOUS, CHAMPION):
        registry.set_alias(alias, create(registry, predictor, run_id=run_id))
    moved_to = project.rename(tmp_path / "moved")
    monkeypatch.chdir(moved_to)
    with opened() as (again, root, _):
        assert root == moved_to
        now, before = roll_back(again, "it moved")
        assert (now.number, before.number) == ("1", "2")
        assert again.run_file(now, "params.yaml").read_bytes() == (root / "params.yaml").read_bytes()
        assert again.artifact(now, "predictor").is_relative_to(root / "mlruns")
        third = create(again, predictor, digest="another", run_id=run_id)
        assert again.artifact(third, "predictor").is_relative_to(root / "mlruns")
    assert (model_folder(CHAMPION) / "predictor.json").read_text() == "{}"
    assert not project.exists()


def test_reports_of_a_run_whose_files_were_lost_come_from_the_one_that_replaced_it(
    registry: Registry, tmp_path: Path
) -> None:
    client, experiment = registry.connection.client, registry.connection.experiment_id
    (tmp_path / "table.csv").write_text("a")
    lost, new = (client.create_run(experiment).info.run_id for _ in range(2))
    client.log_artifact(new, str(tmp_path / "table.csv"), "reports")
    mark_superseded(registry.connection, [lost], new)
    assert registry.run_file(add(registry, run_id=lost), "table.csv").read_text() == "a"


def test_a_version_without_a_run_here_has_no_reports_and_no_tags(registry: Registry) -> None:
    version = add(registry)
    with pytest.raises(PromotionError, match="version 1 has no run in this MLflow; run datspect relog"):
        registry.run_file(version, "table.csv")
    assert registry.run_tags(version) == {}
    elsewhere = add(registry, run_id="0" * 32)
    assert registry.run_tags(elsewhere) == {}


def test_one_program_at_a_time_has_the_registry_open(project: Path) -> None:
    order = []

    def second() -> None:
        with opened():
            order.append("second")

    with opened() as (_, root, params):
        waiting = threading.Thread(target=second)
        waiting.start()
        with opened(alone=False):  # who only reads does not wait
            waiting.join(timeout=0.5)
            order.append("first")
    waiting.join()
    assert order == ["first", "second"]
    assert root == project
    assert params.tracking.experiment == "datspect"


def test_the_folder_of_a_version_is_found_by_alias_or_the_missing_version_named(
    registry: Registry, predictor: Path
) -> None:
    registry.set_alias(CHAMPION, create(registry, predictor))
    assert (model_folder(CHAMPION) / "predictor.json").read_text() == "{}"
    with pytest.raises(PromotionError, match="no version or alias previous; name a folder, or run datspect register"):
        model_folder("previous")
