"""Few threads are within at a time, and the others come in the order in which they came."""

import threading
import time
from collections.abc import Callable

import pytest

from datspect.release.turns import Turns


def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.001)


@pytest.mark.parametrize("n_at_once", [1, 3])
def test_no_more_are_within_than_may_be_and_all_come(n_at_once: int) -> None:
    turns, lock, within, most, done = Turns(n_at_once), threading.Lock(), 0, 0, 0

    def work() -> None:
        nonlocal within, most, done
        for _ in range(20):
            with turns:
                with lock:
                    within += 1
                    most = max(most, within)
                time.sleep(0.0005)
                with lock:
                    within -= 1
                    done += 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, done) == (n_at_once, 160)


def test_who_comes_back_for_another_waits_behind_those_who_came_before() -> None:
    turns, came = Turns(1), []

    def come(name: str) -> None:
        with turns:
            came.append(name)

    def come_twice() -> None:
        with turns:
            until(lambda: len(turns._waiting) == 2)
            came.append("first")
        come("again")

    threads = [threading.Thread(target=come_twice)]
    threads[0].start()
    until(lambda: not turns._n_free)
    for n, name in enumerate(("second", "third"), start=1):
        threads.append(threading.Thread(target=come, args=(name,)))
        threads[-1].start()
        until(lambda n=n: len(turns._waiting) == n or bool(came))  # type: ignore[misc]
    for thread in threads:
        thread.join(10)
    assert came == ["first", "second", "third", "again"]


def test_a_turn_ends_with_an_error_too() -> None:
    turns = Turns(1)
    for _ in range(2):
        with pytest.raises(ValueError, match="no scan"), turns:
            raise ValueError("no scan")
    assert turns._n_free == 1
