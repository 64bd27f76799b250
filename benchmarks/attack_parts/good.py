"""Good requests: what must be answered beside an attack, and whether it was, how soon and rightly."""

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attack_parts import files, wire
from measuring import BenchmarkError

_COMPARED = ("prediction", "probability", "model_probability", "ratio_probability", "likelihood_ratio", "inconclusive")
_TOLERANCE = 1e-5
_SECONDS = 300.0
"""Longer than anything may take: who waits in vain shall be seen as a slow answer."""
_AT_A_TIME = 64


@dataclass(frozen=True, eq=False)
class Good:
    """A request that must be answered, and the answer."""

    body: bytes
    answer: dict[str, Any]


@dataclass
class Replies:
    """What came back: the statuses, the seconds of each from when it was due, and how many answers were wrong."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    n_wrong: int = 0


def known(predictor: Path, scans: Sequence[Path], sent: Callable[[Path], bytes] = Path.read_bytes) -> list[Good]:
    """Answer the files `scans` as `datspect predict` does, and as the server must if it gets what `sent` makes of them.

    Raises
    ------
    ScanError : a scan is none that is answered.
    """
    from datspect.io.scan_reading import read_scan
    from datspect.io.sources import find_sources
    from datspect.prediction.predictor import Predictor

    read = Predictor.read(predictor)
    found = [read_scan(source) for path in scans for source in find_sources([path])[0]]
    answers = [read.answers([read.prepare(scan)])[0] for scan in found]
    return [
        Good(files.body(sent(path)), {name: getattr(answer, name) for name in _COMPARED} | {"placed": answer.how})
        for path, answer in zip(scans, answers, strict=True)
        if not answer.withheld  # a served one has no numbers in these columns
    ]


def warm_up(port: int, good: Sequence[Good]) -> Replies:
    """Ask once for each answer, one after the other, since some things are compiled once.

    Raises
    ------
    BenchmarkError : the server's answer is not that of the predictor.
    """
    replies = Replies()
    for each in good:
        _ask(replies, threading.Lock(), port, each, time.perf_counter())
    if replies.n_wrong or set(replies.statuses) != {"200"}:
        raise BenchmarkError(f"before the attack: {replies.n_wrong} wrong answers, {dict(replies.statuses)}")
    return replies


def ask_steadily(port: int, good: Sequence[Good], seconds: float, a_second: float) -> Replies:
    """Ask so often a second, whether earlier requests are answered or not."""
    replies, lock = Replies(), threading.Lock()
    steadily(lambda turn: _ask(replies, lock, port, good[turn % len(good)], time.perf_counter()), seconds, a_second)
    return replies


def steadily(act: Callable[[int], object], seconds: float, a_second: float) -> None:
    """Call `act` with 0, 1, 2, ... so often a second, each in a thread, and wait for all."""
    begun = time.monotonic()
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for turn in range(math.ceil(seconds * a_second)):
            time.sleep(max(0.0, begun + turn / a_second - time.monotonic()))
            pool.submit(act, turn)


def _ask(replies: Replies, lock: threading.Lock, port: int, good: Good, due: float) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": str(len(good.body)), "Connection": "close"}
    try:
        status, said = wire.answer(port, wire.head("POST", "/invocations", headers, port), good.body, _SECONDS)
    except OSError as error:
        status, said = type(error).__name__, b""
    taken = time.perf_counter() - due
    is_wrong = status == "200" and not same(json.loads(said)["predictions"], good.answer)
    with lock:
        replies.statuses[status] += 1
        replies.n_wrong += is_wrong
        replies.seconds.append(taken)


def same(answers: list[dict[str, Any]], expected: dict[str, Any]) -> bool:
    """Tell whether there is one answer and it is the expected one."""
    return len(answers) == 1 and all(_equal(answers[0][name], value) for name, value in expected.items())


def _equal(found: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return isinstance(found, float | int) and math.isclose(found, expected, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(found == expected)
