"""From the pages in docs/ to those that the site is built of."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from scripts.website.commands import commands
from scripts.website.decisions import decisions
from scripts.website.measured import measured
from scripts.website.parameters import parameters

GENERATED: dict[str, Callable[[Path], str]] = {
    "commands": commands,
    "decisions": decisions,
    "measured": measured,
    "parameters": parameters,
}
"""What stands where a page has `<!-- generated: NAME -->`, made from the project in a folder."""

_PLACE = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
# A page named in a sentence, with or without marks of code; neither a part of a longer path nor of a link.
_NAMED = re.compile(
    r"(?<![\w/\[.`-])(?<!\]\()(?P<mark>`?)"
    r"(?P<name>(?:docs/)?(?:decisions/\d{4}[\w-]*|(?<=docs/)[\w-]+)(?:\.md)?)"
    r"(?P=mark)(?![\w/`\]])"
)


def write_pages(root: Path, folder: Path) -> None:
    """Fill `folder` with the pages of the project in `root`: places filled, names of pages turned into links."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / "docs", folder)
    made = {name: make(root) for name, make in GENERATED.items() if _asked_for(name, folder)}
    problems = []
    for path in sorted(folder.rglob("*.md")):
        text = _PLACE.sub(lambda place: made[place[1]], path.read_text(encoding="utf-8"))
        text, missing = linked(text, path.relative_to(folder), folder)
        problems += [f"docs/{path.relative_to(folder).as_posix()} names {name}, which is not there" for name in missing]
        path.write_text(text, encoding="utf-8")
    if problems:
        sys.exit("\n  ".join(["error: pages name pages that are not there:", *problems]))


def _asked_for(name: str, folder: Path) -> bool:
    return any(f"<!-- generated: {name} -->" in path.read_text(encoding="utf-8") for path in folder.rglob("*.md"))


def linked(text: str, page: Path, folder: Path) -> tuple[str, list[str]]:
    """Return the text with names of pages as links from `page`, and the names that belong to no page of `folder`."""
    missing: list[str] = []

    def as_link(named: re.Match[str]) -> str:
        name = named["name"].removeprefix("docs/").removesuffix(".md")
        found = [path.relative_to(folder) for path in folder.glob(f"{name}*.md") if _is_named(path, name)]
        if len(found) != 1:
            missing.append(named["name"])
            return named[0]
        if found[0] == page:
            return named[0]
        up = "../" * (len(page.parts) - 1)
        return f"[{named[0]}]({up}{found[0].as_posix()})"

    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_NAMED.sub(as_link, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _NAMED.sub(as_link, text[end:])]), missing


def _is_named(path: Path, name: str) -> bool:
    """Return whether `name` is the page's own, or the number of a decision."""
    stem = name.rsplit("/", 1)[-1]
    return path.stem == stem or (stem.isdigit() and path.stem.startswith(f"{stem}-"))
