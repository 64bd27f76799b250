import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from datspect.errors import WeightsError
from datspect.weights.downloads import run_while_progressing

FETCH = "import sys, urllib.request; urllib.request.urlretrieve(sys.argv[1], sys.argv[2])"


def run(code: str, *arguments: str, watched: Path, stalled_seconds: float = 1.0, start_seconds: float = 60.0) -> float:
    started = time.monotonic()
    run_while_progressing(
        [sys.executable, "-c", code, *arguments],
        watched,
        stalled_seconds=stalled_seconds,
        start_seconds=start_seconds,
        environment={"no_proxy": "*"},
    )
    return time.monotonic() - started


def test_a_silent_server_is_left_after_the_time_without_progress(tmp_path: Path, silent_server: str) -> None:
    watched = tmp_path / "watched"
    code = "import pathlib, sys; pathlib.Path(sys.argv[2]).parent.mkdir();" + FETCH
    started = time.monotonic()
    with pytest.raises(WeightsError, match=r"no progress for 1 s at 0\.0 MB, ended"):
        run(code, f"http://{silent_server}/w.h5", str(watched / "w.h5"), watched=watched)
    assert time.monotonic() - started < 15


def test_a_slow_download_that_progresses_is_left_to_finish(tmp_path: Path) -> None:
    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(10 * 8192))
            self.end_headers()
            for _ in range(10):
                self.wfile.write(bytes(8192))
                time.sleep(0.4)

        def log_message(self, *args: object) -> None:
            pass

    watched = tmp_path / "watched"
    watched.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}/w.h5"
        seconds = run(FETCH, address, str(watched / "w.h5"), watched=watched, stalled_seconds=2)
        server.shutdown()
        thread.join()
    assert seconds > 3  # longer than the time allowed without progress
    assert (watched / "w.h5").stat().st_size == 10 * 8192


def test_a_program_that_never_starts_to_download_is_ended(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no progress for 0\.5 s"):
        run("import time; time.sleep(60)", watched=tmp_path, start_seconds=0.5)


def test_a_slow_start_is_no_stalled_download(tmp_path: Path) -> None:
    run("import time; time.sleep(1.5)", watched=tmp_path, stalled_seconds=0.5)


def test_the_last_line_said_is_the_reason(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"^OSError: the line is dead$"):
        run("raise OSError('the line is dead')", watched=tmp_path)
    with pytest.raises(WeightsError, match="ended with exit code 7"):
        run("raise SystemExit(7)", watched=tmp_path)


def test_the_child_is_gone_afterwards(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys, time; pathlib.Path(sys.argv[1], 'pid').write_text(str(os.getpid())); time.sleep(60)"
    )
    with pytest.raises(WeightsError, match="no progress"):
        run(code, str(tmp_path), watched=tmp_path)
    pid = int((tmp_path / "pid").read_text(encoding="utf-8"))
    assert not Path(f"/proc/{pid}").exists()
