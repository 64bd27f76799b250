"""What reaches MLflow is what lies on disk, and single real subjects stay at home."""

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tracking import made_up_results
from tests.tracking.projects import Recorded

from datspect import tracking
from datspect.errors import CohortError
from datspect.evaluation.metrics import TABLE_1_MEASURES
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table
from datspect.params.network import ParametersFrom
from datspect.training import to_mlflow
from datspect.training.to_mlflow import (
    FILES,
    SUBJECT_LEVEL,
    RecordError,
    flat_metrics,
    read_whole_record,
    send_report,
)


def record(project: Path, stage: str, kind: str = "phantom", *, share: bool = False) -> str:
    """Send a made-up result as its stage would; give the run's id."""
    first_part = made_up_results.write_result(project, stage, kind)
    folders = (project / "reports" / stage, project / "models" / stage)
    with to_mlflow.open_stage_run(first_part) as run:
        to_mlflow.LOGGERS[stage](run, *folders, share_subject_level=share)
    assert run.run_id is not None
    return run.run_id


def everything_sent(project: Path) -> bytes:
    files = [project / "mlflow.db", *(path for path in (project / "mlruns").rglob("*") if path.is_file())]
    return b"".join(path.read_bytes() for path in files)


def saved_models(project: Path) -> dict[str, bytes]:
    """Bytes of the .keras files sent, by their content's head."""
    return {path.read_bytes().decode(): path.read_bytes() for path in (project / "mlruns").rglob("*.keras")}


@pytest.mark.parametrize("stage", ["cv", "grouped", "final"])
def test_the_parent_holds_the_metrics_the_files_and_the_cohort(project: Path, recorded: Recorded, stage: str) -> None:
    run = recorded.client.get_run(record(project, stage))
    reports = project / "reports" / stage
    assert run.info.status == "FINISHED"
    of_the_whole = {
        key: value for key, value in run.data.metrics.items() if "epoch/" not in key and not key.startswith("system/")
    }
    metrics = read_json(reports / "metrics.json")
    # In the columns of the folds, by which the table of runs is sorted, the run has their means.
    means = {f"fold/{name}": metrics["cv"][f"{name}_mean"] for name in TABLE_1_MEASURES} if stage != "final" else {}
    # Who compares runs would look at the test set each time.
    assert of_the_whole == flat_metrics({name: metrics[name] for name in metrics if name != "holdout"}) | means
    assert run.data.params["training.epochs"] == str(made_up_results.params().training.epochs)
    assert run.data.params["features.precision"] == "float32"
    assert not [name for name in run.data.params if "sha256_by_draw" in name]  # too long for a parameter
    assert recorded.files(run.info.run_id) == {"run.json", *FILES[stage]}
    for sent in (project / "mlruns").rglob("reports/*"):
        assert sent.read_bytes() == (reports / sent.name).read_bytes()
    (dataset,) = run.inputs.dataset_inputs
    n_rows = made_up_results.N - 6 if stage == "final" else made_up_results.N
    assert (dataset.dataset.name, f'"num_rows": {n_rows},' in dataset.dataset.profile) == ("phantom", True)


def test_a_fold_holds_its_row_of_table_1_its_curves_and_its_head(project: Path, recorded: Recorded) -> None:
    children = recorded.children(record(project, "cv"))
    reports = project / "reports/cv"
    heads = read_json(reports / "run.json")["heads"]
    table_1, history = read_table(reports / "table1.csv"), read_table(reports / "history.csv")
    assert sorted(run.info.run_name for run in children) == [head["name"] for head in heads]
    for run in children:
        row = [head["name"] for head in heads].index(run.info.run_name)
        of_the_head = {key: str(heads[row][key]) for key in ("seed", "n_train")}
        assert run.data.params == {"fold": str(row + 1), **of_the_head}
        assert run.data.tags["datspect.fold"] == str(row + 1)
        assert run.data.metrics["fold/validation_loss"] == table_1["validation_loss"][row]
        curves = history[history["head"] == run.info.run_name]
        for name in ("train_loss", "validation_accuracy", "learning_rate"):
            expected = list(zip(curves["epoch"], curves[name], strict=True))
            assert recorded.history(run.info.run_id, f"epoch/{name}") == expected
    expected_models = {f"weights of {head['name']}".encode() for head in heads}
    assert set(saved_models(project).values()) == expected_models


def test_the_final_run_holds_the_final_heads_curves_and_the_whole_model(project: Path, recorded: Recorded) -> None:
    run = recorded.client.get_run(record(project, "final"))
    history = read_table(project / "reports/final/history.csv")
    loss = history.loc[history["head"] == "final", "train_loss"]
    assert recorded.history(run.info.run_id, "epoch/train_loss") == list(enumerate(loss, 1))
    assert "epoch/validation_loss" not in run.data.metrics  # the final head is validated on nobody
    assert set(saved_models(project)) == {"weights of final"}
    assert recorded.children(run.info.run_id) == []


@pytest.fixture
def of_a_study(project: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """run.json of a cv whose parameters came from a study, with metrics as the stage writes them then."""
    origin = ParametersFrom(study="wide", trial=7, split="1a2b3c4d5e6f")
    changed = made_up_results.params().model_copy(update={"parameters_from": origin})
    monkeypatch.setattr(made_up_results, "params", lambda: changed)
    made_up_results.write_cv(project)
    reports = project / "reports/cv"
    first_part: dict[str, Any] = read_json(reports / "run.json")
    metrics = read_json(reports / "metrics.json") | {"parameters_from": first_part["parameters_from"]}
    write_json(reports / "metrics.json", metrics)
    return first_part


@pytest.mark.parametrize("late", [False, True])
def test_a_run_says_of_which_study_its_parameters_are(
    project: Path, recorded: Recorded, of_a_study: dict[str, Any], late: bool
) -> None:
    folders = (project / "reports/cv", project / "models/cv")
    if late:
        with (
            tracking.required_connection(of_a_study["mlflow"]["experiment"]) as connection,
            to_mlflow.open_relogged_run(of_a_study, connection) as run,
        ):
            to_mlflow.log_cv(run, *folders, share_subject_level=False)
    else:
        with to_mlflow.open_stage_run(of_a_study) as run:
            to_mlflow.log_cv(run, *folders, share_subject_level=False)
    sent = recorded.client.get_run(str(run.run_id))
    assert sent.info.status == "FINISHED"
    assert sent.data.tags["datspect.parameters_from"] == "study wide, trial 7"
    assert of_a_study["parameters_from"]["note"] in sent.data.tags["mlflow.note.content"]
    assert sent.data.params["parameters_from.study"] == "wide"
    assert sent.data.params["parameters_from.split"] == "1a2b3c4d5e6f"
    assert not [name for name in sent.data.metrics if "parameters_from" in name]


def test_a_run_with_parameters_of_no_study_says_so_and_its_description_nothing_of_a_study(
    project: Path, recorded: Recorded
) -> None:
    tags = recorded.client.get_run(record(project, "cv")).data.tags
    assert tags["datspect.parameters_from"] == "params.yaml"
    assert "study" not in tags["mlflow.note.content"]


@pytest.mark.parametrize(("stage", "where"), [("cv", "Out of fold, "), ("final", "Out of fold on the training role, ")])
def test_a_run_is_described_by_its_cohort_its_figures_and_its_files(
    project: Path, recorded: Recorded, stage: str, where: str
) -> None:
    run = recorded.client.get_run(record(project, stage))
    text = run.data.tags["mlflow.note.content"]
    assert text.startswith("**PHANTOM")
    assert where in text
    page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/reports"
    assert f"[training.png]({page}/training.png)" in text
    for name in re.findall(r"\[(\S+)\]", text):
        assert name in recorded.files(run.info.run_id)


def write_report(project: Path, text: str | None = None) -> Path:
    """report.html of the present result of stage final, as far as its content matters here."""
    made = read_json(project / "reports/final/run.json")
    path = project / "reports/report.html"
    path.write_text(text or f"<p>result {made['result_id']}: SOMEBODY-07</p>", encoding="utf-8")
    return path


def test_the_report_is_an_artifact_of_the_run_of_stage_final_and_is_sent_once(
    project: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = record(project, "final")
    report = write_report(project)
    sent: list[list[Path]] = []
    log_files = tracking.Run.log_files

    def counted(run: tracking.Run, paths: list[Path], folder: str) -> None:
        sent.append(paths)
        log_files(run, paths, folder)

    monkeypatch.setattr(tracking.Run, "log_files", counted)
    for _ in range(2):
        send_report(project / "reports", share_subject_level=False)
    assert sent == [[report]]
    assert "report.html" in recorded.files(run_id)
    run = recorded.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    page = f"#/experiments/{run.info.experiment_id}/runs/{run_id}/artifacts/reports/report.html"
    assert run.data.tags["mlflow.note.content"].endswith(f"[report.html]({page})")
    assert run.data.tags["mlflow.note.content"].startswith("**PHANTOM")
    # Another page of the same result takes its place.
    made = read_json(project / "reports/final/run.json")
    write_report(project, f"a newer page of {made['result_id']}")
    send_report(project / "reports", share_subject_level=False)
    assert len(sent) == 2
    assert len(recorded.runs()) == 1
    assert recorded.client.get_run(run_id).data.tags["mlflow.note.content"].count("report.html") == 2  # one link


def test_the_report_of_another_result_is_not_sent(project: Path, recorded: Recorded) -> None:
    run_id = record(project, "final")
    write_report(project, "of another result")
    send_report(project / "reports", share_subject_level=False)
    assert "report.html" not in recorded.files(run_id)


def write_panel(project: Path, model_sha256: str) -> list[Path]:
    """What stage `robustness` left of a model, as far as its content matters here; the last one names subjects."""
    folder = project / "reports/robustness"
    write_json(folder / "metrics.json", {"model_sha256": model_sha256})
    for name in ("robustness.csv", "robustness.png", "predictions.csv"):
        (folder / name).write_text(f"{name} of altered scans")
    return [folder / "robustness.csv", folder / "robustness.png"]


@pytest.mark.parametrize("kind", ["phantom", "real"])
def test_what_altered_scans_showed_is_sent_once_and_names_nobody(
    project: Path, recorded: Recorded, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datspect.tracking.run.beyond_this_machine", lambda uri: True)
    run_id = record(project, "final", kind)
    (model,) = read_json(project / "reports/final/run.json")["models"]
    panel = write_panel(project, model["sha256"])
    with tracking.required_connection("datspect") as connection:
        sent = [
            to_mlflow.log_report(connection, run_id, project / "reports", share_subject_level=False) for _ in range(2)
        ]
    assert sent == [True, False]
    assert {path.name for path in panel} <= set(recorded.files(run_id))
    assert b"predictions.csv of altered scans" not in everything_sent(project)
    assert not [name for name in recorded.client.get_run(run_id).data.metrics if "robust" in name]  # of the test set


def test_what_altered_scans_showed_of_another_model_is_not_sent(project: Path, recorded: Recorded) -> None:
    run_id = record(project, "final")
    write_panel(project, "another model")
    send_report(project / "reports", share_subject_level=False)
    assert "robustness.csv" not in recorded.files(run_id)


def test_without_a_whole_run_of_stage_final_the_report_waits_for_relog(
    project: Path, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "datspect")
    made_up_results.write_result(project, "final")
    write_report(project)
    send_report(project / "reports", share_subject_level=False)
    assert "`datspect relog` sends both" in caplog.text
    assert recorded.runs() == []


def test_a_missing_store_costs_the_report_one_warning(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made_up_results.write_result(project, "final")
    write_report(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    send_report(project / "reports", share_subject_level=False)
    (warning,) = caplog.messages
    assert warning.startswith("report.html is not in MLflow yet, `datspect relog` sends it later: MLflow at http")


@pytest.mark.parametrize(
    ("kind", "remote", "share", "sent"),
    [
        ("real", True, False, False),
        ("unheard of", True, False, False),
        ("real", True, True, True),
        ("real", False, False, True),
        ("phantom", True, False, True),
    ],
)
def test_the_report_shows_single_subjects_and_stays_where_they_stay(
    project: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch, kind: str, remote: bool, share: bool, sent: bool
) -> None:
    monkeypatch.setattr("datspect.tracking.run.beyond_this_machine", lambda uri: remote)
    run_id = record(project, "final", kind, share=share)
    write_report(project)
    send_report(project / "reports", share_subject_level=share)
    assert ("report.html" in recorded.files(run_id)) is sent
    assert ("report.html" in recorded.client.get_run(run_id).data.tags["mlflow.note.content"]) is sent


def test_a_record_that_knows_nothing_of_studies_is_sent_as_it_is(project: Path, recorded: Recorded) -> None:
    path = project / "reports/final/run.json"
    earlier = made_up_results.write_result(project, "final")
    del earlier["parameters_from"], earlier["tags"]["datspect.parameters_from"]
    write_json(path, earlier)
    read = read_whole_record(path.parent, project / "models/final")
    with (
        tracking.required_connection(read["mlflow"]["experiment"]) as connection,
        to_mlflow.open_relogged_run(read, connection) as run,
    ):
        to_mlflow.log_final(run, path.parent, project / "models/final", share_subject_level=False)
    sent = recorded.client.get_run(str(run.run_id))
    assert (sent.info.status, "datspect.parameters_from" in sent.data.tags) == ("FINISHED", False)


def test_a_run_tells_all_that_its_result_depends_on(project: Path, recorded: Recorded) -> None:
    params = recorded.client.get_run(record(project, "cv")).data.params
    assert params["preprocess.slices"] == "[40, 41, 42]"
    assert params["augment.brightness"] == "0.1"
    assert params["split.seed"] == params["phantom.seed"] == "2019"
    assert params["cohort.path"] == "data/phantom/cohort"
    assert not [key for key in params if key.startswith(("tune.", "executor.", "tracking."))]


def test_a_run_bears_the_name_of_its_record_late_too(project: Path, recorded: Recorded) -> None:
    first_part = made_up_results.write_result(project, "final") | {"name": "final · dropout=0.3"}
    with to_mlflow.open_stage_run(first_part):
        pass
    with (
        tracking.required_connection(first_part["mlflow"]["experiment"]) as connection,
        to_mlflow.open_relogged_run(first_part, connection),
    ):
        pass
    assert [run.info.run_name for run in recorded.runs()] == ["final · dropout=0.3"] * 2


def test_a_record_without_settings_is_sent_with_what_it_has(project: Path, recorded: Recorded) -> None:
    earlier = made_up_results.write_result(project, "final")
    del earlier["settings"], earlier["name"]
    with to_mlflow.open_stage_run(earlier):
        pass
    (run,) = recorded.runs()
    assert run.info.run_name == "final"
    assert run.data.params["classifier.dropout"] == "0.5"
    assert {key.partition(".")[0] for key in run.data.params} == {"classifier", "training", "features"}


def test_a_model_asks_for_the_releases_it_was_made_with(project: Path) -> None:
    record(project, "final")
    (requirements,) = (project / "mlruns").rglob("requirements.txt")
    assert set(made_up_results.REQUIREMENTS) < set(requirements.read_text().split())


@pytest.mark.parametrize("stage", ["cv", "grouped", "final"])
@pytest.mark.parametrize(
    ("kind", "remote", "share", "withheld"),
    [
        ("real", True, False, True),
        ("unheard of", True, False, True),
        ("real", True, True, False),
        ("real", False, False, False),
        ("phantom", True, False, False),
    ],
)
def test_single_real_subjects_are_shown_to_no_other_machine(
    project: Path,
    recorded: Recorded,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    stage: str,
    kind: str,
    remote: bool,
    share: bool,
    withheld: bool,
) -> None:
    monkeypatch.setattr("datspect.tracking.run.beyond_this_machine", lambda uri: remote)
    caplog.set_level(logging.INFO, "datspect")
    run_id = record(project, stage, kind, share=share)
    kept_back = SUBJECT_LEVEL & set(FILES[stage]) if withheld else set()
    assert recorded.files(run_id) == {"run.json", *FILES[stage]} - kept_back
    run = recorded.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags.get("datspect.subject_level") == ("withheld" if withheld else None)
    said = [message for message in caplog.messages if "tracking.share_subject_level" in message]
    assert len(said) == (1 if withheld else 0)
    assert all(name in said[0] for name in kept_back)
    sent = everything_sent(project)
    for name in (b"SCAN-OF-", b"SOMEBODY-"):
        assert (name in sent) is not withheld


@pytest.mark.parametrize("place", ["tracking", "artifacts"])
def test_either_of_store_and_artifacts_may_be_the_other_machine(
    project: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    beginning = {"tracking": "sqlite:", "artifacts": "file:"}[place]
    monkeypatch.setattr("datspect.tracking.run.beyond_this_machine", lambda uri: uri.startswith(beginning))
    assert "predictions.csv" not in recorded.files(record(project, "cv", "real"))


def test_what_lies_beside_the_reports_is_not_sent(project: Path, recorded: Recorded) -> None:
    (project / "reports/cv").mkdir(parents=True)
    (project / "reports/cv/notes on patients.txt").write_text("SOMEBODY-01 called")
    assert recorded.files(record(project, "cv")) == {"run.json", *FILES["cv"]}


@pytest.mark.parametrize("stage", ["cv", "grouped", "final"])
def test_a_whole_result_is_read(project: Path, stage: str) -> None:
    made_up_results.write_result(project, stage)
    read = read_whole_record(project / "reports" / stage, project / "models" / stage)
    assert read == read_json(project / "reports" / stage / "run.json")


def test_missing_and_foreign_files_are_all_named(project: Path) -> None:
    made_up_results.write_result(project, "cv")
    (project / "reports/cv/predictions.csv").unlink()
    (project / "models/cv/fold-02.keras").write_bytes(b"of another execution")
    metrics = read_json(project / "reports/cv/metrics.json")
    write_json(project / "reports/cv/metrics.json", metrics | {"cohort_kind": "real"})
    with pytest.raises(RecordError, match=r"3 file\(s\).*`dvc checkout`, or `make verify`") as refused:
        read_whole_record(project / "reports/cv", project / "models/cv")
    lines = str(refused.value).splitlines()[1:]
    assert [line.split(": ")[-1] for line in sorted(lines)] == [
        "not the file that was written with run.json",
        "not the file that was written with run.json",
        "missing",
    ]


def test_a_record_of_an_earlier_release_is_refused(project: Path) -> None:
    write_json(project / "reports/cv/run.json", {"stage": "cv", "result_id": "a"})
    with pytest.raises(RecordError, match="run `dvc repro`"):
        read_whole_record(project / "reports/cv", project / "models/cv")


def test_a_missing_record_is_said(project: Path) -> None:
    with pytest.raises(CohortError, match=r"run\.json: not found"):
        read_whole_record(project / "reports/cv", project / "models/cv")


def test_nested_metrics_become_paths_without_text() -> None:
    nested: dict[str, Any] = {"cohort_kind": "phantom", "a": {"n": 3, "b": {"c": 0.5}}, "d": np.float64(1.0)}
    assert flat_metrics(nested) == {"a/n": 3.0, "a/b/c": 0.5, "d": 1.0}
