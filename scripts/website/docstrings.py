"""How this project writes docstrings, told to the reader of docstrings (griffe) that the site is built with.

- An example may stand anywhere, without a heading of its own: lines from `>>>` to the next empty one become a block.
- Sections are written `name : what it is`, since types stand in the signature; griffe takes the rest for a type.
"""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^>>> .*?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(
    r"^(?P<head>(?:Parameters|Attributes|Raises|Returns|Yields)\n-+\n)(?P<body>.*?)(?=^\w[\w ]*\n-{3,}\n|\Z)",
    re.MULTILINE | re.DOTALL,
)
_ITEM = re.compile(r"^(?P<name>\S[^:\n]*?) : (?P<what>.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)


def reformed(text: str) -> str:
    """Return the docstring as griffe understands it."""
    text = _EXAMPLE.sub(lambda example: f"```pycon\n{example[0]}\n```", text)
    return _SECTION.sub(lambda section: section["head"] + _ITEM.sub(_below, section["body"]), text)


def _below(item: re.Match[str]) -> str:
    """Return what is said of a name in lines of its own, further in."""
    said = " ".join(line.strip() for line in item["what"].splitlines())
    return f"{item['name']}\n    {said}"


class Docstrings(griffe.Extension):
    """Reforms every docstring before it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Reform the docstring of a module, class, function or attribute, if it has one."""
        if obj.docstring is not None:
            obj.docstring.value = reformed(obj.docstring.value)
