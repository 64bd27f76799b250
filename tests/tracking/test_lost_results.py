"""A whole stage whose tracking server dies or was never there, and `datspect relog` afterwards."""

import logging
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, Popen

import numpy as np
import pytest
from ruamel.yaml import YAML
from tests.tracking import made_up_results
from tests.tracking.servers import free_port, tracking_server

from datspect.commands.relog import relog
from datspect.io.arrays import write_array
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table, write_table
from datspect.stages import cv
from datspect.tracking import TrackingError
from datspect.training.to_mlflow import FILES

pytestmark = pytest.mark.slow

PLACES = ("images", "features", "backbone", "splits.csv", "models/cv", "reports/cv")
HEADS = [f"fold-{number:02d}" for number in range(1, 5)]


@pytest.fixture
def inputs(project: Path) -> Path:
    """What stage cv reads, and parameters that let it train for seconds."""
    data = made_up_results.training_data("phantom", np.random.default_rng(0))
    splits = data.splits.drop(columns="target")
    write_table(project / "splits.csv", splits)
    write_table(project / "images/subjects.csv", splits[["scan_id", "subject_id", "label"]])
    write_json(project / "images/cohort.json", data.cohort)
    # Heads are trained on the bank alone: the images are only named by their digest, the backbone not read at all.
    write_array(project / "images/images.npy", np.zeros((len(splits), 2, 2, 3), np.float32))
    write_array(project / "features/bank.npy", data.bank)
    write_json(project / "features/features.json", data.bank_record)
    params = YAML(typ="safe", pure=True).load(made_up_results.PARAMS_PATH.read_text(encoding="utf-8"))
    params["cohort"]["path"] = "data/other"
    params["training"] |= {"epochs": 40}
    YAML().dump(params, project / "params.yaml")
    return project


def outputs(project: Path) -> dict[Path, tuple[bytes, int]]:
    paths = [path for folder in ("reports", "models") for path in (project / folder).rglob("*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def assert_all_there(project: Path) -> None:
    assert {path.name for path in (project / "reports/cv").iterdir()} == {"run.json", *FILES["cv"]}
    assert {path.stem for path in (project / "models/cv").iterdir()} == set(HEADS)


def assert_sent_whole(recorded, project: Path) -> str:
    """One complete run with its children, equal to what lies on disk; gives its id."""
    (parent,) = (run for run in recorded.parents() if run.info.status == "FINISHED")
    children = recorded.children(parent.info.run_id)
    assert sorted((run.info.run_name, run.info.status) for run in children) == [(head, "FINISHED") for head in HEADS]
    history = read_table(project / "reports/cv/history.csv")
    for run in children:
        curves = history[history["head"] == run.info.run_name]
        for name in curves.columns.drop(["head", "epoch"]):
            expected = list(zip(curves["epoch"], curves[name], strict=True))
            assert recorded.history(run.info.run_id, f"epoch/{name}") == expected
    return parent.info.run_id


def wait_for_a_run(database: Path, process: "Popen[str]") -> None:
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        # Its parameters follow the answer that tells the stage the run's id.
        while not connection.execute("select count(*) from params").fetchone()[0]:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)


def test_a_server_killed_under_a_training_costs_one_warning_and_relog_sends_it_once(
    inputs, recorded, project, monkeypatch, caplog
):
    port = free_port()
    with tracking_server(project, port) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        command = [sys.executable, "-m", "datspect.stages.cv", *PLACES]
        stage = Popen(command, stdout=PIPE, stderr=PIPE, text=True)
        wait_for_a_run(project / "mlflow.db", stage)
    answer, said = stage.communicate(timeout=120)
    assert (stage.returncode, answer) == (0, "")
    (warning,) = (line for line in said.splitlines() if "MLflow" in line)
    assert warning.endswith("`datspect relog` sends it later")
    assert not [line for line in said.splitlines() if "Traceback" in line]
    assert_all_there(project)
    (lost,) = recorded.parents()
    assert lost.info.run_id == read_json(project / "reports/cv/run.json")["mlflow"]["run_id"]
    assert lost.info.status == "RUNNING"
    before = outputs(project)
    with tracking_server(project, port):
        caplog.set_level(logging.INFO, "datspect")
        relog()
        relog()
    assert (caplog.text.count("cv: sent, as run"), caplog.text.count("nothing sent")) == (1, 1)
    sent = assert_sent_whole(recorded, project)
    assert {path.name for path in (project / "files").rglob("reports/*")} == {"run.json", *FILES["cv"]}
    assert sorted(path.read_bytes() for path in (project / "files").rglob("*.keras")) == sorted(
        path.read_bytes() for path in (project / "models/cv").iterdir()
    )
    lost = recorded.client.get_run(lost.info.run_id)
    assert (lost.info.status, lost.data.tags["datspect.superseded_by"]) == ("KILLED", sent)
    assert len(recorded.parents()) == 2
    assert outputs(project) == before


def test_a_server_that_was_never_there_leaves_a_record_without_a_run(inputs, recorded, project, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    cv.main(*map(Path, PLACES))
    (warning,) = (record for record in caplog.records if record.levelname == "WARNING" and "datspect" in record.name)
    assert warning.getMessage().endswith("`datspect relog` sends it later")
    assert_all_there(project)
    assert read_json(project / "reports/cv/run.json")["mlflow"]["run_id"] is None
    with pytest.raises(TrackingError, match=r"^MLflow at http://127\.0\.0\.1:9 failed"):
        relog()
    before = outputs(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    relog()
    sent = assert_sent_whole(recorded, project)
    assert recorded.files(sent) == {"run.json", *FILES["cv"]}
    assert outputs(project) == before
