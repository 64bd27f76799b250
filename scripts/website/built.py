"""What is looked for in the built pages: links that lead nowhere, and anything that a page would load from outside."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "video": "src"}
_OUTSIDE_IN_STYLE = re.compile(r"url\(\s*[\"']?(?:https?:)?//|@import\s+[\"'](?:https?:)?//")


class _Page(HTMLParser):
    """Anchors of a page, its links, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if "mermaid" in given.get("class", "").split():  # the theme fetches what draws it
            self.loaded.append("https://unpkg.com/mermaid")
        # Addresses of this site for search engines are told, not loaded.
        if _LOADED.get(tag) in given and given.get("rel") not in ("canonical", "prev", "next", "alternate"):
            self.loaded.append(given[_LOADED[tag]])


def problems(site: Path) -> list[str]:
    """Return what is wrong with a built site, a sentence a page and address; nothing if it is whole."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        where = path.relative_to(site).as_posix()
        found += [f"{where} loads {address}" for address in page.loaded if _is_outside(address)]
        if path.name != "404.html":  # its links are those of the site's root, wherever it is shown
            addresses = dict.fromkeys([*page.links, *page.loaded])
            found += [f"{where}: {address} leads nowhere" for address in addresses if not _leads(address, path, pages)]
    for path in sorted(site.rglob("*.css")):
        if _OUTSIDE_IN_STYLE.search(path.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(site).as_posix()} loads something from outside")
    return found


def _is_outside(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https")


def _leads(address: str, page: Path, pages: dict[Path, _Page]) -> bool:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return True  # of another site, which nobody asks here
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    target = target / "index.html" if target.is_dir() else target
    if not parts.fragment or target not in pages:
        return target.exists()
    return unquote(parts.fragment) in pages[target].anchors
