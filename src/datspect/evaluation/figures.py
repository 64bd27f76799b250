"""Figures, drawn without pyplot: no global state, no window, the same on every machine."""

from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

TILES_PER_ROW = 10
_TILE_INCHES = 1.25
_TITLE_POINTS = 6.0
_TITLE_CHARACTERS = 20
"""What fits above a tile at `_TITLE_POINTS`; longer titles are set smaller."""
_CAPTION_INCHES = 0.35


def contact_sheet(images: NDArray[np.floating], titles: list[str], caption: str) -> Figure:
    """Many slices on one page, a title above each, all drawn from 0 (black) to 1 (white).

    Parameters
    ----------
    images
        Shape (N, H, W), values in [0, 1], first row anterior; the caller chooses which N to show.
    titles
        One for each image, of one or more lines.
    caption
        One line above all of them.
    """
    if len(images) != len(titles):
        raise ValueError(f"expected a title for each of {len(images)} images, got {len(titles)}")
    columns = min(TILES_PER_ROW, max(len(images), 1))
    rows = max(ceil(len(images) / columns), 1)
    tile_height = _TILE_INCHES * images.shape[1] / images.shape[2]
    lines = [line for title in titles for line in title.split("\n")]
    points = _TITLE_POINTS * _TITLE_CHARACTERS / max([_TITLE_CHARACTERS, *map(len, lines)])
    title_height = (1 + max((title.count("\n") for title in titles), default=0)) * 1.4 * points / 72 + 0.05
    width = max(columns, 4) * _TILE_INCHES
    height = _CAPTION_INCHES + rows * (tile_height + title_height)
    figure = Figure(figsize=(width, height))
    figure.text(0.5, 1 - _CAPTION_INCHES / 2 / height, caption, ha="center", va="center", fontsize=9)
    top = 1 - (_CAPTION_INCHES + title_height) / height
    grid = figure.add_gridspec(
        rows, columns, left=0.01, right=0.99, bottom=0.0, top=top, wspace=0.05, hspace=title_height / tile_height
    )
    for index, (image, title) in enumerate(zip(images, titles, strict=True)):
        _draw_tile(figure.add_subplot(grid[index // columns, index % columns]), image, title, points)
    return figure


def _draw_tile(axes: Axes, image: NDArray[np.floating], title: str, points: float) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=points, pad=2)
    axes.set(xticks=[], yticks=[])  # not drawn anyway, but to place them takes a second a page
    axes.set_axis_off()
