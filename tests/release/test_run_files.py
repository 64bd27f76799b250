"""What a finished run has lost in the artifact store, looked at file by file; what was withheld is not lost."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.tracking.made_up_results import write_result

from datspect.io.records import read_json
from datspect.release.registry import Registry
from datspect.release.run_files import in_words, lost_files, why_absent
from datspect.training import to_mlflow
from datspect.training.to_mlflow import FILES


def send(registry: Registry, root: Path, stage: str, kind: str = "phantom") -> tuple[str, dict[str, Any]]:
    record = write_result(root, stage, kind)
    with to_mlflow.open_relogged_run(record, registry.connection) as run:
        folders = root / "reports" / stage, root / "models" / stage
        to_mlflow.LOGGERS[stage](run, *folders, share_subject_level=False)
    return str(run.run_id), record


@pytest.mark.parametrize("stage", ["cv", "final"])
def test_a_whole_run_has_lost_nothing_and_the_loss_of_any_report_is_named(
    registry: Registry, project: Path, stage: str
) -> None:
    run_id, record = send(registry, project, stage)
    reports = project / "mlruns" / run_id / "artifacts/reports"
    assert lost_files(registry.connection, run_id, record) == []
    for name in ("run.json", *FILES[stage]):
        before = (reports / name).read_bytes()
        (reports / name).unlink()
        assert lost_files(registry.connection, run_id, record) == [f"reports/{name}"]
        (reports / name).write_bytes(b"")
        assert lost_files(registry.connection, run_id, record) == [f"reports/{name}"]
        (reports / name).write_bytes(before)
    assert lost_files(registry.connection, run_id, record) == []


@pytest.mark.parametrize("gone", [".", "reports"])
@pytest.mark.parametrize("how", ["removed", "emptied"])
def test_without_its_folders_a_run_has_lost_all_of_it(registry: Registry, project: Path, gone: str, how: str) -> None:
    run_id, record = send(registry, project, "final")
    folder = project / "mlruns" / run_id / "artifacts" / gone
    shutil.rmtree(folder)
    if how == "emptied":
        folder.mkdir()
    lost = lost_files(registry.connection, run_id, record)
    assert set(lost) == {f"reports/{name}" for name in ("run.json", *FILES["final"])}
    shutil.rmtree(project / "mlruns")  # a disk that is not mounted
    assert set(lost_files(registry.connection, run_id, record)) == {*lost, "model final"}


@pytest.mark.parametrize("name", ["predictions.csv", "roc.png", "metrics.json"])
def test_a_report_with_another_content_than_it_was_sent_with_counts_as_lost(
    registry: Registry, project: Path, name: str
) -> None:
    run_id, record = send(registry, project, "cv")
    path = project / "mlruns" / run_id / "artifacts/reports" / name
    path.write_bytes(path.read_bytes()[:-3] + b"000")
    assert lost_files(registry.connection, run_id, record) == [f"reports/{name} (another file)"]


def test_models_and_the_page_that_came_later_are_looked_at_too(registry: Registry, project: Path) -> None:
    run_id, record = send(registry, project, "final")
    (project / "reports/report.html").write_text(f"of result {record['result_id']}")
    to_mlflow.log_report(registry.connection, run_id, project / "reports", share_subject_level=False)
    assert lost_files(registry.connection, run_id, record) == []
    page = project / "mlruns" / run_id / "artifacts/reports/report.html"
    page.write_text("of nobody")
    assert lost_files(registry.connection, run_id, record) == ["reports/report.html (another file)"]
    page.unlink()
    assert lost_files(registry.connection, run_id, record) == ["reports/report.html"]
    (weights,) = (project / "mlruns").rglob("model.keras")
    weights.unlink()
    assert lost_files(registry.connection, run_id, record) == ["reports/report.html", "model final"]


def test_what_was_withheld_is_not_lost_and_what_was_sent_beside_it_can_be(
    registry: Registry, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datspect.tracking.run.beyond_this_machine", lambda uri: True)
    run_id, record = send(registry, project, "final", "real")
    reports = project / "mlruns" / run_id / "artifacts/reports"
    assert not (reports / "predictions.csv").exists()
    assert lost_files(registry.connection, run_id, record) == []
    (reports / "table2.csv").unlink()
    assert lost_files(registry.connection, run_id, record) == ["reports/table2.csv"]


@pytest.mark.parametrize(
    ("name", "tags", "withheld"),
    [
        ("predictions.csv", {"datspect.subject_level": "withheld"}, True),
        ("misclassified.png", {"datspect.subject_level": "withheld"}, True),
        ("metrics.json", {"datspect.subject_level": "withheld"}, False),
        ("predictions.csv", {}, False),
        ("predictions.csv", {"datspect.cohort_kind": "real"}, False),
    ],
)
def test_only_rows_of_subjects_of_a_run_that_says_so_were_withheld(
    name: str, tags: dict[str, str], withheld: bool
) -> None:
    said = why_absent(name, tags)
    assert said.startswith("it was withheld" if withheld else "it is lost")
    assert ("share_subject_level" in said) is withheld
    assert ("datspect relog --again" in said) is withheld


def test_of_many_files_three_are_named() -> None:
    assert in_words(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert in_words(["a"]) == "a"


def test_a_record_on_disk_stands_in_where_the_run_has_lost_its_own(registry: Registry, project: Path) -> None:
    run_id, record = send(registry, project, "cv")
    reports = project / "mlruns" / run_id / "artifacts/reports"
    for name in ("run.json", "roc.png"):
        (reports / name).unlink()
    assert lost_files(registry.connection, run_id, {}) == ["reports/run.json"]
    assert lost_files(registry.connection, run_id, record) == ["reports/run.json", "reports/roc.png"]
    (reports / "run.json").write_text("no record")
    assert "reports/roc.png" in lost_files(registry.connection, run_id, read_json(project / "reports/cv/run.json"))
