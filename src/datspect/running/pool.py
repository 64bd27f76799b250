"""Apply one function to many things on all cores: for work of up to a minute a piece, which may stop at any moment.

Work of minutes or hours a piece goes to running/executors.py, which begins it again when a worker dies.
"""

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
from datspect.running.signals import stopping_signals, stopping_signals_held_back

Item = TypeVar("Item")
Result = TypeVar("Result")

_kept: list[Callable[[Any], Any]] = []
"""The work, in a forked worker; empty in any other process."""


def unordered(
    work: Callable[[Item], Result], items: Iterable[Item], n_workers: int | None = None, *, n_ahead: int = 2
) -> Generator[Result, None, None]:
    """Yield results of `work` in the order in which they are done; one worker works in this process, item by item.

    `n_workers` is None for one a core. At most `n_ahead` items a worker are taken without their results being fetched:
    two, so that no worker waits for the next item, or more if results are fetched in bursts. Closing the generator, or
    a signal, breaks off what is begun. On Linux, where a fork does no harm, the workers are forked: they start at once,
    share what is in memory already, leave Ctrl-C to this process and end when it is killed. Elsewhere they are threads.
    An error of `work` is raised here.

    >>> sorted(unordered(abs, [-3, 2, -1]))
    [1, 2, 3]

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
    except (GeneratorExit, KeyboardInterrupt, SystemExit):
        for process in list((getattr(executor, "_processes", None) or {}).values()):
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _begun(work: Callable[[Item], Result], n_workers: int) -> tuple[Executor, Callable[[Item], Result]]:
    """Return a pool and the function to submit to it."""
    if sys.platform != "linux":
        return ThreadPoolExecutor(n_workers), work
    # The fork itself hands `work` over, which may hold large arrays: submitted with every item, they would be copied.
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

    with warnings.catch_warnings(), stopping_signals_held_back():
        # Python 3.12 warns when a process with threads forks. Ours are those of BLAS, which handles forks itself.
        warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)
        n_pending = hand_out(n_ahead)
    while n_pending:
        yield done.get().result()
        n_pending += hand_out(1) - 1


# In a worker


def _begin(work: Callable[[Any], Any]) -> None:
    """Start a worker: keep its work."""
    _kept.append(work)
    leave_to_parent()


def leave_to_parent() -> None:
    """Let this worker leave Ctrl-C to the parent process, end at once when told to, and when the parent is gone.

    It listens at a pipe that only the parent holds. The kernel's signal at a parent's end is not for workers: it comes
    when the parent's thread ends that started them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if threading.current_thread() is threading.main_thread():
        for signum in stopping_signals():  # a fork inherits what the parent does at them
            signal.signal(signum, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _ask(item: Any) -> Any:
    return _kept[0](item)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
