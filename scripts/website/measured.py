"""All measured numbers on one page: the parts between marks, from the pages in which they stand.

A part `<!-- NAME: begin -->` to `<!-- NAME: end -->` is written by the benchmark NAME, or by `datspect tables`. A part
called `typed` was written by hand after a run, and says so on the page.
"""

import re
from pathlib import Path

from scripts.website.decisions import title

PART = re.compile(r"<!-- ([\w-]+): begin -->\n(.*?)\n?<!-- \1: end -->", re.DOTALL)
TYPED = "typed"
NOTE = "*Typed after a run: no benchmark renews it.*"
_HEADING = re.compile(r"^(#{2,6}) (.+)$", re.MULTILINE)


def measured(root: Path) -> str:
    """Return the marked parts of all pages, below the titles of the pages and the headings that they stand under.

    Marks with nothing between them wait for the first run of their benchmark and are passed over.
    """
    docs = root / "docs"
    found = [(page, page.read_text(encoding="utf-8")) for page in _pages(docs)]
    return "\n\n".join(_section(page.relative_to(docs), page, text) for page, text in found if PART.search(text))


def _pages(folder: Path) -> list[Path]:
    first = folder / "measurements.md"
    return [first, *sorted(page for page in folder.rglob("*.md") if page != first)]


def _section(address: Path, page: Path, text: str) -> str:
    name = address.as_posix()
    parts = [f"## {title(page)}\n\nFrom [{name}]({name}), which says what was asked and what follows."]
    last = ""
    for part in PART.finditer(text):
        if not part[2].strip():
            continue
        above = list(_HEADING.finditer(text, 0, part.start()))
        heading = above[-1][2] if above else ""
        if heading != last:
            parts.append(f"### {heading}")
        last = heading
        # A heading inside of the part would look like one of this page.
        inside = _HEADING.sub(r"**\2**", part[2].strip("\n"))
        parts.append(f"{NOTE}\n\n{inside}" if part[1] == TYPED else inside)
    return "\n\n".join(parts)
