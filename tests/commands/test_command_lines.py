"""No command line shows a password: every program is run with addresses that hold one, and all processes are looked at.

The programs are found in the folder of scripts and in the command line's own list, so none can be forgotten.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import typer
from tests.tracking.made_up_results import write_result
from tests.tracking.servers import free_port
from tests.tuning.made_up_data import write_inputs, write_params
from tests.tuning.postgres import postgres_server

from datspect.__main__ import app

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc")]

SCRIPTS = Path(__file__).parents[2] / "scripts"
SECRET = "p4ss-w0rd-of-nobody"
PORT = "PORT"
"""Stands for a free one; the program serves there until it is ended."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "compare": ("1", "2"),
    "doctor": (),
    "evaluate": ("nowhere", "--model", "champion"),
    "import dicom": ("nowhere", "--participants", "p.csv", "--to", "cohort"),
    "import nifti": ("nowhere", "--participants", "p.csv", "--to", "cohort"),
    "import ppmi": ("nowhere", "--csv", "c.csv", "--to", "cohort"),
    "phantom native": ("native", "--n", "0"),
    "predict": ("--model", "champion", "scan.nii"),
    "promote": ("--force", "--reason", "as a test"),
    "recipe": ("striatum",),
    "register": (),
    "relog": (),
    "reproduced": (),
    "rollback": ("--reason", "as a test"),
    "serve": ("champion", "--port", PORT),
    "status": (),
    "tables": (),
    "trace": ("champion", "--check"),
    "tune": (),
    "verify": (),
}
RUN_SCRIPTS: dict[str, tuple[str, ...]] = {
    "dashboard": (PORT,),
    "mlflow-ui": (PORT,),
    "serve": (PORT, "datspect@champion"),
    "tracking-server": (PORT,),
}
WITHOUT_ADDRESS = {
    *(
        "check_wheel.py",
        "gpu-bundle",
        "images.py",
        "install",
        "lock",
        "prepare-dvc",
        "release",
        "results-comment",
        "stage_deps.py",
    ),
}
"""Scripts that open no store; a test reads them to see that it stays so."""
MAY_END = {"serve"}
"""Of those that serve: there is no champion to serve."""


def commands() -> set[str]:
    """The names of all commands, of groups with their subcommands."""
    group = typer.main.get_command(app)
    found = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found |= {f"{name} {each}" for each in getattr(command, "commands", {})} or {name}
    return found


def test_every_command_and_every_script_is_looked_at() -> None:
    assert commands() == set(COMMANDS)
    assert {path.name for path in SCRIPTS.iterdir() if path.is_file()} == set(RUN_SCRIPTS) | WITHOUT_ADDRESS


@pytest.mark.parametrize("name", sorted(WITHOUT_ADDRESS))
def test_a_script_that_is_not_run_here_opens_no_store(name: str) -> None:
    text = (SCRIPTS / name).read_text("utf-8")
    assert not re.search(
        r"TRACKING_URI|STUDIES|DATABASE|PASSWORD|mlflow (ui|server)|optuna|datspect\.(tracking\.[sc]|tuning)", text
    )


class Looks:
    """Looks at the command lines of all processes, many times a second, until the block ends."""

    def __init__(self) -> None:
        self.n_looks = 0
        self.seen: set[str] = set()
        """Command lines with the secret."""
        self.processes: set[int] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Looks":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            self.n_looks += 1
            for folder in Path("/proc").iterdir():
                if folder.name.isdigit():
                    with suppress(OSError):  # it has ended
                        self._note((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
                        self.processes.add(int(folder.name))

    def _note(self, line: str) -> None:
        if SECRET in line:
            self.seen.add(line.replace(SECRET, "***"))


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables with two databases on a server that lets anybody in, whatever the password."""
    import psycopg

    with postgres_server(tmp_path_factory.mktemp("postgres")) as address:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE DATABASE studies")
            connection.execute("CREATE DATABASE team")
        with_secret = re.sub(r"//(\w+):?[^@/]*@", rf"//\1:{SECRET}@", address)
        assert SECRET in with_secret
        yield {
            "MLFLOW_TRACKING_URI": with_secret,
            "DATSPECT_STUDIES": with_secret.replace("@/postgres", "@/studies"),
            "DATSPECT_TRACKING_DATABASE": with_secret.replace("@/postgres", "@/team"),
            "MLFLOW_TRACKING_USERNAME": "ann",
            "MLFLOW_TRACKING_PASSWORD": SECRET,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": SECRET,
            "MLFLOW_AUTH_ADMIN_PASSWORD": SECRET,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }


@pytest.fixture
def filled(project: Path) -> Path:
    """A project with what relog, register and tune read."""
    write_inputs(project / "data")
    write_params(project, trials=2)
    text = (project / "params.yaml").read_text("utf-8")
    (project / "params.yaml").write_text(re.sub(r"workers: \S+", "workers: 2", text), "utf-8")
    write_result(project, "cv")
    return project


def run(
    command: list[str], folder: Path, variables: dict[str, str], port: int | None
) -> tuple[Looks, int, int | None, str]:
    """Run a program to its end or, if it serves at `port`, until it answered; give id, exit code and what it said."""
    environment = os.environ | variables | {"DATSPECT_TRACKING_FILES": str(folder / "files")}
    with (folder / "said").open("wb") as said, Looks() as looks:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 240
        while process.poll() is None and not (port and answers(port)):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        code = process.poll()
        if code is None:
            time.sleep(2)  # workers that it starts
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
    return looks, process.pid, code, (folder / "said").read_text("utf-8", "replace")


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def assert_hidden(
    name: str, options: tuple[str, ...], command: list[str], folder: Path, addresses: dict[str, str]
) -> None:
    port = free_port() if PORT in options else None
    arguments = [str(port) if option == PORT else option for option in options]
    looks, process_id, code, said = run([*command, *arguments], folder, addresses, port)
    assert looks.seen == set()
    assert looks.n_looks > 5
    assert process_id in looks.processes
    assert SECRET not in said
    assert "Traceback" not in said
    if port and name not in MAY_END:
        assert code is None, said


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_process_of_a_command_shows_a_password(name: str, filled: Path, addresses: dict[str, str]) -> None:
    program = [sys.executable, "-m", "datspect", *name.split()]
    assert_hidden(name, COMMANDS[name], program, filled, addresses)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(RUN_SCRIPTS))
def test_no_process_of_a_script_shows_a_password(name: str, filled: Path, addresses: dict[str, str]) -> None:
    assert_hidden(name, RUN_SCRIPTS[name], ["sh", str(SCRIPTS / name)], filled, addresses)


def test_a_password_on_a_command_line_is_seen(tmp_path: Path) -> None:
    """As this would: the look itself is tested."""
    program = [sys.executable, "-c", "import time; time.sleep(1)", f"postgresql://ann:{SECRET}@host/runs"]
    looks, _, code, _ = run(program, tmp_path, {}, None)
    assert code == 0
    (line,) = looks.seen
    assert "postgresql://ann:***@host/runs" in line
