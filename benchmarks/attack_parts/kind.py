"""What a kind of attack is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from attack_parts import wire

REFUSED = frozenset({*map(str, range(400, 500)), wire.CLOSED})
"""Any refusal, also by closing the connection."""
ANSWERED = frozenset({"200"})


@dataclass(frozen=True)
class Kind:
    """A kind of attack; `attempt` gets the port, a good scan and how often it was tried, and returns the statuses.

    `holds`: the statuses that hold; `is_slow`: it takes its time, and runs beside the others.
    """

    name: str
    attempt: Callable[[int, bytes, int], Sequence[str]]
    holds: frozenset[str] = field(default=REFUSED)
    is_slow: bool = False


def posted(name: str, *bodies: bytes) -> Kind:
    """Return a kind that posts one of `bodies` after the other."""
    return Kind(name, lambda port, _, turn: [wire.post(port, bodies[turn % len(bodies)])])
