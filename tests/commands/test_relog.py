"""Results that did not arrive are sent once, as their stage would have, and no file changes."""

import logging
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from tests.tracking import made_up_results
from tests.tracking.projects import Recorded

from datspect import tracking
from datspect.commands.relog import relog
from datspect.io.records import write_json
from datspect.tracking import TrackingError
from datspect.training import to_mlflow
from datspect.training.to_mlflow import RecordError

OWN = ("datspect.host", "datspect.pid", "datspect.process_started", "mlflow.user", "mlflow.parentRunId")


@pytest.fixture(autouse=True)
def every_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "datspect")


def send() -> None:
    relog(params=made_up_results.PARAMS_PATH)


def outputs(project: Path) -> dict[Path, tuple[bytes, int]]:
    paths = [path for folder in ("reports", "models") for path in (project / folder).rglob("*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def content(recorded: Recorded, run: Any) -> dict[str, Any]:
    """What a run says, apart from which process and which run it is."""
    metrics = {key: value for key, value in run.data.metrics.items() if not key.startswith("system/")}
    models = [recorded.client.get_logged_model(output.model_id) for output in run.outputs.model_outputs]
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "params": run.data.params,
        "metrics": metrics,
        "curve": recorded.history(run.info.run_id, "epoch/train_loss"),
        "tags": {key: value.replace(run.info.run_id, "ID") for key, value in run.data.tags.items() if key not in OWN},
        "files": recorded.files(run.info.run_id),
        "datasets": [listed.dataset.to_dictionary() for listed in run.inputs.dataset_inputs],
        "models": [(model.name, model.status, sorted((m.key, m.value) for m in model.metrics)) for model in models],
    }


def test_what_never_arrived_is_sent_once_and_no_file_is_touched(
    project: Path, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    for stage in ("cv", "final"):
        made_up_results.write_result(project, stage)
    before = outputs(project)
    send()
    assert {run.info.run_name: run.info.status for run in recorded.parents()} == {"cv": "FINISHED", "final": "FINISHED"}
    n_runs = len(recorded.runs())
    assert n_runs == 2 + 4
    caplog.clear()
    send()
    assert len(recorded.runs()) == n_runs
    assert [message.split(": ")[0] for message in caplog.messages] == ["cv", "final"]
    assert all("nothing sent" in message for message in caplog.messages)
    assert outputs(project) == before


@pytest.mark.parametrize("stage", ["cv", "final"])
def test_a_late_run_says_the_same_as_the_stages_own(project: Path, recorded: Recorded, stage: str) -> None:
    record = made_up_results.write_result(project, stage)
    with to_mlflow.open_stage_run(record) as run:
        to_mlflow.LOGGERS[stage](
            run, project / "reports" / stage, project / "models" / stage, share_subject_level=False
        )
    first = [content(recorded, one) for one in recorded.runs()]
    for one in recorded.runs():
        recorded.client.delete_run(one.info.run_id)
    send()
    (parent,) = recorded.parents()
    late = [content(recorded, one) for one in recorded.runs()]
    assert parent.data.tags["datspect.relogged"] == "true"
    for one in late:
        one["tags"].pop("datspect.relogged", None)
    assert sorted(late, key=lambda one: one["name"]) == sorted(first, key=lambda one: one["name"])


def test_a_report_that_was_missed_is_sent_with_its_run_and_once(project: Path, recorded: Recorded) -> None:
    record = made_up_results.write_result(project, "final")
    (project / "reports/report.html").write_text(f"of result {record['result_id']}")
    send()
    (run,) = recorded.parents()
    assert "report.html" in recorded.files(run.info.run_id)
    before = {path: path.stat().st_mtime_ns for path in (project / "mlruns").rglob("*.html")}
    send()
    assert {path: path.stat().st_mtime_ns for path in (project / "mlruns").rglob("*.html")} == before
    # Missed although its run is whole.
    (project / "reports/report.html").write_text(f"anew, of result {record['result_id']}")
    send()
    (artifact,) = (project / "mlruns").rglob("report.html")
    assert artifact.read_text().startswith("anew")
    assert len(recorded.runs()) == 1


def test_a_late_run_bears_the_recorded_commit_and_times(project: Path, recorded: Recorded) -> None:
    record = made_up_results.write_result(project, "cv")
    path = project / "reports/cv/run.json"
    record |= {"git": {"commit": "c" * 40, "dirty": True}, "started": "2020-02-02T12:00:00.500+01:00"}
    write_json(path, record | {"written": "2020-02-02T12:10:00.000+01:00"})
    send()
    (parent,) = recorded.parents()
    assert (parent.info.start_time, parent.info.end_time) == (1580641200500, 1580641800000)
    for run in recorded.runs():
        assert run.data.tags["datspect.git_commit"] == run.data.tags["mlflow.source.git.commit"] == "c" * 40
        assert run.data.tags["datspect.git_dirty"] == "true"
        assert not [key for key in run.data.metrics if key.startswith("system/")]


def test_incomplete_runs_of_the_result_are_marked_and_others_are_not(
    project: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = made_up_results.write_result(project, "cv")
    with pytest.raises(ZeroDivisionError), to_mlflow.open_stage_run(record):
        _ = 1 / 0
    other = record | {"tags": record["tags"] | {"datspect.result_id": "another"}}
    with pytest.raises(ZeroDivisionError), to_mlflow.open_stage_run(other):
        _ = 1 / 0
    failed, unrelated = recorded.parents()
    send()
    marks = {run.info.run_id: run.data.tags.get("datspect.superseded_by") for run in recorded.parents()}
    (new,) = set(marks) - {failed.info.run_id, unrelated.info.run_id}
    assert marks == {failed.info.run_id: new, unrelated.info.run_id: None, new: None}


def test_a_result_that_is_complete_is_not_even_looked_at(project: Path, recorded: Recorded) -> None:
    made_up_results.write_result(project, "cv")
    send()
    (project / "models/cv/fold-01.keras").unlink()
    send()
    assert len(recorded.parents()) == 1


def test_a_run_that_its_stage_still_fills_is_left_alone(
    project: Path, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    record = made_up_results.write_result(project, "cv")
    with to_mlflow.open_stage_run(record) as run:
        send()
    assert len(recorded.runs()) == 1
    assert f"run {run.run_id} is still being filled; nothing sent" in caplog.text


def test_a_missing_file_is_an_error_before_anything_is_sent(project: Path, recorded: Recorded) -> None:
    made_up_results.write_result(project, "cv")
    (project / "models/cv/fold-01.keras").unlink()
    with pytest.raises(RecordError, match=r"fold-01\.keras: missing"):
        send()
    assert recorded.client.get_experiment_by_name("datspect") is None or recorded.runs() == []


def test_without_results_the_command_to_make_them_is_named(project: Path) -> None:
    with pytest.raises(RecordError, match="dvc repro"):
        send()


def test_a_store_out_of_reach_is_an_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up_results.write_result(project, "cv")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match="MLFLOW_TRACKING_URI") as refused:
        send()
    assert "secret" not in str(refused.value)


def test_a_store_that_fails_on_the_way_is_an_error_and_the_next_attempt_replaces_it(
    project: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up_results.write_result(project, "cv")

    def refuse(*_arguments: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "log_model_artifacts", refuse)
        with pytest.raises(TrackingError, match="no space left"):
            send()
    (failed,) = recorded.parents()
    assert failed.info.status == "FAILED"
    send()
    (new,) = (run for run in recorded.parents() if run.info.run_id != failed.info.run_id)
    assert new.info.status == "FINISHED"
    assert recorded.client.get_run(failed.info.run_id).data.tags["datspect.superseded_by"] == new.info.run_id


def test_a_second_one_waits_for_the_first(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    order = []

    def second() -> None:
        with tracking.alone():
            order.append("second")

    waiting = threading.Thread(target=second)
    with tracking.alone():
        waiting.start()
        while "waiting" not in caplog.text:
            time.sleep(0.01)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize(("share", "sent"), [(False, False), (True, True)])
def test_the_present_params_say_whether_single_subjects_may_be_sent(
    project: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch, share: bool, sent: bool
) -> None:
    monkeypatch.setattr("datspect.tracking.run.beyond_this_machine", lambda uri: True)
    made_up_results.write_result(project, "final", "real")
    text = made_up_results.PARAMS_PATH.read_text(encoding="utf-8")
    assert "share_subject_level: false" in text
    params = project / "params.yaml"
    params.write_text(text.replace("share_subject_level: false", f"share_subject_level: {str(share).lower()}"))
    relog(params=params)
    (run,) = recorded.parents()
    assert ("misclassified.png" in recorded.files(run.info.run_id)) is sent


@pytest.mark.parametrize("gone", ["reports/roc.csv", "reports", ".", "../.."])
@pytest.mark.parametrize("stage", ["cv", "final"])
def test_what_the_store_has_lost_of_a_finished_run_is_sent_again(
    project: Path, recorded: Recorded, caplog: pytest.LogCaptureFixture, stage: str, gone: str
) -> None:
    made_up_results.write_result(project, stage)
    send()
    (first,) = recorded.parents()
    lost = (project / "mlruns" / first.info.run_id / "artifacts" / gone).resolve()
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    caplog.clear()
    send()
    assert f"{stage}: MLflow has run {first.info.run_id}, but cannot open of it: reports/r" in caplog.text
    (second,) = [run for run in recorded.parents() if run.info.run_id != first.info.run_id]
    assert recorded.client.get_run(first.info.run_id).data.tags["datspect.superseded_by"] == second.info.run_id
    assert recorded.files(second.info.run_id) == {"run.json", *to_mlflow.FILES[stage]}
    caplog.clear()
    send()
    assert "MLflow has all of it" in caplog.text


def test_a_changed_file_of_a_finished_run_is_sent_again(
    project: Path, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    made_up_results.write_result(project, "final")
    send()
    (first,) = recorded.parents()
    path = project / "mlruns" / first.info.run_id / "artifacts/reports/predictions.csv"
    path.write_text(path.read_text().replace("0.1", "0.2"))
    send()
    assert "cannot open of it: reports/predictions.csv (another file)" in caplog.text
    assert len(recorded.parents()) == 2


def test_a_page_that_the_store_has_lost_is_sent_again(project: Path, recorded: Recorded) -> None:
    record = made_up_results.write_result(project, "final")
    (project / "reports/report.html").write_text(f"of result {record['result_id']}")
    send()
    (page,) = (project / "mlruns").rglob("report.html")
    page.unlink()
    send()
    (page,) = (project / "mlruns").rglob("report.html")
    assert page.read_text() == f"of result {record['result_id']}"


def test_again_sends_what_is_whole_and_the_new_run_replaces_every_old_one(project: Path, recorded: Recorded) -> None:
    for stage in ("cv", "final"):
        made_up_results.write_result(project, stage)
    send()
    before = outputs(project)
    for n_sent in (2, 3):
        relog(params=made_up_results.PARAMS_PATH, again=True)
        by_stage = {name: [run for run in recorded.parents() if run.info.run_name == name] for name in ("cv", "final")}
        for runs in by_stage.values():
            assert len(runs) == n_sent
            (newest,) = [run for run in runs if "datspect.superseded_by" not in run.data.tags]
            others = {run.data.tags["datspect.superseded_by"] for run in runs if run is not newest}
            assert others == {newest.info.run_id}
            assert newest.info.status == "FINISHED"
    assert outputs(project) == before
    send()
    assert len(recorded.parents()) == 6


def test_again_sends_rows_that_were_withheld_before_they_were_to_be_shared(
    project: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("datspect.tracking.run.beyond_this_machine", lambda uri: True)
    made_up_results.write_result(project, "final", "real")
    text = made_up_results.PARAMS_PATH.read_text(encoding="utf-8")
    shared = project / "params.yaml"
    shared.write_text(text.replace("share_subject_level: false", "share_subject_level: true"))
    send()
    caplog.clear()
    relog(params=shared)  # nothing is lost
    assert "MLflow has all of it" in caplog.text
    relog(params=shared, again=True)
    names = [recorded.files(run.info.run_id) for run in recorded.parents()]
    assert sorted("predictions.csv" in files for files in names) == [False, True]


def test_again_leaves_a_run_alone_that_its_stage_still_fills(project: Path, recorded: Recorded) -> None:
    record = made_up_results.write_result(project, "cv")
    with to_mlflow.open_stage_run(record):
        relog(params=made_up_results.PARAMS_PATH, again=True)
    assert len(recorded.runs()) == 1
