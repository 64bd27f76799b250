"""Let few threads do something at a time, those who came first before those who came later."""

from collections import deque
from threading import Event, Lock


class Turns:
    """A context that at most `n_at_once` threads are within; the others wait in the order in which they came.

    With a semaphore a thread that comes back at once, for the next of its many scans, would pass all who wait.
    """

    def __init__(self, n_at_once: int) -> None:
        self._lock, self._n_free = Lock(), n_at_once
        self._waiting: deque[Event] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if self._n_free:
                self._n_free -= 1
                return
            called = Event()
            self._waiting.append(called)
        called.wait()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._n_free += 1
