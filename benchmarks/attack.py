"""Attack what the project offers to strangers, on the loopback device alone, and say what held.

A server is started on a predictor as `datspect serve` starts it. Good requests come at a steady rate, for scans in MNI
space and for native phantoms, which are registered first, while hostile ones of every kind in `attack_parts` are sent
beside them: no answer may be 5xx or wrong, no process may end, good requests are answered within a second (95 % of
them; native ones within 15), what is no scan of a head is refused with the reason, and memory has a bound. Then the
tests that attack everything else are run (`attack_parts/campaigns.py`). If something did not hold, the exit code is 1.

    python benchmarks/attack.py [--minutes 3] [--rate 1] [--native 0.1] [--hostile 2] [--predictor models/predictor]
        [--scans FOLDER] [--kept tmp/attack] [--campaigns 2000] [--json FILE] [--into docs/security.md]

Needs a predictor and scans, as `make repro` leaves them; native phantoms are simulated into `--kept`, and stay there.
`--campaigns` is how many inputs the fuzzing gets; with 0 no
other campaign is run, and with `--minutes 0` the server is left alone. Nothing but 127.0.0.1 is asked.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attack_parts import bodies, campaign, campaigns, native, requests
from attack_parts.campaign import Load
from attack_parts.good import Replies, ask_steadily, known, warm_up
from attack_parts.kind import Kind
from attack_parts.server import Watch, served
from datspect.reporting.markdown import markdown_table
from measuring import BenchmarkError, Goal, goals_part, measured_by, page_parser, publish, put

SLOWEST_SECONDS = 1.0
"""95 % of the good requests are answered sooner."""
SLOWEST_NATIVE_SECONDS = 15.0
"""95 % of the good requests for a native scan are answered sooner; registration takes two, and scans wait for it."""
MOST_MORE_MB = 2500
"""More than the idle server takes, at any moment: bodies of 640 MB, and what MLflow makes of them."""
LEFT_MB = 500
"""More than the idle server takes, some seconds after the attack."""

_CAMPAIGNS_PART = "attack-campaigns"
"""The marks of the page for the table of tests; those for the server have the script's name."""
_SECONDS_BEFORE, _SETTLING_SECONDS = 30.0, 5.0
_N_SCANS = 4


@dataclass(frozen=True, eq=False)
class Serving:
    """An attack on the server: what was sent and came back, its memory, and how busy the machine was before.

    `before` are the replies to good requests alone, in the half minute before the attack; `natives_before` those to
    native ones, one after the other.
    """

    load: Load
    tried: list[tuple[Kind, Counter[str]]]
    before: Replies
    replies: Replies
    natives_before: Replies
    natives: Replies
    watch: Watch
    n_ended: int
    busy: float


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--rate", type=float, default=1.0, help="good requests a second")
    parser.add_argument("--native", type=float, default=0.1, help="good requests for a native scan a second")
    parser.add_argument("--hostile", type=float, default=2.0, help="hostile requests a second, beside the slow ones")
    parser.add_argument("--predictor", type=Path, default=Path("models/predictor"))
    parser.add_argument("--scans", type=Path, default=Path("data/phantom/cohort/volumes"))
    parser.add_argument("--kept", type=Path, default=Path("tmp/attack"), help="folder of the native phantoms")
    parser.add_argument("--campaigns", type=int, default=2000, help="inputs of the fuzzing; 0 for the server alone")
    arguments = parser.parse_args()
    # A shell that starts this in the background lets it ignore Ctrl-C, and tests that send it would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    minutes = 0.5 if arguments.quick else arguments.minutes
    held = _attack_server(arguments, minutes) if minutes else True
    if n_inputs := 0 if arguments.quick else arguments.campaigns:
        held = _run_campaigns(arguments.into, n_inputs) and held
    if not held:
        raise BenchmarkError("something did not hold; see the tables")


def _attack_server(arguments: argparse.Namespace, minutes: float) -> bool:
    """Attack the server, publish what was found, and tell whether all of it held."""
    load = Load(60 * minutes, arguments.rate, arguments.hostile, arguments.native)
    serving = attack_server(arguments.predictor.resolve(), arguments.scans, arguments.kept, load)
    held = all(goal.met for goal in serving_goals(serving)) and all(map(_holds, serving.tried))
    publish(arguments, serving_parts(serving), _record(serving) | {"held": held})
    return held


def _run_campaigns(page: Path | None, n_inputs: int) -> bool:
    """Run all other campaigns, print and write their table, and tell whether all of them held."""
    ended = [campaigns.run_campaign(each, n_inputs) for each in campaigns.CAMPAIGNS]
    text = "\n\n".join([measured_by(), *campaigns.parts(ended, n_inputs)])
    print(f"\n{text}")
    if page is not None:
        put(page, _CAMPAIGNS_PART, text)
    return all(each.held for each in ended)


def attack_server(predictor: Path, volumes: Path, kept: Path, load: Load) -> Serving:
    """Start a server, attack it, and return what was found."""
    scans = sorted(volumes.glob("*.nii"))[:_N_SCANS]
    if not scans or not predictor.is_dir():
        raise BenchmarkError(f"{predictor} and scans in {volumes}: missing; run `make repro`, or name others")
    good, natives = known(predictor, scans), known(predictor, native.made(kept), native.packed)
    attacks = [*bodies.kinds(), *requests.kinds(), *native.kinds(kept, natives)]
    scan, busy = scans[0].read_bytes(), os.getloadavg()[1]
    bodies.prepare(scan)
    scratch = tempfile.TemporaryDirectory(prefix="datspect-attack-")
    with scratch as folder, served(predictor, Path(folder)) as (process, port):
        warm_up(port, good)
        natives_before = warm_up(port, natives)
        before = ask_steadily(port, good, _SECONDS_BEFORE, load.good_a_second)
        with Watch(process) as watch:
            found = campaign.run(port, attacks, good, natives, scan, load)
            time.sleep(_SETTLING_SECONDS)
        n_ended = watch.n_ended
    tried = [(kind, found.statuses[kind.name]) for kind in attacks]
    return Serving(load, tried, before, found.replies, natives_before, found.natives, watch, n_ended, busy)


def serving_goals(serving: Serving) -> list[Goal]:
    """Return what must hold of the server as a whole."""
    replies, natives, watch = serving.replies, serving.natives, serving.watch
    asked = replies.statuses + natives.statuses
    everything: Counter[str] = sum((statuses for _, statuses in serving.tried), asked)
    n_errors = sum(n for status, n in everything.items() if status.startswith("5"))
    n_bad = sum(n for status, n in asked.items() if status != "200")
    p95, native_p95 = (float(np.quantile(each.seconds, 0.95)) for each in (replies, natives))
    return [
        _none("answers 5xx", n_errors),
        _none("good requests refused or not answered", n_bad),
        _none("wrong answers", replies.n_wrong + natives.n_wrong),
        _none("processes of the server that ended", serving.n_ended),
        _at_most("good requests, p95, s", SLOWEST_SECONDS, round(p95, 2)),
        _at_most("good requests for a native scan, p95, s", SLOWEST_NATIVE_SECONDS, round(native_p95, 2)),
        _at_most("memory above the idle server's, MB", MOST_MORE_MB, watch.peak_mb - watch.start_mb),
        _at_most("the same some seconds after the attack", LEFT_MB, watch.end_mb - watch.start_mb),
    ]


def _none(name: str, found: int) -> Goal:
    return Goal(name, "0", f"{found:,}", found == 0, "something to mend")


def _at_most(name: str, most: float, found: float) -> Goal:
    return Goal(name, f"at most {most:,g}", f"{found:,g}", found <= most, "something to mend, or a busy machine")


def serving_parts(serving: Serving) -> list[str]:
    """Return the paragraphs and tables of the page."""
    load, replies, natives, watch = serving.load, serving.replies, serving.natives, serving.watch
    p50, p95, p99 = np.quantile(replies.seconds, [0.5, 0.95, 0.99])
    native_p50, native_p95 = np.quantile(natives.seconds, [0.5, 0.95])
    p50_before, p95_before = np.quantile(serving.before.seconds, [0.5, 0.95])
    n_hostile = sum(statuses.total() for _, statuses in serving.tried)
    text = (
        f"{replies.statuses.total():,} good requests in {load.seconds / 60:g} min, {load.good_a_second:g} a second "
        f"whether earlier ones were answered or not: p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s, "
        f"the slowest {max(replies.seconds):.2f} s; in the half minute before the attack p50 {p50_before:.2f} s, "
        f"p95 {p95_before:.2f} s. {natives.statuses.total():,} good requests for a native scan, "
        f"{load.native_a_second:g} a second: p50 {native_p50:.1f} s, p95 {native_p95:.1f} s, "
        f"the slowest {max(natives.seconds):.1f} s; one after the other before the attack "
        f"p50 {np.median(serving.natives_before.seconds):.1f} s. Beside them {n_hostile:,} answers to hostile requests "
        f"of {len(serving.tried)} kinds, {load.hostile_a_second:g} a second and slow ones all the time. The "
        f"server took {watch.start_mb:,} MB when idle, at most {watch.peak_mb:,} MB, "
        f"{watch.end_mb:,} MB at the end. Load average of the "
        f"machine before: {serving.busy:.1f}."
    )
    rows = [["what was sent", "answers", "held"]]
    rows += [[tried[0].name, _said(tried[1]), "yes" if _holds(tried) else "NO"] for tried in serving.tried]
    return [text, goals_part(serving_goals(serving)), markdown_table(rows)]


def _holds(tried: tuple[Kind, Counter[str]]) -> bool:
    """Tell whether a kind was tried, and every answer to it holds."""
    kind, statuses = tried
    return bool(statuses) and set(statuses) <= kind.holds


def _said(statuses: Counter[str]) -> str:
    return ", ".join(f"{n:,} x {status}" for status, n in sorted(statuses.items()))


def _record(serving: Serving) -> dict[str, Any]:
    watch, replies = serving.watch, serving.replies
    return {
        "kinds": {kind.name: dict(statuses) for kind, statuses in serving.tried},
        "good": dict(replies.statuses),
        "native": dict(serving.natives.statuses),
        "n_wrong": replies.n_wrong + serving.natives.n_wrong,
        "seconds": replies.seconds,
        "seconds_before": serving.before.seconds,
        "native_seconds": serving.natives.seconds,
        "native_seconds_before": serving.natives_before.seconds,
        "memory_mb": {"idle": watch.start_mb, "most": watch.peak_mb, "end": watch.end_mb},
        "load_average_before": serving.busy,
    }


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"error: {error}")
