"""Markdown becomes a page that needs nothing beside it."""

import base64

import pytest

from datspect.errors import CohortError
from datspect.reporting.page import html_page, image_links

MARKDOWN = """# Title

Intro.

## First & last

![what it shows](a/b.png)
*Figure 1. What it is.*

## Second

| a | b |
|---|--:|
| 1 | 2 |
"""


def page(markdown: str = MARKDOWN, banner: str = "") -> str:
    return html_page(markdown, {"a/b.png": b"png"}, title="<T>", banner=banner)


def test_images_are_embedded_with_text_and_caption() -> None:
    assert image_links(MARKDOWN) == ["a/b.png"]
    source = base64.b64encode(b"png").decode()
    assert f'<figure><img src="data:image/png;base64,{source}" alt="what it shows"' in page()
    assert "<figcaption>Figure 1. What it is.</figcaption></figure>" in page()


def test_an_image_that_was_not_given_is_an_error() -> None:
    with pytest.raises(CohortError, match=r"other\.png"):
        page("![x](other.png)")


def test_the_contents_stand_between_intro_and_sections_and_lead_to_them() -> None:
    html = page()
    assert '<a href="#first-last">First &amp; last</a>' in html
    assert '<h2 id="first-last">First &amp; last</h2>' in html
    assert html.index("Intro.") < html.index("<nav") < html.index('<h2 id="first-last"')


def test_title_and_banner_are_escaped_and_html_in_the_source_stays_text() -> None:
    html = page("<b onclick=x>\n\ntext <i>y</i>\n", banner="<B>")
    assert "<title>&lt;T&gt;</title>" in html
    assert ">&lt;B&gt;</div>" in html
    assert "&lt;b onclick=x&gt;" in html
    assert "<i>" not in html


def test_without_a_banner_there_is_none() -> None:
    assert 'class="banner"' not in page()


def test_a_keyboard_reaches_the_content_the_tables_and_sees_where_it_is() -> None:
    html = page()
    assert html.index('<a class="skip" href="#content">') < html.index('<main id="content">')
    assert 'tabindex="0" role="region"' in html
    assert ":focus-visible { outline: 3px solid" in html
    assert '<html lang="en">' in html


def test_wide_tables_scroll_in_a_box_of_their_own() -> None:
    assert '<div class="table" tabindex="0" role="region" aria-label="table, may scroll sideways"><table>' in page()
    assert '<td style="text-align:right">2</td>' in page()
