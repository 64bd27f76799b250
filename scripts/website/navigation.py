"""The order of pages: that of mkdocs.yml, with what it does not name at its place."""

from pathlib import Path
from typing import Any

DECISIONS = "decisions"


def with_all_pages(nav: list[Any], source: Path) -> list[Any]:
    """Return the navigation with every decision below its list, and pages that it does not name under "More".

    Raises
    ------
    FileNotFoundError : it names a page that is not there.
    """
    whole = [_with_decisions(part, source) for part in nav]
    named = set(pages(whole))
    if lost := sorted(name for name in named if not (source / name).exists()):
        raise FileNotFoundError(f"mkdocs.yml names pages that are not in docs/: {', '.join(lost)}")
    others = sorted({path.relative_to(source).as_posix() for path in source.rglob("*.md")} - named)
    return [*whole, {"More": others}] if others else whole


def pages(nav: Any) -> list[str]:
    """Return all pages that a navigation names, in its order."""
    if isinstance(nav, str):
        return [nav]
    return [name for part in (nav.values() if isinstance(nav, dict) else nav) for name in pages(part)]


def _with_decisions(part: Any, source: Path) -> Any:
    if not isinstance(part, dict) or f"{DECISIONS}/index.md" not in pages(part):
        return part
    all_of_them = sorted(path.name for path in (source / DECISIONS).glob("[0-9]*.md"))
    return {name: [*inside, *(f"{DECISIONS}/{each}" for each in all_of_them)] for name, inside in part.items()}
