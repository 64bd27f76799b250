"""The program that fetches one file, and ends with the process that started it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datspect.weights import fetch


@contextmanager
def fetching(address: str, path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", fetch.__name__, address, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        yield child


def test_a_file_is_fetched_into_a_new_folder(tmp_path: Path, weights_server: Path, weights_address: str) -> None:
    (weights_server / "some.h5").write_bytes(b"weights")
    with fetching(f"{weights_address}some.h5", tmp_path / "new/models/some.h5") as child:
        assert child.wait(timeout=60) == 0
    assert (tmp_path / "new/models/some.h5").read_bytes() == b"weights"


def test_the_download_ends_with_the_process_that_asked_for_it(tmp_path: Path, silent_server: str) -> None:
    with fetching(f"http://{silent_server}/some.h5", tmp_path / "models/some.h5") as child:
        while not (tmp_path / "models").exists():
            assert child.poll() is None
            time.sleep(0.1)
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(timeout=60) == 1
