"""The list of decisions, by their own titles."""

from pathlib import Path


def decisions(root: Path) -> str:
    """Return a list with a link to each page of docs/decisions."""
    pages = sorted((root / "docs/decisions").glob("[0-9]*.md"))
    return "\n".join(f"- [{title(page)}]({page.name})" for page in pages)


def title(page: Path) -> str:
    """Return the first heading of a page."""
    return page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ").strip()
