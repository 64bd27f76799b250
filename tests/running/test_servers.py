"""A server ends with all that it has started when the program that runs it ends, however that ends."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")

# A server whose children take no notice of its end; the last one is in a session of its own and ignores SIGTERM.
_SERVER = """
import pathlib, signal, subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(120)"
first = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
second = subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True, stdout=subprocess.PIPE, text=True)
second.stdout.readline()
pathlib.Path(sys.argv[1]).write_text("begun")
time.sleep(float(sys.argv[2]))
"""


def start(folder: Path, *, seconds: float) -> tuple[psutil.Popen, list[psutil.Process]]:
    program = folder / "server.py"
    program.write_text(_SERVER, encoding="utf-8")
    code = (
        "import sys; from datspect.running import servers; servers._SECONDS_TO_END = 1; "
        "from datspect.running.launch import with_clear_errors; "
        "with_clear_errors(lambda: sys.exit(servers.serve(sys.argv[1:])))"
    )
    command = [sys.executable, "-c", code, sys.executable, str(program), str(folder / "begun"), str(seconds)]
    keeper = psutil.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    deadline = time.monotonic() + 30
    while not (folder / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    family = keeper.children(recursive=True)
    assert len(family) == 4  # the server, its two children, and the guard
    return keeper, family


def all_end(family: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(family, timeout=20)
    for process in alive:
        process.kill()
    return not alive


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_everything_ends_with_the_program_that_runs_it(signum: int, tmp_path: Path) -> None:
    keeper, family = start(tmp_path, seconds=120)
    keeper.send_signal(signum)
    keeper.wait(20)
    assert all_end(family)


def test_a_server_that_ends_by_itself_leaves_nobody_in_its_session(tmp_path: Path) -> None:
    keeper, family = start(tmp_path, seconds=0.5)
    daemon = next(process for process in family if "SIG_IGN" in process.cmdline()[-1])
    assert keeper.wait(20) == 0
    assert all_end([process for process in family if process != daemon])
    daemon.kill()  # it has left the session, and nobody can tell any more whose it was
