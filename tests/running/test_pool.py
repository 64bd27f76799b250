"""Work on all cores comes back once, takes no item early, and its workers end with their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from datspect.errors import WorkerError
from datspect.running.pool import unordered


def squared(number: int) -> int:
    return number * number


def process(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def killed_at_two(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def blas_threads(_: int) -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.mark.parametrize("n_workers", [None, 1, 2, 5])
def test_every_item_comes_back_once(n_workers: int | None) -> None:
    assert sorted(unordered(squared, range(20), n_workers)) == [number * number for number in range(20)]
    assert list(unordered(squared, [], n_workers)) == []


def test_the_work_is_done_by_as_many_others_as_asked_for() -> None:
    workers = set(unordered(process, range(12), 2))
    assert len(workers) == 2 - (sys.platform != "linux")
    assert os.getpid() not in workers or sys.platform != "linux"
    assert set(unordered(process, range(2), 1)) == {os.getpid()}


@pytest.mark.parametrize(("n_workers", "most_ahead"), [(1, 1), (2, 4)])
def test_items_are_taken_as_they_are_needed(n_workers: int, most_ahead: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = unordered(squared, items(), n_workers)
    for n_results in range(1, 4):
        next(results)
        assert len(taken) <= n_results + most_ahead
    results.close()
    assert len(taken) <= 3 + most_ahead


@pytest.mark.parametrize("n_workers", [1, 2])
def test_an_error_of_the_work_is_raised(n_workers: int) -> None:
    with pytest.raises(TypeError, match="can't multiply"):
        list(unordered(squared, [1, "no number"], n_workers))  # type: ignore[list-item]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the workers are threads")
def test_a_killed_worker_is_no_result_lost_in_silence() -> None:
    with pytest.raises(WorkerError, match="was killed"):
        list(unordered(killed_at_two, range(8), 2))


def test_a_limit_of_matrix_threads_reaches_the_workers() -> None:
    with threadpool_limits(1):
        assert set().union(*unordered(blas_threads, range(4), 2)) == {1}


_PARENT = """
import os, sys, time
from datspect.errors import WorkerError
from datspect.running.pool import unordered
def named(number):
    if number < 2:
        return os.getpid()
    time.sleep(600)
for pid in unordered(named, range(8), 2):
    print(pid, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the workers are threads")
def test_workers_end_when_their_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert all(parent.stdout.readline().strip().isdigit() for _ in range(2))
        workers = psutil.Process(parent.pid).children()
        parent.kill()
    assert len(workers) == 2
    _, alive = psutil.wait_procs(workers, timeout=30)
    for worker in alive:
        worker.kill()
    assert not alive
