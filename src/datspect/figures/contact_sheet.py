"""Draw many slices on one page."""

from math import ceil

from matplotlib.figure import Figure

from datspect.arrays import FloatArray
from datspect.figures.convention import as_displayed, ends
from datspect.params.figures import Convention
from datspect.text import in_figure

TILES_PER_ROW = 10
_LEAST_COLUMNS = 4
"""A page is at least as wide as so many tiles, so that the caption has room."""
_PITCH_INCHES, _TILE_INCHES, _PAD_INCHES = 1.25, 1.19, 0.03
_TITLE_POINTS = 6.0
_TITLE_CHARACTERS = 20
"""So many fit above a tile at `_TITLE_POINTS`; longer titles are set smaller."""
_CAPTION_INCHES = 0.4
_MARK_POINTS = 6.0


def contact_sheet(images: FloatArray, titles: list[str], caption: str, convention: Convention) -> Figure:
    """Draw many slices on one page, a title above each, all from 0 (black) to 1 (white).

    `images`: shape (N, H, W), values in [0, 1], first row anterior, first column the patient's left. `titles`: one or
    more lines for each image. `caption`: up to two lines above all images.
    """
    if len(images) != len(titles):
        raise ValueError(f"expected a title for each of {len(images)} images, got {len(titles)}")
    columns = min(TILES_PER_ROW, max(len(images), 1))
    rows = max(ceil(len(images) / columns), 1)
    tile_height = _TILE_INCHES * images.shape[1] / images.shape[2]
    lines = [line for title in titles for line in title.split("\n")]
    points = _TITLE_POINTS * _TITLE_CHARACTERS / max([_TITLE_CHARACTERS, *map(len, lines)])
    title_height = (1 + max((title.count("\n") for title in titles), default=0)) * 1.4 * points / 72 + 0.05
    width = max(columns, _LEAST_COLUMNS) * _PITCH_INCHES
    height = _CAPTION_INCHES + rows * (tile_height + title_height)
    figure = Figure(figsize=(width, height))
    figure.text(0.5, 1 - _CAPTION_INCHES / 2 / height, caption, ha="center", va="center", fontsize=9)
    # One pair of axes for the whole page, in inches: making axes for every tile takes longer than all the drawing.
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    page.set_axis_off()
    for index, (image, title) in enumerate(zip(images, titles, strict=True)):
        row, column = divmod(index, columns)
        middle = width / 2 + (column - (columns - 1) / 2) * _PITCH_INCHES
        top = height - _CAPTION_INCHES - title_height - row * (tile_height + title_height)
        extent = (middle - _TILE_INCHES / 2, middle + _TILE_INCHES / 2, top - tile_height, top)
        page.imshow(
            as_displayed(image, convention),
            cmap="gray",
            vmin=0,
            vmax=1,
            interpolation="nearest",
            extent=extent,
            aspect="auto",
        )
        page.text(middle, top + _PAD_INCHES, in_figure(title), fontsize=points, ha="center", va="bottom")
        inside = (extent[0] + _PAD_INCHES, extent[1] - _PAD_INCHES)
        for place, mark, side in zip(inside, ends(convention), ("left", "right"), strict=True):
            page.text(place, extent[2] + _PAD_INCHES, mark, fontsize=_MARK_POINTS, color="white", ha=side, va="bottom")
    return figure
