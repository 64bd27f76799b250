"""A trial's values written into the text of params.yaml, where every other byte stays as it is."""

import difflib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from datspect.errors import ParamsError
from datspect.params.network import ParametersFrom

Place = tuple[str, ...]

PLACES: Mapping[str, Place] = {
    "width": ("classifier", "width"),
    "dropout": ("classifier", "dropout"),
    **{name: ("training", "learning_rate", name) for name in ("initial", "final", "schedule", "drops")},
}
"""Where params.yaml holds what a study varies, by the names of `tune.space`."""

_ORIGIN: Place = ("parameters_from",)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*|[0-9][0-9a-f]*")
_COMMENT = re.compile(r"[ \t]+(?=#)")


def applied(text: str, values: Mapping[str, object], origin: ParametersFrom) -> str:
    """`text` of params.yaml with `values` in it and `origin`, the trial that they are of, as `parameters_from`.

    `values`: by the names of `PLACES`; what is not among them stays. Texts are edited in place, not written anew: a
    dump by ruamel would move comments. A trailing comment keeps its column where the new value leaves room.

    Raises
    ------
    ParamsError : a place is missing, or cannot be set without changing something else, or a value cannot be written.
    """
    changes = {_place(name): value for name, value in values.items()} | {_ORIGIN: origin.model_dump()}
    before, root = _read(text), _composed(text)
    edits = [
        (_span(text, root, place), _written(place, value))
        for place, value in changes.items()
        if not _is_there(before, place, value)
    ]
    after = text
    for span, written in sorted(edits, reverse=True):  # from the end, so that the other spans stay where they are
        after = _replaced(after, span, written)
    _check(before, after, changes)
    return after


def difference(before: str, after: str, name: str) -> str:
    """What differs between two texts of the file called `name`, as a unified diff; empty if nothing does."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"{name}, before", f"{name}, after")
    return "\n".join(line.rstrip("\n") for line in lines)


def _place(name: str) -> Place:
    if name not in PLACES:
        raise ParamsError(f"{name}: params.yaml has no place for it; expected of {', '.join(PLACES)}")
    return PLACES[name]


def _read(text: str) -> Any:
    """Its values, as DVC and `load_params` read them."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ParamsError(f"params.yaml: not valid YAML: {error}") from error


def _composed(text: str) -> Node | None:
    """Its nodes, which know where in `text` they begin and end."""
    root: Node | None = YAML(typ="safe", pure=True).compose(text)
    return root


def _span(text: str, root: Node | None, place: Place) -> tuple[int, int]:
    """Where the characters of the value at `place` begin and end; on one line, so that others are not touched."""
    key, node = _entry(root, place)
    if not (isinstance(node, ScalarNode) or (place == _ORIGIN and isinstance(node, MappingNode) and node.flow_style)):
        kind = "null or {study: ..., trial: ..., split: ...}" if place == _ORIGIN else "a single value"
        raise ParamsError(f"{'.'.join(place)}: expected {kind} on its line")
    if node.start_mark.line != node.end_mark.line:
        raise ParamsError(f"{'.'.join(place)}: goes over several lines; write it on one")
    if node.start_mark.index == node.end_mark.index:  # nothing at all, which YAML places behind the comment
        behind_colon = text.index(":", key.end_mark.index) + 1
        return behind_colon, behind_colon
    return node.start_mark.index, node.end_mark.index


def _entry(node: Node | None, place: Place, depth: int = 0) -> tuple[Node, Node]:
    """Key and value at `place`, of which the first `depth` steps lead to `node`."""
    name = place[depth]
    if not isinstance(node, MappingNode):
        raise ParamsError(f"{'.'.join(place[:depth]) or 'params.yaml'}: expected a section with {name} in it")
    found = [(key, value) for key, value in node.value if key.value == name]
    if not found:
        raise ParamsError(f"{'.'.join(place[: depth + 1])}: missing; add it")
    return found[0] if depth == len(place) - 1 else _entry(found[0][1], place, depth + 1)


def _is_there(document: Any, place: Place, value: object) -> bool:
    """Whether `place` holds the value already, of the same type: then its text stays, however it is written."""
    found = document
    for key in place:
        found = found.get(key) if isinstance(found, Mapping) else None
    return type(found) is type(value) and found == value


def _replaced(text: str, span: tuple[int, int], written: str) -> str:
    """`text` with the characters of `span` exchanged and, if there is room, the comment behind them where it was."""
    start, end = span
    if start == end:
        written = f" {written}"
    if gap := _COMMENT.match(text, end):
        room = gap.end() - start - len(written)
        written, end = written + " " * (room if room > 0 else 2), gap.end()
    return text[:start] + written + text[end:]


def _written(place: Place, value: object) -> str:
    match value:
        case dict() if place == _ORIGIN:
            return "{" + ", ".join(f"{name}: {_written(place, part)}" for name, part in value.items()) + "}"
        case str():
            return _text(value)
        case int() if not isinstance(value, bool):
            return str(value)
        case float() if math.isfinite(value):
            return _number(value)
        case _:
            raise ParamsError(f"{'.'.join(place)} = {value!r}: expected a finite number or a text")


def _number(value: float) -> str:
    """The shortest digits that give the same float again; a dot before the exponent, so that any YAML sees a number."""
    if value == 0 or 0.01 <= abs(value) < 1e6:
        return repr(float(value))
    return np.format_float_scientific(value, trim="0", exp_digits=1)


def _text(value: str) -> str:
    """Without quotes where it is read as text even so, which digests such as 123456789012 and 1234e5678901 are not."""
    is_plain = _PLAIN.fullmatch(value) and YAML(typ="safe", pure=True).load(value) == value
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def _check(before: Any, after: str, changes: Mapping[Place, object]) -> None:
    """Anchors and aliases share a value between places: what was not to change must not have done so unseen."""
    expected = _unshared(before)
    for (*sections, last), value in changes.items():
        section = expected
        for name in sections:
            section = section[name]
        section[last] = value
    places = ", ".join(".".join(place) for place in changes)
    problem = f"params.yaml: cannot set {places} without changing other values; write them without anchors and aliases"
    try:
        is_as_meant = YAML(typ="safe", pure=True).load(after) == expected
    except YAMLError as error:
        raise ParamsError(problem) from error
    if not is_as_meant:
        raise ParamsError(problem)


def _unshared(document: Any) -> Any:
    """A copy in which aliases are values of their own."""
    match document:
        case dict():
            return {key: _unshared(value) for key, value in document.items()}
        case list():
            return [_unshared(value) for value in document]
        case _:
            return document
