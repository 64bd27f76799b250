"""The UI as `make ui` starts it, in a repository that was moved."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tests.tracking.projects import Recorded
from tests.tracking.servers import free_port
from tests.tracking.stores import WEIGHTS, fill, mentions

from datspect import tracking

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "scripts/mlflow-ui"


def opened(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return bytes(answer.read())


def test_the_ui_shows_files_and_models_where_they_are_now_and_stages_record_beside_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = fill(project)
    with tracking.required_connection("datspect"):
        pass
    root = project.rename(tmp_path / "moved")
    monkeypatch.chdir(root)
    port = free_port()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (tmp_path / "ui.log").open("wb") as output:
        process = subprocess.Popen(
            ["sh", str(SCRIPT), str(port)], stdout=output, stderr=output, start_new_session=True,
            env=os.environ | {"PATH": path, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(480):
            try:
                opened(f"{address}/health")
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "ui.log").read_text()
                time.sleep(0.25)
        assert opened(f"{address}/get-artifact?path=reports%2Froc.csv&run_uuid={run_id}") == b"1,2\n"
        (output,) = Recorded(root).client.get_run(run_id).outputs.model_outputs
        models = f"{address}/ajax-api/2.0/mlflow/logged-models/{output.model_id}/artifacts"
        listed = json.loads(opened(f"{models}/directories?artifact_directory_path=data"))
        assert "data/model.keras" in {file["path"] for file in listed["files"]}
        assert opened(f"{models}/files?artifact_file_path=data%2Fmodel.keras") == WEIGHTS
        with tracking.open_run("beside the UI", stage="cv", experiment="datspect") as run:
            run.log_files([root / "roc.csv"], "reports")
        assert opened(f"{address}/get-artifact?path=reports%2Froc.csv&run_uuid={run.run_id}") == b"1,2\n"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
    assert mentions(root / "mlflow.db", project) == {}
