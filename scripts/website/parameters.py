"""Reference of params.yaml: values and comments from the file, types and limits from the models that check it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datspect.params.whole import Params

_LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z_]\w*):(?: +(?P<value>[^\s#].*?))?(?: +# (?P<comment>.*))?$")
_SOURCE = re.compile(r"^(?:paper; open|paper|open)\b", re.IGNORECASE)

Schema = dict[str, Any]


@dataclass
class Line:
    """A line of params.yaml: a parameter, or a section if `value` is empty."""

    path: tuple[str, ...]
    value: str
    comment: str
    above: list[str] = field(default_factory=list)


def lines(text: str) -> list[Line]:
    """Return the lines of params.yaml that have a key; comments of whole lines go to the key below them."""
    found: list[Line] = []
    above: list[str] = []
    keys: list[tuple[int, str]] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            above.append(line.lstrip("# "))
        elif line.strip():
            match = _LINE.match(line)
            if match is None:
                raise ValueError(f"params.yaml: a line that is no `key: value  # comment`: {line!r}")
            indent = len(match["indent"])
            keys = [*(each for each in keys if each[0] < indent), (indent, match["key"])]
            path = tuple(key for _, key in keys)
            found.append(Line(path, match["value"] or "", match["comment"] or "", above))
            above = []
    return found


def parameters(root: Path) -> str:
    """Return a section for each section of params.yaml, with a row a parameter."""
    all_lines = lines((root / "params.yaml").read_text(encoding="utf-8"))
    schema = Params.model_json_schema()
    alone = [line for line in all_lines if len(line.path) == 1 and line.value]
    parts = [_table([("", alone)], schema)] if alone else []
    for section in dict.fromkeys(line.path[0] for line in all_lines):
        inside = [line for line in all_lines if line.path[0] == section]
        if len(inside) > 1:
            parts.append(_section(inside, schema))
    return "\n\n".join(parts)


def _section(inside: list[Line], schema: Schema) -> str:
    head, *rest = inside
    parts = [f"## {head.path[0]}", _sentence(head.comment) or _of(head.path, schema).get("description", "")]
    groups: list[tuple[str, list[Line]]] = []
    for line in rest:
        if line.above or not groups:
            groups.append((" ".join(line.above), []))
        groups[-1][1].append(line)
    return "\n\n".join([*(part for part in parts if part), _table(groups, schema)])


def _table(groups: list[tuple[str, list[Line]]], schema: Schema) -> str:
    parts = []
    for above, rows in groups:
        table = ["| parameter | value | type and range | paper or open | meaning |", "|---|---|---|---|---|"]
        table += [_row(line, schema) for line in rows if line.value]
        parts += [above] if above else []
        parts.append("\n".join(table))
    return "\n\n".join(parts)


def _row(line: Line, schema: Schema) -> str:
    spec = _of(line.path, schema)
    meaning = line.comment if line.comment not in ("paper", "open") else ""
    source = "" if "paper" in spec.get("enum", []) else whose_choice(line.comment)
    meaning = meaning or spec.get("description", "")
    cells = [f"`{'.'.join(line.path)}`", f"`{line.value}`", kind(spec, schema), source, meaning]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def whose_choice(comment: str) -> str:
    """Return whether a comment marks a value as the paper's or as left open by it; nothing if it does neither."""
    marked = _SOURCE.match(comment)
    return marked[0].lower() if marked else ""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _of(path: tuple[str, ...], schema: Schema) -> Schema:
    """Return what the models say of a key; KeyError if they do not know it."""
    here = schema
    for key in path:
        whole = _resolved(here, schema)
        # A mapping whose keys are free says the same of each of them.
        here = whole["properties"][key] if "properties" in whole else whole["additionalProperties"]
    return {**_resolved(here, schema), **{name: value for name, value in here.items() if name != "$ref"}}


def _resolved(spec: Schema, schema: Schema) -> Schema:
    while "$ref" in spec:
        spec = schema["$defs"][spec["$ref"].rsplit("/", 1)[-1]]
    return spec


def kind(spec: Schema, schema: Schema) -> str:
    """Return type and range in words."""
    spec = _resolved(spec, schema)
    if "anyOf" in spec:
        return " or ".join(kind(each, schema) for each in spec["anyOf"])
    if "enum" in spec or "const" in spec:
        return ", ".join(f"`{each}`" for each in spec.get("enum", [spec.get("const")]))
    return _KINDS[spec["type"]](spec, schema)


def _number(spec: Schema, _: Schema) -> str:
    limits = [f"{word} {_shown(spec[name])}" for name, word in _LIMIT_WORDS.items() if name in spec]
    return " ".join(["whole number" if spec["type"] == "integer" else "number", *limits])


def _shown(limit: float) -> str:
    return "2^32" if limit == 2**32 else f"{limit:,g}"


def _list(spec: Schema, schema: Schema) -> str:
    least, most = spec.get("minItems"), spec.get("maxItems")
    length = "" if least is None else f"{least} of: " if least == most else f"at least {least} of: "
    return f"list of {length}{kind(spec['items'], schema)}" if length else f"list of: {kind(spec['items'], schema)}"


def _mapping(spec: Schema, schema: Schema) -> str:
    if "properties" not in spec:
        return f"names of your own, each with: {kind(spec['additionalProperties'], schema)}"
    return "{" + "; ".join(f"`{key}`: {kind(each, schema)}" for key, each in spec["properties"].items()) + "}"


def _text(spec: Schema, _: Schema) -> str:
    return f"text like `{spec['pattern']}`" if "pattern" in spec else "text"


_LIMIT_WORDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
_KINDS: dict[str, Callable[[Schema, Schema], str]] = {
    "integer": _number,
    "number": _number,
    "array": _list,
    "object": _mapping,
    "boolean": lambda *_: "`true` or `false`",
    "string": _text,
    "null": lambda *_: "`null`",
}
"""What a type of a JSON schema is called here."""
