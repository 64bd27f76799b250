"""What grows is sent beside the work, one sending at a time, and what came last is not lost."""

import threading
import time
from collections.abc import Callable

import pytest

from datspect.tracking import live, sent_while_growing


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL_SECONDS", 0.02)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_latest_state_is_sent_while_the_work_goes_on() -> None:
    state, seen = [0], []
    with sent_while_growing(lambda: seen.append(state[0])):
        wait_for(lambda: 0 in seen)
        state[0] = 7
        wait_for(lambda: 7 in seen)
    n = len(seen)
    time.sleep(0.1)
    assert len(seen) == n  # nothing is sent after the block
    assert "datspect-live" not in [thread.name for thread in threading.enumerate()]


def test_whoever_looks_is_behind_by_the_interval_and_one_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a slow store too: a sending that takes a time is followed by one of what came meanwhile."""
    monkeypatch.setattr(live, "INTERVAL_SECONDS", 0.1)
    arrived: dict[int, float] = {}
    done: dict[int, float] = {}

    def send() -> None:
        state = dict(done)
        time.sleep(0.05)
        for epoch in state:
            arrived.setdefault(epoch, time.monotonic())

    with sent_while_growing(send):
        for epoch in range(60):
            done[epoch] = time.monotonic()
            time.sleep(0.01)
        wait_for(lambda: len(arrived) == 60)
    delays = [arrived[epoch] - done[epoch] for epoch in done]
    assert max(delays) < 2 * (0.1 + 0.05) + 0.5  # half a second for a busy machine
    assert live.INTERVAL_SECONDS == 0.1


def test_the_interval_leaves_a_sending_five_of_fifteen_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert live.INTERVAL_SECONDS <= 10.0


@pytest.mark.parametrize("end", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_after_an_abrupt_end_what_came_last_is_sent(monkeypatch: pytest.MonkeyPatch, end: type[BaseException]) -> None:
    monkeypatch.setattr(live, "INTERVAL_SECONDS", 60.0)
    state, seen = [0], []
    with pytest.raises(end), sent_while_growing(lambda: seen.append(state[0])):  # noqa: PT012
        state[0] = 7
        raise end
    assert seen == [7]


def test_short_work_that_ends_well_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL_SECONDS", 60.0)
    seen: list[int] = []
    began = time.monotonic()
    with sent_while_growing(lambda: seen.append(1)):
        pass
    assert seen == []
    assert time.monotonic() - began < 5


def test_two_sendings_never_overlap() -> None:
    at_work, most = [0], [0]

    def send() -> None:
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        time.sleep(0.05)
        at_work[0] -= 1

    with pytest.raises(ZeroDivisionError), sent_while_growing(send):  # noqa: PT012
        wait_for(lambda: at_work[0] == 1)
        _ = 1 / 0
    assert most == [1]
