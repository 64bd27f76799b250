"""What a compiled program consists of, and where its time goes by a trace: instructions by layer, forward and back."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

FREE = frozenset({"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "copy-done", "after-all"})
"""Instructions that launch nothing."""

_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = .*?[\])}] ([a-z][a-z0-9\-]*)\(")
_OP_NAME = re.compile(r'op_name="([^"]*)"')
_BODY = re.compile(r"body=%?([\w.\-]+)")
_CALLED = re.compile(r"to_apply=%?([\w.\-]+)|calls=%?([\w.\-]+)")


class Instruction(NamedTuple):
    """An instruction by its name in the program, its kind, and the path of the function that it comes from."""

    name: str
    opcode: str
    op_name: str


class Event(NamedTuple):
    """What ran when: the instruction that it belongs to ("" if that is not known) and the kernel's own name."""

    instruction: str
    kernel: str
    start_ns: float
    duration_ns: float


class Place(NamedTuple):
    """What an instruction belongs to: a layer or a part of the step, and whether on the way forward or back."""

    part: str
    way: str


def step_instructions(text: str) -> list[Instruction]:
    """The instructions of one step: of the largest loop's body in the text of a compiled program, with what it calls.

    Fusions and library calls are one instruction each: on a GPU, about as many kernels.
    """
    computations, bodies = _parsed(text)
    within = [_within(name, computations) for name in bodies if name in computations]
    return max(within, key=len, default=[])


def place_of(op_name: str, layers: Mapping[str, Any]) -> Place:
    """Where an instruction belongs, by the path of the function that it comes from; `layers` by name."""
    elements = re.split(r"[/()]", op_name)
    named = [element for element in elements if element in layers]
    way = "back" if "transpose" in elements else "forward"
    if named:
        return Place(named[-1], way)
    if "_stepped" in elements:
        return Place("optimizer", "update")
    if any(element.startswith("augment") for element in elements):
        return Place("augmentation", way)
    return Place("other", way)


def busy_nanoseconds(spans: Iterable[tuple[float, float]]) -> float:
    """How long at least one of the spans (start, end) lasted."""
    busy, covered_to = 0.0, float("-inf")
    for start, end in sorted(spans):
        busy += max(0.0, end - max(start, covered_to))
        covered_to = max(covered_to, end)
    return busy


def traced_events(path: str) -> list[Event]:
    """All that a trace saw of compiled programs: of a device's streams, or of the processor's threads without one."""
    from jax.profiler import ProfileData

    planes = list(ProfileData.from_file(path).planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    found = []
    for plane in devices or planes:
        for line in plane.lines:
            if devices and not line.name.startswith("Stream"):
                continue  # other lines show the same time again, by module or by instruction
            for event in line.events:
                instruction = dict(event.stats).get("hlo_op")
                if instruction or devices:
                    found.append(Event(str(instruction or ""), event.name, event.start_ns, event.duration_ns))
    return found


def time_by_kernel(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Count and milliseconds by name of the kernel, most time first."""
    counts: Counter[str] = Counter()
    milliseconds: defaultdict[str, float] = defaultdict(float)
    for event in events:
        counts[event.kernel] += 1
        milliseconds[event.kernel] += event.duration_ns / 1e6
    ordered = sorted(counts, key=lambda name: -milliseconds[name])
    return [{"kernel": name, "n": counts[name], "ms": milliseconds[name]} for name in ordered]


def time_by_place(
    events: Iterable[Event], instructions: Iterable[Instruction], layers: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Count and milliseconds by kind of layer, rows of its feature map and way, most time first.

    What lies outside of the step is left out; kernels whose instruction is not known (of launches that a graph bundles)
    are `unknown`. `layers`: by name, (kind, rows of the feature map).
    """
    by_name = {instruction.name: instruction for instruction in instructions}
    counts: Counter[Any] = Counter()
    milliseconds: defaultdict[Any, float] = defaultdict(float)
    for event in events:
        instruction = by_name.get(event.instruction)
        if instruction is None and event.instruction:
            continue
        place = place_of(instruction.op_name, layers) if instruction else Place("unknown", "")
        key = group(place, layers)
        counts[key] += 1
        milliseconds[key] += event.duration_ns / 1e6
    ordered = sorted(counts, key=lambda key: -milliseconds[key])
    return [_row(key) | {"n": counts[key], "ms": milliseconds[key]} for key in ordered]


def counts_by_place(instructions: Iterable[Instruction], layers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How many instructions each kind of layer has in a step."""
    counts = Counter(group(place_of(each.op_name, layers), layers) for each in instructions)
    return [_row(key) | {"n": n} for key, n in counts.most_common()]


def group(place: Place, layers: Mapping[str, Any]) -> tuple[str, int | None, str]:
    """Kind, rows of the feature map (None where there is none) and way."""
    kind, rows = layers.get(place.part, (place.part, None))
    return kind, rows, place.way


def _row(key: tuple[str, int | None, str]) -> dict[str, Any]:
    return dict(zip(("kind", "map_rows", "way"), key, strict=True))


def _parsed(text: str) -> tuple[dict[str, list[tuple[Instruction, list[str]]]], list[str]]:
    computations: dict[str, list[tuple[Instruction, list[str]]]] = {}
    bodies: list[str] = []
    current: list[tuple[Instruction, list[str]]] = []
    for line in text.splitlines():
        if not line.startswith(" ") and (started := _COMPUTATION.match(line)):
            current = computations.setdefault(started.group(1), [])
        elif found := _INSTRUCTION.match(line):
            name, opcode = found.groups()
            op_name = _OP_NAME.search(line)
            # Only those that run on their own: a fusion's inside is one launch.
            called = [a or b for a, b in _CALLED.findall(line)] if opcode in ("call", "async-start") else []
            current.append((Instruction(name, opcode, op_name.group(1) if op_name else ""), called))
            bodies += _BODY.findall(line) if opcode == "while" else []
    return computations, bodies


def _within(name: str, computations: Mapping[str, list[tuple[Instruction, list[str]]]]) -> list[Instruction]:
    found: list[Instruction] = []
    for instruction, called in computations.get(name, []):
        inner = [each for other in called for each in _within(other, computations)]
        if inner:
            found += inner
        elif instruction.opcode not in FREE:
            found.append(instruction)
    return found
