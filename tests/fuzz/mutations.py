"""Damage done to bytes, as hypothesis strategies: what a broken disk, a cut transfer or a hostile sender would do."""

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

MARKER = "ZQXMARKERZQX"
"""Planted wherever a file has room for words about a patient."""
_SHORTEST_TRACE = 6

EXTREMES = (0, 1, 2, 0x7F, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF)
"""What a length field is set to."""


@dataclass(frozen=True)
class Mutation:
    """One kind of damage at byte `at`, counted modulo the length; `apply` does it to at least one byte."""

    name: str
    at: int
    apply: Callable[[bytes, int], bytes]

    def __repr__(self) -> str:
        return f"{self.name} at {self.at}"

    def __call__(self, data: bytes) -> bytes:
        return self.apply(data, self.at % len(data)) if data else data


def mutations(head: int, size: int) -> st.SearchStrategy[Mutation]:
    """Damage anywhere in `size` bytes, half of it in the first `head`, where the fields are."""
    at = st.integers(0, head - 1) | st.integers(0, size - 1)
    length = st.sampled_from((1, 2, 4, 7, 16, 100, 4096, 10**6))
    return st.one_of(
        st.builds(_flip, at, st.integers(0, 7)),
        st.builds(_put, at, st.sampled_from(EXTREMES), st.sampled_from((1, 2, 4, 8)), st.booleans()),
        st.builds(_delete, at, length),
        st.builds(_repeat, at, length, st.integers(1, 3)),
        st.builds(_zero, at, length),
        st.builds(_cut, at),
        st.builds(_insert, at, st.binary(min_size=1, max_size=32)),
    )


def damaged(data: bytes, damages: list[Mutation]) -> bytes:
    """`data` after all `damages`, in order."""
    for damage in damages:
        data = damage(data)
    return data


def traces(text: str) -> list[str]:
    """Pieces of the marker in `text`; a piece is enough, since the marker may have been damaged as well."""
    pieces = (MARKER[start : start + _SHORTEST_TRACE] for start in range(len(MARKER) - _SHORTEST_TRACE + 1))
    return [piece for piece in pieces if piece.lower() in text.lower()]


def _flip(at: int, bit: int) -> Mutation:
    return Mutation(f"flip bit {bit}", at, lambda data, i: data[:i] + bytes([data[i] ^ (1 << bit)]) + data[i + 1 :])


def _put(at: int, value: int, n_bytes: int, little: bool) -> Mutation:
    field = (value % 256**n_bytes).to_bytes(n_bytes, "little" if little else "big")
    return Mutation(f"put {field!r}", at, lambda data, i: data[:i] + field + data[i + n_bytes :])


def _delete(at: int, length: int) -> Mutation:
    return Mutation(f"delete {length}", at, lambda data, i: data[:i] + data[i + length :])


def _repeat(at: int, length: int, times: int) -> Mutation:
    def apply(data: bytes, i: int) -> bytes:
        return data[:i] + data[i : i + length] * times + data[i:]

    return Mutation(f"repeat {length} {times} times", at, apply)


def _zero(at: int, length: int) -> Mutation:
    def apply(data: bytes, i: int) -> bytes:
        return data[:i] + bytes(len(data[i : i + length])) + data[i + length :]

    return Mutation(f"zero {length}", at, apply)


def _cut(at: int) -> Mutation:
    return Mutation("cut off", at, lambda data, i: data[:i])


def _insert(at: int, junk: bytes) -> Mutation:
    return Mutation(f"insert {junk!r}", at, lambda data, i: data[:i] + junk + data[i:])
