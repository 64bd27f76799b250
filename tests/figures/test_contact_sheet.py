import io

import matplotlib.image
import numpy as np
import pytest

from datspect.figures.contact_sheet import TILES_PER_ROW, contact_sheet


@pytest.mark.parametrize("n", [1, 3, TILES_PER_ROW, TILES_PER_ROW + 1])
def test_a_contact_sheet_has_a_titled_tile_for_each_image(rng, n):
    images, titles = rng.random((n, 109, 91)), [f"S{number:04d}" for number in range(n)]
    figure = contact_sheet(images, titles, "all of them", "neurological")
    (page,) = figure.axes
    assert [text.get_text() for text in page.texts if text.get_text() not in "RL"] == titles
    assert [text.get_text() for text in page.texts[1:3]] == ["L", "R"]
    for tile, image in zip(page.images, images, strict=True):
        np.testing.assert_array_equal(tile.get_array(), image)
        assert tile.get_clim() == (0, 1)
        assert tile.origin == "upper"  # first row, the anterior one, on top
    assert [text.get_text() for text in figure.texts] == ["all of them"]


@pytest.mark.parametrize("n", [1, 25])
def test_tiles_neither_overlap_nor_leave_the_page(rng, n):
    figure = contact_sheet(rng.random((n, 109, 91)), ["title"] * n, "caption", "radiological")
    boxes = [tile.get_window_extent() for tile in figure.axes[0].images]
    assert all(0 <= box.x0 < box.x1 <= figure.bbox.width for box in boxes)
    assert all(-1e-6 <= box.y0 < box.y1 <= figure.bbox.height for box in boxes)
    assert all(box.height / box.width == pytest.approx(109 / 91) for box in boxes)
    if n > 1:
        assert boxes[0].x1 < boxes[1].x0
        assert boxes[0].y0 > boxes[TILES_PER_ROW].y1


@pytest.mark.parametrize("title", ["S0001", "phantom-e5cd267f64-SC\ncontrol 3.63", "a long name " * 3])
def test_titles_stay_above_their_own_tile(rng, title):
    figure = contact_sheet(rng.random((12, 109, 91)), [title] * 12, "caption", "radiological")
    figure.draw_without_rendering()
    (page,) = figure.axes
    tiles = [tile.get_window_extent() for tile in page.images]
    titles = [text.get_window_extent() for text in page.texts if text.get_text() not in "RL"]
    pitch = tiles[1].x0 - tiles[0].x0
    assert all(box.width <= pitch for box in titles)
    assert all(tile.y1 <= title.y0 for tile, title in zip(tiles, titles, strict=True))
    assert titles[TILES_PER_ROW].y1 <= tiles[0].y0
    assert titles[0].y1 <= figure.texts[0].get_window_extent().y0


def test_white_is_one_and_black_is_zero():
    figure = contact_sheet(np.stack([np.zeros((20, 20)), np.ones((20, 20))]), ["", ""], "", "radiological")
    png = io.BytesIO()
    figure.savefig(png, format="png")
    png.seek(0)
    pixels = matplotlib.image.imread(png)
    height, width = pixels.shape[:2]
    for tile, value in zip(figure.axes[0].images, (0.0, 1.0), strict=True):
        box = tile.get_window_extent().transformed(figure.transFigure.inverted())
        row, column = int(height * (1 - (box.y0 + box.y1) / 2)), int(width * (box.x0 + box.x1) / 2)
        assert pixels[row, column, 0] == value


def test_every_image_needs_a_title(rng):
    with pytest.raises(ValueError, match="a title for each of 2 images, got 1"):
        contact_sheet(rng.random((2, 9, 9)), ["one"], "", "radiological")
