"""Change values in the text of params.yaml; comments, order and every other value stay."""

import difflib
import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from datspect.errors import ParamsError

Place = tuple[str, ...]
"""The keys that lead to a value, from the section downwards."""


class _Float(float):
    """A float of the file with its text there: ruamel's own may come back with another last digit."""

    text: str


class _Constructor(RoundTripConstructor):
    """Keep the text of every float."""


class _Representer(RoundTripRepresenter):
    """Write null as `null`, and a new float with a dot: some parsers read 1e-05 as text."""


_NULL, _FLOAT = "tag:yaml.org,2002:null", "tag:yaml.org,2002:float"
_Constructor.add_constructor(_FLOAT, lambda of, node: _with_its_text(of, node))
_Representer.add_representer(type(None), lambda to, _: to.represent_scalar(_NULL, "null"))
_Representer.add_representer(_Float, lambda to, value: to.represent_scalar(_FLOAT, value.text))
_Representer.add_representer(float, lambda to, value: to.represent_scalar(_FLOAT, _digits(value)))


def edited(text: str, changes: Mapping[Place, object]) -> str:
    """Return `text` of params.yaml with other values at some places; a mapping is written in one line.

    A value that is there already keeps its text, and a number from `values_with_their_text` brings its own. A comment
    keeps its column where the new value leaves room, else one space is before it. A file that is laid out otherwise
    than ours (`~` for null, other indentation, spaces inside brackets) is laid out anew; its values stay.

    Raises
    ------
    ParamsError : a place is missing, or other places share its section by an anchor.
    """
    yaml = _round_trip()
    document = yaml.load(text.replace("\r\n", "\n"))
    for place, value in changes.items():
        _set(document, place, _in_one_line(value) if isinstance(value, Mapping) else value)
    after = io.StringIO()
    yaml.dump(document, after)
    return after.getvalue().replace("\n", "\r\n" if "\r\n" in text else "\n")


def values_with_their_text(text: str) -> Any:
    """Return what a YAML text holds; `edited` writes its numbers as they stand there, 1.0e-3 and not 0.001."""
    return _round_trip().load(text)


def difference(before: str, after: str, name: str) -> str:
    """Return what differs between two texts of the file called `name`, as a unified diff; empty if nothing does."""
    texts = (before.splitlines(), after.splitlines())
    return "\n".join(difflib.unified_diff(*texts, f"{name}, before", f"{name}, after", lineterm=""))


def _round_trip() -> YAML:
    yaml = YAML()
    yaml.Constructor, yaml.Representer = _Constructor, _Representer
    yaml.preserve_quotes = True
    yaml.width = 10**6  # no line is folded
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _in_one_line(value: Mapping[Any, Any]) -> CommentedMap:
    line = CommentedMap(value)
    line.fa.set_flow_style()
    return line


def _set(document: Any, place: Place, value: object) -> None:
    """Set the value at `place`, unless it is there already with the same type."""
    found = document
    for depth, key in enumerate(place):
        section = found
        if not isinstance(section, CommentedMap):
            raise ParamsError(f"{'.'.join(place[:depth]) or 'params.yaml'}: expected a section with {key} in it")
        if key not in section:
            raise ParamsError(f"{'.'.join(place[: depth + 1])}: missing; add it")
        if section.anchor.value:
            raise ParamsError(
                f"params.yaml: cannot set {'.'.join(place)} without changing other values; write them without anchors "
                "and aliases"
            )
        found = section[key]
    if not (isinstance(found, type(value)) and found == value):
        section[place[-1]] = value


def _with_its_text(constructor: RoundTripConstructor, node: ScalarNode) -> _Float:
    value = _Float(constructor.construct_yaml_float(node))
    value.text = node.value
    return value


def _digits(value: float) -> str:
    digits = repr(value)
    return digits if "." in digits else digits.replace("e", ".0e")
