"""`datspect compare`: what it says, what it writes and sends, what it counts, and what it ends with."""

import json
import re
import shutil
from pathlib import Path

import pytest
import typer
from tests.commands.documented import json_keys
from tests.release.made_up_commits import turn_answers, write_results
from tests.tracking.made_up_results import PARAMS_PATH
from tests.tracking.projects import Recorded

from datspect.commands.compare import compare
from datspect.errors import DatspectError
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table
from datspect.release.looks import LOOKS_TAG, name_of_test_set
from datspect.release.registry import NAME, Registry
from datspect.release.stage_results import ComparisonError
from datspect.tracking import TrackingError, required_connection
from datspect.training import to_mlflow

Printed = pytest.CaptureFixture[str]
IN_PICTURES = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def project(project: Path) -> Path:
    shutil.copy(PARAMS_PATH, project)
    return project


def run_of(root: Path, stage: str) -> str:
    with to_mlflow.open_stage_run(read_json(root / "reports" / stage / "run.json")) as sent:
        to_mlflow.LOGGERS[stage](sent, root / "reports" / stage, root / "models" / stage, share_subject_level=False)
    return str(sent.run_id)


def version_of(run_id: str, test_set: str) -> None:
    with required_connection("datspect") as connection:
        Registry(connection).ensure()
        tags = {"datspect.test_set": test_set}
        connection.client.create_model_version(NAME, source="file:///nowhere", run_id=run_id, tags=tags)


def looks() -> dict[str, str]:
    with required_connection("datspect") as connection:
        Registry(connection).ensure()
        return {key: value for key, value in Registry(connection).model_tags().items() if key.startswith(LOOKS_TAG)}


@pytest.fixture
def run_id(project: Path) -> str:
    """A run of stage cv; the workspace then holds another result of it."""
    write_results(project, "cv")
    first = run_of(project, "cv")
    turn_answers(project / "reports/cv")
    return first


def test_it_prints_and_writes_what_differs(project: Path, run_id: str, capsys: Printed) -> None:
    compare(run_id)
    printed = capsys.readouterr().out
    assert printed.startswith("PHANTOM cohort: simulated scans, not patients\n")
    assert f"A  run {run_id} of stage cv\n  B  the results on disk\n" in printed
    assert re.search(r"accuracy +0\.\d{4} \(.*\) +0\.\d{4} \(.*\) +[+-]0\.\d{4} \([+-].* to [+-].*\)\n", printed)
    assert printed.endswith(
        f"written to reports/comparisons/{run_id}-vs-workspace: comparison.md, comparison.json, comparison.png\n"
    )
    folder = project / f"reports/comparisons/{run_id}-vs-workspace"
    assert (folder / "comparison.png").read_bytes().startswith(IN_PICTURES)
    page = (folder / "comparison.md").read_text("utf-8")
    assert "PHANTOM cohort: simulated scans, not patients" in page
    assert page.endswith("![differences and ROC curves](comparison.png)\n")
    record = json.loads((folder / "comparison.json").read_text("utf-8"))
    assert record["kind"] == "phantom"
    (compared,) = record["sets"]
    assert compared["n_paired"] == compared["n"][0]
    ours, theirs = (side["accuracy"] for side in compared["measures"])
    assert compared["differences"]["accuracy_difference"] == pytest.approx(ours - theirs)


def test_no_file_holds_a_single_subject(project: Path, run_id: str) -> None:
    compare(run_id, into=project / "there")
    for file in (project / "there").iterdir():
        content = file.read_bytes()
        assert b"SOMEBODY-" not in content
        assert b"SCAN-OF-" not in content


def test_on_request_it_is_a_run_of_its_own_with_what_was_compared(
    project: Path, run_id: str, recorded: Recorded, capsys: Printed
) -> None:
    compare(run_id, "workspace", into=project / "there", log=True)
    (run,) = recorded.runs("tags.`datspect.stage` = 'compare'")
    assert f"sent to MLflow as run {run.info.run_id}" in capsys.readouterr().out
    assert (run.info.status, run.info.run_name) == ("FINISHED", f"{run_id} vs workspace")
    assert run.data.tags["datspect.compared_a"] == f"run {run_id} of stage cv"
    assert run.data.tags["datspect.compared_b"] == "the results on disk"
    assert (
        run.data.tags["datspect.results_a"] == f"cv {recorded.client.get_run(run_id).data.tags['datspect.result_id']}"
    )
    assert run.data.tags["datspect.results_b"] == "cv another result"
    assert run.data.tags["datspect.cohort_kind"] == "phantom"
    assert run.data.tags["mlflow.note.content"].startswith("PHANTOM cohort, simulated\n")
    assert {Path(file.path).name for file in recorded.client.list_artifacts(run.info.run_id, "comparison")} == {
        "comparison.md", "comparison.png", "comparison.json",
    }  # fmt: skip
    record = json.loads((project / "there/comparison.json").read_text("utf-8"))
    expected = {f"out_of_fold/{key}": value for key, value in record["sets"][0]["differences"].items()}
    assert run.data.metrics == pytest.approx(expected)


def test_a_store_out_of_reach_costs_the_record_only(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    write_results(project, "cv")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match="MLFLOW_TRACKING_URI"):
        compare("workspace", "workspace", log=True)
    assert "written to reports/comparisons/workspace-vs-workspace" in capsys.readouterr().out


def test_the_holdout_is_shown_and_counted_on_request_only(project: Path, capsys: Printed) -> None:
    write_results(project, "final")
    subjects = read_table(project / "reports/final/predictions.csv")["subject_id"]
    with required_connection("datspect") as connection:
        test_set = name_of_test_set(Registry(connection), subjects)
    version_of(run_of(project, "final"), test_set)
    turn_answers(project / "reports/final", 2)
    compare("1")
    printed = capsys.readouterr().out
    assert "Out of fold, training role" in printed
    assert "McNemar" not in printed
    assert "The holdout is not shown" in printed
    assert looks() == {}
    for number in (1, 2):
        compare("datspect@1" if number == 2 else "version:1", holdout=True)
        printed = capsys.readouterr().out
        assert "Holdout\n" in printed
        assert "McNemar's p" in printed
        assert f"one more look at the test set: {number} so far, counted with the registered model" in printed
        assert looks() == {f"{LOOKS_TAG}{test_set}": str(number)}


def test_a_look_counts_by_subjects_whether_or_not_a_version_takes_part(project: Path, capsys: Printed) -> None:
    write_results(project, "final")
    compare("workspace", holdout=True)
    assert "one more look at the test set: 1 so far" in " ".join(capsys.readouterr().out.split())
    (test_set,) = looks()
    version_of(run_of(project, "final"), test_set.removeprefix(LOOKS_TAG))
    compare("1", holdout=True)  # a version against the workspace: one test set, shown once
    assert looks() == {test_set: "2"}


def test_where_the_subjects_are_not_known_a_look_is_said_but_not_counted(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    """Rows of real subjects stay on the machine that made them; their measures can be shown all the same."""
    write_results(project, "final", kind="real")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("datspect.tracking.run.beyond_this_machine", lambda uri: True)
        run_id = run_of(project, "final")
    with pytest.raises(typer.Exit):
        compare(run_id, run_id, holdout=True)
    printed = " ".join(capsys.readouterr().out.split())
    accuracy = read_json(project / "reports/final/metrics.json")["holdout"]["accuracy"]
    assert f"{accuracy:.4f}" in printed
    assert "it is not counted, since its subjects are not known here" in printed
    assert looks() == {}


def test_without_a_holdout_there_is_no_look(project: Path, run_id: str, capsys: Printed) -> None:
    compare(run_id, holdout=True)
    assert "look at the test set" not in capsys.readouterr().out


def test_refused_pairs_leave_measures_and_end_with_1(project: Path, run_id: str, capsys: Printed) -> None:
    folder = project / "there"
    compare(run_id, into=folder)
    path = project / "reports/cv/run.json"
    record = read_json(path)
    write_json(path, record | {"cohort": record["cohort"] | {"digest": "other"}})
    with pytest.raises(typer.Exit) as end:
        compare(run_id, into=folder)
    assert end.value.exit_code == 1
    printed = capsys.readouterr().out
    assert "Not paired: the cohorts differ" in printed
    assert printed.endswith("written to there: comparison.md, comparison.json\n")
    assert not (folder / "comparison.png").exists()  # that of the earlier comparison is gone


def test_a_phantom_and_real_scans_are_not_compared(project: Path) -> None:
    write_results(project, "cv", kind="real")
    run_id = run_of(project, "cv")
    write_results(project, "cv")
    with pytest.raises(
        ComparisonError, match=r"A comes from real scans, B from PHANTOM cohort: a phantom says nothing"
    ):
        compare(run_id)
    assert not (project / "reports/comparisons").exists()


def test_a_folder_in_whose_place_a_file_lies_stops_before_anything_is_read(project: Path) -> None:
    (project / "file").write_text("in the way")
    with pytest.raises(DatspectError, match=r"--into .* cannot be written"):
        compare("no such run", into=project / "file" / "there", holdout=True)
    assert looks() == {}


def test_what_cannot_be_written_in_the_end_costs_the_page_and_not_the_comparison(
    project: Path, run_id: str, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("datspect.release.comparison_files.write_figure", refuse)
    with pytest.raises(DatspectError, match=r"No space left on device.*the comparison is above"):
        compare(run_id)
    assert re.search(r"accuracy +0\.\d{4}", capsys.readouterr().out)


def test_as_json_it_is_the_record_alone_and_messages_go_to_standard_error(
    project: Path, run_id: str, capsys: Printed
) -> None:
    compare(run_id, form="json")
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    assert set(record) == json_keys("compare")
    folder = project / record["folder"]
    assert json.loads((folder / "comparison.json").read_text("utf-8")) == {
        key: value for key, value in record.items() if key != "folder"
    }
    assert "written to reports/comparisons/" in printed.err
