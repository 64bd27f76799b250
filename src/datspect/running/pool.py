"""One function applied to many things on all cores, results as they are done, stoppable at any moment."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context, parent_process
from queue import SimpleQueue
from typing import Any, TypeVar

from joblib import cpu_count

from datspect.errors import WorkerError

Item = TypeVar("Item")
Result = TypeVar("Result")

_kept: list[Callable[[Any], Any]] = []
"""The work, in a forked worker; nothing anywhere else."""


def unordered(
    work: Callable[[Item], Result], items: Iterable[Item], n_workers: int | None = None, *, n_ahead: int = 2
) -> Generator[Result, None, None]:
    """Results of `work` in the order in which they are done; with one worker in this process, one after the other.

    `n_workers`: None for one a core. Of items that were taken and whose result was not fetched there are at most
    `n_ahead` a worker: two, so that none waits for the next, or more if results are fetched in bursts. Closing the
    generator ends what is begun and starts nothing new. Where there is fork without harm (Linux) the workers are
    forked: they start at once, share what is in memory already, leave Ctrl-C to this process and end when it is killed.
    Elsewhere they are threads. An error of `work` is raised here.

    Raises
    ------
    WorkerError : a worker was killed.
    """
    n_workers = n_workers or cpu_count()
    if n_workers == 1:
        yield from map(work, items)
        return
    executor, asked = _begun(work, n_workers)
    try:
        yield from _results(executor, asked, iter(items), n_ahead * n_workers)
    except BrokenProcessPool:
        raise WorkerError(
            "a process that shares the work was killed, perhaps for want of memory; start the same command again"
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


def _begun(work: Callable[[Item], Result], n_workers: int) -> tuple[Executor, Callable[[Item], Result]]:
    """A pool, and what it is to be asked."""
    if sys.platform != "linux":
        return ThreadPoolExecutor(n_workers), work
    # Handed over by the fork itself, `work` may hold large arrays: asked for it with every item, it would be copied.
    return ProcessPoolExecutor(n_workers, get_context("fork"), _begin, (work,)), _ask


def _results(
    executor: Executor, work: Callable[[Item], Result], items: Iterator[Item], n_ahead: int
) -> Iterator[Result]:
    done: SimpleQueue[Future[Result]] = SimpleQueue()

    def hand_out(n: int) -> int:
        futures = [executor.submit(work, item) for item in islice(items, n)]
        for future in futures:
            future.add_done_callback(done.put)
        return len(futures)

    with warnings.catch_warnings():
        # Python 3.12 warns where a process with threads forks. Ours are those of BLAS, which minds forks itself.
        warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)
        n_pending = hand_out(n_ahead)
    while n_pending:
        yield done.get().result()
        n_pending += hand_out(1) - 1


# In a worker


def _begin(work: Callable[[Any], Any]) -> None:
    """What a worker does first: keep its work."""
    _kept.append(work)
    leave_to_parent()


def leave_to_parent() -> None:
    """In a worker: leave Ctrl-C to the parent process, and end when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _ask(item: Any) -> Any:
    return _kept[0](item)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
