"""Work has the same results here, in other processes and on a Dask cluster, whichever worker is killed meanwhile."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster

from datspect.errors import WorkerError
from datspect.params.running import ExecutorParams
from datspect.running.executors import SCHEDULER_VARIABLE, completed, local_places, visible_gpus, worker_environments

IN_TURN = ExecutorParams(kind="local", workers=1, folds_per_gpu=1, scheduler=None, checkpoint_minutes=1)
IN_PROCESSES = IN_TURN.model_copy(update={"workers": 2})
AUTO = IN_TURN.model_copy(update={"workers": "auto"})
ON_DASK = IN_TURN.model_copy(update={"kind": "dask"})


def add(shared: int, piece: int, report: Any) -> int:
    report(1)
    report(2)
    return shared + piece


def add_once_killed(shared: Path, piece: int, report: Any) -> int:
    """Kill the first process that takes piece 1."""
    report(1)
    if piece == 1:
        try:
            (shared / "killed").touch(exist_ok=False)
        except FileExistsError:
            return piece + 100
        time.sleep(0.5)  # let the others begin
        os.kill(os.getpid(), signal.SIGKILL)
    return piece + 100


def die(shared: Path, piece: int, report: Any) -> None:
    with (shared / "deaths").open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def refuse_to_be_read() -> None:
    raise RuntimeError("a worker cannot read what is shared")


class Unreadable:
    """Make every worker die while it starts."""

    def __reduce__(self) -> Any:
        return refuse_to_be_read, ()


def report_and_wait(shared: Any, piece: int, report: Any) -> int:
    report(1)
    time.sleep(3)
    return piece


def fail(shared: Any, piece: int, report: Any) -> None:
    raise ValueError(f"piece {piece}")


def threads(shared: Any, piece: int, report: Any) -> str:
    return os.environ["TF_NUM_INTRAOP_THREADS"]


def run(work: Any, shared: Any, pieces: list[Any], params: ExecutorParams) -> tuple[dict[int, Any], set[Any]]:
    told: set[tuple[int, int]] = set()
    results = dict(completed(work, shared, pieces, params, lambda number, n: told.add((number, n)), fills_cores=False))
    return results, told


def test_pieces_are_done_in_turn() -> None:
    assert run(add, 10, [1, 2, 3], IN_TURN) == ({0: 11, 1: 12, 2: 13}, {(k, n) for k in range(3) for n in (1, 2)})


@pytest.mark.slow
def test_processes_give_the_same() -> None:
    results, told = run(add, 10, [1, 2, 3], IN_PROCESSES)
    assert results == {0: 11, 1: 12, 2: 13}
    assert told >= {(k, 1) for k in range(3)}


@pytest.mark.slow
def test_a_piece_whose_process_was_killed_is_done_again(tmp_path: Path) -> None:
    results, _ = run(add_once_killed, tmp_path, [0, 1, 2, 3], IN_PROCESSES)
    assert results == {k: k + 100 for k in range(4)}
    assert (tmp_path / "killed").exists()


@pytest.mark.slow
def test_after_a_kill_auto_has_fewer_pieces_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def environments(n: int, folds_per_gpu: int) -> list[dict[str, str]]:
        asked.append(n)
        return worker_environments(n, folds_per_gpu)

    monkeypatch.setattr("datspect.running.executors.local_places", lambda _params, *, fills_cores: 4)
    monkeypatch.setattr("datspect.running.executors.worker_environments", environments)
    with pytest.raises(WorkerError, match=r"set executor\.workers to a number, such as 1"):
        run(die, tmp_path, [0, 1, 2, 3], AUTO)
    assert asked == [4, 2, 1]


@pytest.mark.slow
def test_a_piece_that_kills_every_process_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="killed 3 times at the same piece"):
        run(die, tmp_path, [0], IN_PROCESSES)
    assert (tmp_path / "deaths").read_text() == "xxx"


@pytest.mark.slow
def test_workers_that_cannot_start_are_given_up() -> None:
    with pytest.raises(WorkerError, match="killed 3 times"):
        run(add, Unreadable(), [0, 1], IN_PROCESSES)


@pytest.mark.slow
def test_an_error_of_the_work_is_raised_here() -> None:
    with pytest.raises(ValueError, match="piece 7"):
        run(fail, None, [7], IN_PROCESSES)


@pytest.mark.slow
def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datspect.running.executors.cpu_count", lambda: 8)
    results, _ = run(threads, None, [1, 2], IN_PROCESSES)
    assert results == {0: "4", 1: "4"}


def test_each_worker_sees_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    seen = [environment["CUDA_VISIBLE_DEVICES"] for environment in worker_environments(4, folds_per_gpu=2)]
    assert seen == ["2", "2", "5", "5"]
    assert [e["CUDA_VISIBLE_DEVICES"] for e in worker_environments(3, folds_per_gpu=1)] == ["2", "5", "2"]


@pytest.mark.parametrize(
    ("n_cores", "memory", "fills_cores", "n"),
    [(8, 64e9, False, 8), (8, 10e9, False, 3), (8, 1e9, False, 1), (8, 64e9, True, 1), (1, 64e9, False, 1)],
)
def test_auto_is_what_cores_and_memory_have_room_for(
    n_cores: int, memory: float, fills_cores: bool, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("datspect.running.executors.cpu_count", lambda: n_cores)
    monkeypatch.setattr("datspect.running.executors.free_memory", lambda: memory)
    assert local_places(AUTO, fills_cores=fills_cores) == n
    assert local_places(IN_PROCESSES, fills_cores=fills_cores) == 2


def test_auto_leaves_an_accelerator_that_it_cannot_count_to_one_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("datspect.running.executors.visible_gpus", list)
    monkeypatch.setattr("datspect.running.executors.cpu_count", lambda: 8)
    monkeypatch.setattr("datspect.running.executors.free_memory", lambda: 64e9)
    assert local_places(AUTO, fills_cores=False) == 8
    monkeypatch.setattr("datspect.running.executors.Path.exists", lambda path: str(path) == "/dev/dxg")
    assert local_places(AUTO, fills_cores=False) == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert local_places(AUTO, fills_cores=False) == 8


def test_auto_fills_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert local_places(AUTO, fills_cores=True) == 2
    assert local_places(AUTO.model_copy(update={"folds_per_gpu": 3}), fills_cores=False) == 6


@pytest.mark.parametrize("chosen", ["", "-1"])
def test_gpus_that_are_hidden_are_not_used(chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert visible_gpus() == []
    assert "CUDA_VISIBLE_DEVICES" not in worker_environments(1, folds_per_gpu=1)[0]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    """Start two workers, each a process with a nanny, as `dask worker` does."""
    monkeypatch.delenv(SCHEDULER_VARIABLE, raising=False)
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as started:
        monkeypatch.setenv(SCHEDULER_VARIABLE, started.scheduler_address)
        yield started


@pytest.mark.slow
def test_a_cluster_gives_the_same(cluster: LocalCluster) -> None:
    assert run(add, 10, [1, 2, 3], ON_DASK)[0] == {0: 11, 1: 12, 2: 13}
    results, told = run(report_and_wait, None, [5, 6], ON_DASK)
    assert results == {0: 5, 1: 6}
    assert told == {(0, 1), (1, 1)}


def test_no_scheduler_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SCHEDULER_VARIABLE, raising=False)
    with pytest.raises(WorkerError, match="no scheduler is named: set DASK_SCHEDULER_ADDRESS"):
        run(add, 1, [1], ON_DASK)


def test_a_scheduler_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCHEDULER_VARIABLE, "tcp://127.0.0.1:9")
    monkeypatch.setattr("datspect.running.executors.CONNECT_SECONDS", 1)
    with pytest.raises(WorkerError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run(add, 1, [1], ON_DASK)
