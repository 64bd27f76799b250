"""Send hostile requests of every kind at a steady rate, beside good ones from a process of their own."""

import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from attack_parts import good
from attack_parts.good import Good, Replies
from attack_parts.kind import Kind


@dataclass(frozen=True)
class Load:
    """How long and how often a second requests are sent: good ones, in MNI space and native, and hostile ones.

    Slow kinds come beside, one at a time.
    """

    seconds: float
    good_a_second: float
    hostile_a_second: float
    native_a_second: float = 0.0


@dataclass(frozen=True, eq=False)
class Found:
    """What came back: `replies` to good requests, `natives` to native ones, of hostile ones the statuses by kind."""

    replies: Replies
    natives: Replies
    statuses: dict[str, Counter[str]]


def run(
    port: int, kinds: Sequence[Kind], requests: Sequence[Good], natives: Sequence[Good], scan: bytes, load: Load
) -> Found:
    """Attack, and return what came back.

    A hostile request may keep a processor busy where it is made, so good ones are sent and timed by other processes.
    """
    attack = _Attack(port, scan, {kind.name: Counter() for kind in kinds})
    fast, slow = [kind for kind in kinds if not kind.is_slow], [kind for kind in kinds if kind.is_slow]
    ends = time.monotonic() + load.seconds
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        replies = pool.submit(good.ask_steadily, port, requests, load.seconds, load.good_a_second)
        slower = pool.submit(good.ask_steadily, port, natives, load.seconds, load.native_a_second)
        threads = [threading.Thread(target=attack.try_until, args=(kind, ends)) for kind in slow]
        for thread in threads:
            thread.start()
        good.steadily(
            lambda turn: attack.attempt(fast[turn % len(fast)], turn // len(fast)), load.seconds, load.hostile_a_second
        )
        for thread in threads:
            thread.join()
        return Found(replies.result(), slower.result(), attack.statuses)


@dataclass(frozen=True, eq=False)
class _Attack:
    port: int
    scan: bytes
    statuses: dict[str, Counter[str]]

    def attempt(self, kind: Kind, turn: int) -> None:
        try:
            found = kind.attempt(self.port, self.scan, turn)
        except OSError as error:  # not even a connection
            found = [type(error).__name__]
        except Exception as error:  # noqa: BLE001  # a fault of the attack is no answer that holds
            found = [f"{type(error).__name__}: {error}"[:80]]
        self.statuses[kind.name].update(found)

    def try_until(self, kind: Kind, ends: float) -> None:
        turn = 0
        while time.monotonic() < ends:
            self.attempt(kind, turn)
            turn += 1
