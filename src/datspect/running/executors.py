"""Share out work of minutes or hours a piece, such as folds and trials: here, among processes, or over Dask.

A piece depends on its arguments alone: it ends the same wherever it runs, so a piece whose worker died begins again.
Workers are spawned, not forked, because a backend's threads and GPUs do not survive a fork. Many short pieces go to
running/pool.py. Only this module knows Dask.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from joblib import cpu_count

from datspect.errors import WorkerError
from datspect.params.running import ExecutorParams
from datspect.running.memory import free_memory
from datspect.running.pool import leave_to_parent

SCHEDULER_VARIABLE = "DASK_SCHEDULER_ADDRESS"
CONNECT_SECONDS = 20
ATTEMPTS = 3
"""Losses of a worker at the same piece that count as the fault of the piece."""

Piece = TypeVar("Piece")
Report = Callable[[Any], None]
"""Receives now and then how far a piece is: a number or, from `work` itself, numbers and lists that say more."""
Work = Callable[[Any, Any, Report], Any]
"""Does a piece, given what all share, the piece and a `Report`. Other processes must be able to import it by name."""

_SPARING = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""Variables that make TensorFlow and JAX take a GPU's memory as they need it."""
_PIECE_BYTES = 3e9
"""Memory that a fold of a fine-tuned InceptionV3 takes at most on a CPU, with its program."""
_TOPIC = "datspect-progress"
_SECONDS_BETWEEN_LOOKS = 0.5

log = logging.getLogger("datspect.executor")


def completed(
    work: Work,
    shared: Any,
    pieces: Sequence[Piece],
    params: ExecutorParams,
    report: Callable[[int, Any], None],
    *,
    fills_cores: bool,
) -> Iterator[tuple[int, Any]]:
    """Yield the number and the result of each piece as it is done.

    Parameters
    ----------
    shared : what all pieces need; it goes to every worker once
    report : receives, in this thread, the number of a piece and what `work` reported of it, or 0 when it begins
    fills_cores : a piece keeps all cores busy by itself, see `local_places`

    Raises
    ------
    WorkerError : the same piece lost its worker `ATTEMPTS` times, or there is no scheduler or no Dask.
    """
    if params.kind == "dask":
        yield from _on_dask(work, shared, pieces, params, report)
        return
    n_workers = local_places(params, fills_cores=fills_cores)
    if n_workers > 1:
        yield from _in_processes(work, shared, pieces, params, n_workers, report)
        return
    for number, piece in enumerate(pieces):
        yield number, work(shared, piece, lambda n, number=number: report(number, n))  # type: ignore[misc]


# Processes of this machine

_in_worker: dict[str, Any] = {}
"""In a worker: the work, what its pieces share, and the way back for reports."""


def _in_processes(
    work: Work,
    shared: Any,
    pieces: Sequence[Any],
    params: ExecutorParams,
    n_workers: int,
    report: Callable[[int, Any], None],
) -> Iterator[tuple[int, Any]]:
    remaining = dict(enumerate(pieces))
    attempts = dict.fromkeys(remaining, 0)
    while remaining:
        begun: set[int] = set()
        try:
            environments = worker_environments(min(n_workers, len(remaining)), params.folds_per_gpu)
            for number, result in _one_pool(work, shared, remaining, environments, report, begun):
                del remaining[number]
                yield number, result
        except BrokenProcessPool:
            # It is not known which of the begun pieces lost its worker; if none had begun, no worker could even start.
            for number in (begun & set(remaining)) or remaining:
                attempts[number] += 1
            if max(attempts[number] for number in remaining) >= ATTEMPTS:
                raise WorkerError(
                    f"a worker was killed {ATTEMPTS} times at the same piece, perhaps for want of memory; set "
                    "executor.workers to a number, such as 1, or a lower one, and start the same command again"
                ) from None
            if params.workers == "auto":
                n_workers = max(1, n_workers // 2)
            log.warning("a worker was killed; what it was at begins again, at most %d at a time", n_workers)


def _one_pool(
    work: Work,
    shared: Any,
    pieces: dict[int, Any],
    environments: list[dict[str, str]],
    report: Callable[[int, Any], None],
    begun: set[int],
) -> Iterator[tuple[int, Any]]:
    """Yield the results of a pool, which breaks when one of its processes is killed; `begun` collects begun pieces."""
    context = get_context("spawn")
    reports, places = context.SimpleQueue(), context.SimpleQueue()
    for environment in environments:
        places.put(environment)
    executor = ProcessPoolExecutor(len(environments), context, _begin, (work, shared, reports, places))
    try:
        pending: dict[Future[Any], int] = {executor.submit(_do, n, piece): n for n, piece in pieces.items()}
        while pending:
            done, _ = wait(pending, _SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
            while not reports.empty():
                number, n = reports.get()
                begun.add(number)
                report(number, n)
            for future in done:
                yield pending.pop(future), future.result()
    except BaseException:
        # An interrupted caller must not wait for hours of work that nobody wants.
        for process in list((getattr(executor, "_processes", None) or {}).values()):
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def worker_environments(n_workers: int, folds_per_gpu: int) -> list[dict[str, str]]:
    """Return the variables of each worker: its share of the cores, and the one GPU that it sees, in turn."""
    gpus, n_threads = visible_gpus(), max(1, cpu_count() // n_workers)
    common = {
        "TF_NUM_INTRAOP_THREADS": str(n_threads),
        "OMP_NUM_THREADS": str(n_threads),
        "OPENBLAS_NUM_THREADS": str(n_threads),
        "LOKY_MAX_CPU_COUNT": str(n_threads),
        **_SPARING,
    }
    if not gpus:
        return [common] * n_workers
    return [common | {"CUDA_VISIBLE_DEVICES": gpus[k // folds_per_gpu % len(gpus)]} for k in range(n_workers)]


def local_places(params: ExecutorParams, *, fills_cores: bool) -> int:
    """Return how many pieces a local executor has at work at a time.

    `auto` is as many as the GPUs take; without GPUs one for each core with memory enough. It is one where each piece
    `fills_cores` by itself, or an accelerator of another kind is there, which all would share.
    """
    if params.workers != "auto":
        return params.workers
    if gpus := visible_gpus():
        return len(gpus) * params.folds_per_gpu
    if fills_cores or _has_other_accelerator():
        return 1
    return max(1, min(int(cpu_count()), int(free_memory() / _PIECE_BYTES)))


def _has_other_accelerator() -> bool:
    """Return whether there may be an accelerator that `visible_gpus` cannot count: of WSL, of AMD, or a TPU."""
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES") is not None
    return not is_hidden and any(Path(device).exists() for device in ("/dev/dxg", "/dev/kfd", "/dev/accel0"))


def places(params: ExecutorParams) -> int:
    """Return how many pieces that fill the cores by themselves are at work at a time."""
    if params.kind == "local":
        return local_places(params, fills_cores=True)
    with _client(_distributed(), params) as client:
        return len(client.scheduler_info(n_workers=-1)["workers"])


def share_gpus(params: ExecutorParams) -> None:
    """Keep this process from taking whole GPUs that its workers use; call it before a backend starts."""
    if params.kind == "local" and params.workers != 1:
        for name, value in _SPARING.items():
            os.environ.setdefault(name, value)


def visible_gpus() -> list[str]:
    """Return the ids of the NVIDIA GPUs that this process may use, without a backend, which would take hold of them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [gpu for gpu in chosen.split(",") if gpu.strip() not in ("", "-1")]
    return [str(k) for k in range(len(list(Path("/proc/driver/nvidia/gpus").glob("*"))))]


def _begin(work: Work, shared: Any, reports: Any, places: Any) -> None:
    """Start a worker."""
    os.environ.update(places.get())
    leave_to_parent()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    _in_worker.update(work=work, shared=shared, reports=reports)


def _do(number: int, piece: Any) -> Any:
    reports = _in_worker["reports"]
    reports.put((number, 0))
    return _in_worker["work"](_in_worker["shared"], piece, lambda n: reports.put((number, n)))


# A Dask cluster


def _on_dask(
    work: Work, shared: Any, pieces: Sequence[Any], params: ExecutorParams, report: Callable[[int, Any], None]
) -> Iterator[tuple[int, Any]]:
    distributed = _distributed()
    reports: SimpleQueue[tuple[int, Any]] = SimpleQueue()
    with _client(distributed, params) as client:
        client.subscribe_topic(_TOPIC, lambda event: reports.put(event[1]))
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        # A worker that was started with --resources "GPU=1" gets one piece for each GPU.
        resources = {"GPU": 1} if any("GPU" in worker["resources"] for worker in workers) else None
        attempts = dict.fromkeys(range(len(pieces)), 0)

        def submit(wanted: Sequence[int]) -> dict[Any, int]:
            # `shared` is scattered anew for a piece that begins again: its only copy may be lost with the worker.
            everywhere = client.scatter(shared, broadcast=True, hash=False)
            return {
                client.submit(
                    _do_on_dask, work, everywhere, number, pieces[number], resources=resources, pure=False
                ): number
                for number in wanted
            }

        numbers = submit(range(len(pieces)))
        finished = distributed.as_completed(list(numbers), loop=client.loop, raise_errors=False)
        while not finished.is_empty():
            done = finished.next_batch(block=False)
            _pass_on(reports, report)
            for future in done:
                number = numbers.pop(future)
                try:
                    result = future.result()
                except (distributed.client.FutureCancelledError, distributed.scheduler.KilledWorker) as error:
                    attempts[number] += 1
                    if attempts[number] == ATTEMPTS:
                        raise WorkerError(
                            f"Dask lost the worker of the same piece {ATTEMPTS} times ({type(error).__name__}); "
                            "look at the workers' logs"
                        ) from None
                    log.warning("a worker was lost; what it was at begins again")
                    again = submit([number])
                    numbers |= again
                    finished.update(list(again))
                else:
                    yield number, result
            if not done:
                time.sleep(_SECONDS_BETWEEN_LOOKS)


def _pass_on(reports: "SimpleQueue[tuple[int, Any]]", report: Callable[[int, Any], None]) -> None:
    while True:
        try:
            report(*reports.get_nowait())
        except Empty:
            return


def _do_on_dask(work: Work, shared: Any, number: int, piece: Any) -> Any:
    worker = _distributed().get_worker()
    return work(shared, piece, lambda n: worker.log_event(_TOPIC, (number, n)))


@contextmanager
def _client(distributed: Any, params: ExecutorParams) -> Iterator[Any]:
    address = os.environ.get(SCHEDULER_VARIABLE) or params.scheduler
    if not address:
        raise WorkerError(
            f"executor.kind is dask, but no scheduler is named: set {SCHEDULER_VARIABLE} or executor.scheduler to its "
            "address, such as tcp://host:8786 (docs/cluster.md)"
        )
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except OSError as error:
        raise WorkerError(f"no Dask scheduler answers at {address} ({type(error).__name__}); start one") from None
    try:
        yield client
    finally:
        client.close()


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise WorkerError("executor.kind is dask, which is not installed: pip install 'datspect[cluster]'") from None
    return distributed
