"""In which form a command prints its answer: a table for people, or JSON for programs."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Form = Annotated[
    Literal["table", "json"], typer.Option("--format", help="Print the answer so; docs/json.md has the keys.")
]


def as_json(record: Any) -> str:
    r"""Return a record as JSON that every program reads: what is no finite number is null.

    It is plain ASCII, so that no terminal or pipe changes it.

    >>> as_json({"accuracy": float("nan"), "path": Path("a/b")})
    '{\n  "accuracy": null,\n  "path": "a/b"\n}'
    """
    return json.dumps(plain(record), indent=2, allow_nan=False)


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: of dataclasses, paths, NumPy numbers and arrays too."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    match value:
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case Path():
            return value.as_posix()
        case float():
            return value if math.isfinite(value) else None
        case str() | int() | None:
            return value
        case _ if hasattr(value, "tolist"):  # NumPy, which this module does not wait for
            return plain(value.tolist())
    raise TypeError(f"{type(value).__name__} does not fit into JSON")
