"""One function applied to many things on all cores, results as they are done, stoppable at any moment."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context, parent_process
from typing import TypeVar

from joblib import cpu_count

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2
"""Items handed out for each worker, so that none waits for the next."""


def unordered(
    work: Callable[[Item], Result], items: Iterable[Item], n_workers: int | None = None
) -> Generator[Result, None, None]:
    """Results of `work` in the order in which they are done; with one worker in this process, one after the other.

    `n_workers`: None for one a core. Items are taken as workers get free, no sooner. Closing the generator ends what
    is begun and starts nothing new. Where there is fork without harm (Linux) the workers are forked: they start at
    once, share what is in memory already, leave Ctrl-C to this process and end when it is killed. Elsewhere they are
    threads. An error of `work` is raised here.

    Raises
    ------
    BrokenProcessPool : a worker was killed.
    """
    n_workers = n_workers or cpu_count()
    if n_workers == 1:
        yield from map(work, items)
        return
    executor = _executor(n_workers)
    try:
        yield from _results(executor, work, iter(items), _AHEAD * n_workers)
    finally:
        executor.shutdown(cancel_futures=True)


def _executor(n_workers: int) -> Executor:
    if sys.platform != "linux":
        return ThreadPoolExecutor(n_workers)
    return ProcessPoolExecutor(n_workers, get_context("fork"), initializer=_begin)


def _results(
    executor: Executor, work: Callable[[Item], Result], items: Iterator[Item], n_ahead: int
) -> Iterator[Result]:
    with warnings.catch_warnings():
        # Python 3.12 warns where a process with threads forks. Ours are those of BLAS, which minds forks itself.
        warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)
        pending: set[Future[Result]] = {executor.submit(work, item) for item in islice(items, n_ahead)}
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()
            pending |= {executor.submit(work, item) for item in islice(items, 1)}


def _begin() -> None:
    """What a worker does first: leave Ctrl-C to its parent, and watch that it is there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
