"""The team's server as docs/tracking-server.md starts it: real PostgreSQL, real login, nobody sees by default."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tests.tracking.projects import clean_environment
from tests.tracking.proxies import reverse_proxy
from tests.tracking.servers import free_port
from tests.tuning.postgres import postgres_server

from datspect.tracking import open_run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ADMIN, SECRET = "admin-password-for-tests", "s3cret-" * 6
PASSWORD = "ada-has-a-password"
HOST = "mlflow.hospital.example"
EXPERIMENTS = "/api/2.0/mlflow/experiments/search?max_results=10"

AS_ADMIN = """
import sys
from mlflow import MlflowClient
from mlflow.server import get_app_client
users = get_app_client("basic-auth", tracking_uri=sys.argv[1])
for name in ("ada", "bob", "eve"):
    users.create_user(name, sys.argv[2])
experiment = MlflowClient().create_experiment("datspect")
users.grant_user_permission("bob", "experiment", experiment, "READ")
users.grant_user_permission("eve", "experiment", experiment, "EDIT")
print(experiment)
"""


@dataclass(frozen=True)
class Team:
    """A running server, and what it printed."""

    uri: str
    log: Path
    proxied: str
    """Host and port that users type."""

    def status(self, path: str, user: str = "", password: str = "") -> int:
        request = urllib.request.Request(self.uri + path)
        if user:
            request.add_header("Authorization", "Basic " + b64encode(f"{user}:{password}".encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    @contextmanager
    def login(self, user: str, password: str, uri: str = "") -> Iterator[MlflowClient]:
        """What a user's programs know from the environment, and a client of theirs."""
        uri = uri or self.uri
        with pytest.MonkeyPatch.context() as patch:
            clean_environment(patch)
            patch.setenv("MLFLOW_TRACKING_URI", uri)
            patch.setenv("MLFLOW_TRACKING_USERNAME", user)
            patch.setenv("MLFLOW_TRACKING_PASSWORD", password)
            yield MlflowClient(uri)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder, port, proxy_port = tmp_path_factory.mktemp("team"), free_port(), free_port()
    proxied = f"{HOST}:{proxy_port}"
    with postgres_server(folder / "postgres") as address:
        environment = os.environ | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "DATSPECT_TRACKING_DATABASE": address,
            "DATSPECT_TRACKING_FILES": str(folder / "files"),
            "DATSPECT_TRACKING_HOSTS": f"mlflow.elsewhere.example,http://{proxied}",
            "DATSPECT_TRACKING_WORKERS": "1",
            "MLFLOW_FLASK_SERVER_SECRET_KEY": SECRET,
            "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        log = folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["sh", str(ROOT / "scripts/tracking-server"), str(port)], cwd=folder, env=environment, stdout=output,
                stderr=output, start_new_session=True,
            )  # fmt: skip
        running = Team(f"http://127.0.0.1:{port}", log, proxied)
        try:
            _wait_until_up(running, process)
            with reverse_proxy(proxy_port, port):
                yield running
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def _wait_until_up(team: Team, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(480):
        try:
            if team.status("/health") == 200:
                return
        except OSError:
            time.sleep(0.25)
        assert process.poll() is None, team.log.read_text()
    raise TimeoutError(team.log.read_text())


@pytest.fixture(scope="module")
def experiment(team: Team, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Id of an experiment that user ada has no grant for, bob may read, and eve may write to."""
    with team.login("admin", ADMIN):
        made = subprocess.run(
            [sys.executable, "-c", AS_ADMIN, team.uri, PASSWORD], cwd=tmp_path_factory.mktemp("admin"),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return made.stdout.strip().splitlines()[-1]


def test_anonymous_and_wrong_passwords_are_refused_everywhere(team: Team, experiment: str) -> None:
    of_experiment = f"/ajax-api/2.0/mlflow/experiments/get?experiment_id={experiment}"
    for path in ("/", EXPERIMENTS, "/api/2.0/mlflow-artifacts/artifacts?path=", of_experiment):
        assert team.status(path) == 401, path
        assert team.status(path, "ada", "wrong") == 401, path
    assert team.status(EXPERIMENTS, "ada", PASSWORD) == 200


def test_a_user_without_a_grant_sees_nothing(team: Team, experiment: str) -> None:
    assert team.status(f"/api/2.0/mlflow/experiments/get?experiment_id={experiment}", "ada", PASSWORD) == 403
    for user, seen in (("ada", []), ("bob", ["datspect"])):
        with team.login(user, PASSWORD) as client:
            assert [found.name for found in client.search_experiments()] == seen


def test_reading_is_not_writing_and_a_grant_lets_a_stage_record_its_run(
    team: Team, experiment: str, caplog: pytest.LogCaptureFixture
) -> None:
    with team.login("bob", PASSWORD):
        assert record_a_run() is None
    assert "this run is not recorded any further" in caplog.text
    said = caplog.text
    caplog.clear()
    with team.login("eve", PASSWORD):
        run_id = record_a_run()
    assert run_id is not None
    assert caplog.text == ""
    with team.login("bob", PASSWORD) as client:
        assert client.get_run(run_id).info.status == "FINISHED"
    for text in (said, team.log.read_text("utf-8", "replace")):
        assert PASSWORD not in text
        assert ADMIN not in text
        assert SECRET not in text


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host name that users type leads to this machine."""
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: look_up("127.0.0.1" if host == HOST else host, *rest, **more)
    )


def test_through_a_proxy_with_a_port_in_its_name_runs_and_files_arrive(
    team: Team, experiment: str, resolved: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "roc.csv").write_text("1,2\n")
    with team.login("eve", PASSWORD, f"http://{team.proxied}") as client:
        with open_run("cv", stage="cv", experiment="datspect") as run:
            run.log_files([tmp_path / "roc.csv"], "reports")
        assert caplog.text == ""
        assert client.get_run(str(run.run_id)).info.status == "FINISHED"
        assert Path(client.download_artifacts(str(run.run_id), "reports/roc.csv")).read_text() == "1,2\n"


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        ("PROXIED", "http://PROXIED", 200),  # what a browser sends when the page searches runs
        ("mlflow.elsewhere.example", "https://mlflow.elsewhere.example", 200),
        ("127.0.0.1:5000", "", 200),
        (HOST, "", 403),  # without the port
        ("evil.example", "", 403),
        ("PROXIED", "http://evil.example", 403),
        ("PROXIED", "http://PROXIED.evil.example", 403),
        ("PROXIED", "https://mlflow.elsewhere.example.evil.example", 403),
    ],
)
def test_the_pages_own_requests_pass_and_those_of_other_pages_do_not(
    team: Team, experiment: str, host: str, origin: str, expected: int
) -> None:
    body = json.dumps({"experiment_ids": [experiment]}).encode()
    headers = {"Host": host.replace("PROXIED", team.proxied), "Content-Type": "application/json"}
    if origin:
        headers["Origin"] = origin.replace("PROXIED", team.proxied)
    login = b64encode(f"eve:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(
        f"{team.uri}/ajax-api/2.0/mlflow/runs/search", body, headers | {"Authorization": f"Basic {login}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, allowed = answer.status, answer.headers.get("Access-Control-Allow-Origin")
    except urllib.error.HTTPError as error:
        status, allowed = error.code, error.headers.get("Access-Control-Allow-Origin")
    assert status == expected
    assert "evil" not in (allowed or "")


def test_a_star_among_the_hosts_is_refused(tmp_path: Path) -> None:
    """MLflow's cross-origin check would take `https://*` for any page at all."""
    needed = ("DATABASE", "FILES")
    environment = os.environ | {f"DATSPECT_TRACKING_{name}": "x" for name in needed}
    environment |= {"MLFLOW_FLASK_SERVER_SECRET_KEY": SECRET, "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN}
    command = ["sh", str(ROOT / "scripts/tracking-server"), "5000"]
    answer = subprocess.run(
        command, env=environment | {"DATSPECT_TRACKING_HOSTS": "*.example"}, cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 1
    assert "name each host as users type it" in answer.stderr


def record_a_run() -> str | None:
    with open_run("cv", stage="cv", experiment="datspect", params={"a": 1}) as run:
        run.log_metrics({"out_of_fold/accuracy": 0.5})
    return run.run_id


def test_it_does_not_start_without_its_secrets(tmp_path: Path) -> None:
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DATSPECT_"))}
    command = ["sh", str(ROOT / "scripts/tracking-server"), "5000"]
    answer = subprocess.run(command, env=ours, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "set DATSPECT_TRACKING_DATABASE in the environment" in answer.stderr
