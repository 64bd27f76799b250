"""Let all checks run side by side, so that the slowest one alone is waited for."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from datspect.doctor import backend, dvc, machine, packages, project, records, weights
from datspect.doctor.check import Check, Place
from datspect.running.programs import ended_with_block
from datspect.running.progress import progress

Looker = Callable[[Place], list[Check]]

LOOKERS: tuple[Looker, ...] = (
    machine.checks,
    packages.checks,
    backend.checks,
    project.checks,
    weights.checks,
    dvc.checks,
    records.checks,
)
"""In the order in which their checks are listed."""


def examine(place: Place, lookers: tuple[Looker, ...] = LOOKERS) -> list[Check]:
    """Run every check of a place; progress is shown on a terminal."""
    with ThreadPoolExecutor(len(lookers)) as pool, ended_with_block():
        futures = [pool.submit(_looked, looker, place) for looker in lookers]
        done = progress(as_completed(futures), total=len(futures), what="doctor", unit="looks", only_on_terminal=True)
        for _ in done:
            pass
    return [check for future in futures for check in _result(future)]


def _result(future: "Future[list[Check]]") -> list[Check]:
    return future.result()


def _looked(looker: Looker, place: Place) -> list[Check]:
    """Return what a looker found; whatever stops it is a finding too, since the doctor is asked when things fail."""
    try:
        return looker(place)
    except Exception as error:  # noqa: BLE001  (see above)
        name = looker.__module__.rpartition(".")[2]
        finding = f"the check itself failed: {type(error).__name__}: {error}"
        return [Check(name, "problem", finding, "this is a fault of datspect doctor: please report it with this line")]
