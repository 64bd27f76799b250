"""Make the report into one HTML page that needs nothing beside it: no script, no link to a resource, images inside."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from datspect.errors import CohortError
from datspect.reporting.rendering import render


@dataclass(frozen=True)
class Entry:
    """A line of the table of contents."""

    anchor: str
    text: str


def image_links(markdown: str) -> list[str]:
    """Return the links under which the report names its images."""
    return [str(image.attrs["src"]) for image in _images(_parser().parse(markdown))]


def html_page(markdown: str, images: Mapping[str, bytes], title: str, banner: str, style: str = "") -> str:
    """Return the report as a page.

    `images`: PNG files by the link under which `markdown` names them. `title`: plain text, for the window. `banner`:
    plain text that stays in sight, or nothing. `style`: a template of rules of its own, after those of all pages.

    Raises
    ------
    CohortError : the report names an image that is not in `images`.
    """
    parser = _parser()
    tokens = parser.parse(markdown)
    _embed(tokens, images)
    _make_figures(tokens)
    contents = _anchor(tokens)
    first = next((i for i, token in enumerate(tokens) if _is_section(token)), len(tokens))
    intro, body = (parser.renderer.render(part, parser.options, {}) for part in (tokens[:first], tokens[first:]))
    return render("page.html.j2", title=title, banner=banner, style=style, contents=contents, intro=intro, body=body)


def _parser() -> MarkdownIt:
    """Return a parser of CommonMark with tables; HTML in the source stays text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    # A wide table scrolls by itself: with the keyboard too, and a screen reader says what it is in.
    opening = '<div class="table" tabindex="0" role="region" aria-label="table, may scroll sideways"><table>\n'
    parser.add_render_rule("table_open", lambda *_: opening)
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return parser


def _images(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from (child for child in token.children or [] if child.type == "image")


def _embed(tokens: Sequence[Token], images: Mapping[str, bytes]) -> None:
    for image in _images(tokens):
        link = str(image.attrs["src"])
        if link not in images:
            raise CohortError(f"{link}: the report names this image, but it was not given")
        image.attrs["src"] = f"data:image/png;base64,{base64.b64encode(images[link]).decode('ascii')}"


def _make_figures(tokens: Sequence[Token]) -> None:
    """Make every paragraph that begins with an image a figure, and the emphasised text below it its caption."""
    for opening, inline, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
        children = inline.children or []
        if opening.type == "paragraph_open" and children and children[0].type == "image":
            opening.tag = closing.tag = "figure"
            for child in children:
                if child.tag == "em":
                    child.tag = "figcaption"


def _anchor(tokens: Sequence[Token]) -> list[Entry]:
    """Give every section an anchor; return the table of contents."""
    contents = []
    for opening, inline in pairwise(tokens):
        if _is_section(opening):
            text = "".join(child.content for child in inline.children or [])
            opening.attrs["id"] = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
            contents.append(Entry(str(opening.attrs["id"]), text))
    return contents


def _is_section(token: Token) -> bool:
    return token.type == "heading_open" and token.tag == "h2"
