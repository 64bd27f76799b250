"""Views of a head: the first row uppermost, one scale for all, outlines and remarks; any text is plain."""

import numpy as np
import pytest

from datspect.figures.head_views import HeadView, draw_head_views


def view(name: str, brightest: float) -> HeadView:
    image = np.zeros((10, 12))
    image[2, 3] = brightest
    head = np.zeros((10, 12), dtype=bool)
    head[1:9, 1:11] = True
    return HeadView(name, image, head, head & (np.arange(12) > 5), ("R", "L"))


def test_all_planes_have_the_scale_of_the_brightest() -> None:
    figure = draw_head_views([view("axial", 4.0), view("coronal", 1.0)], "title", ["too dark", "$x^$"])
    images = [axes.images[0] for axes in figure.axes]
    assert [image.get_clim() for image in images] == [(0, 4.0), (0, 4.0)]
    assert images[0].origin == "upper"
    assert [axes.get_title() for axes in figure.axes] == ["axial", "coronal"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["R", "L"]
    assert figure.get_supxlabel().splitlines()[0] == "too dark"
    figure.canvas.draw()  # what looks like a formula is drawn as it is


@pytest.mark.parametrize("remarks", [[], ["one"], ["one", "two", "three"]])
def test_nothing_to_see_or_to_say_is_drawn_too(remarks: list[str]) -> None:
    draw_head_views([view("axial", 0.0)], "", remarks).canvas.draw()
