"""Draw a head from three sides, with the outline of where a head should be."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from datspect.arrays import BoolArray, FloatArray
from datspect.text import in_figure


@dataclass(frozen=True, eq=False)
class HeadView:
    """One plane: `image`, shape (rows, columns), first row uppermost, in any unit; outlines of the same shape."""

    name: str
    image: FloatArray
    head: BoolArray
    striatum: BoolArray


def draw_head_views(views: Sequence[HeadView], title: str, remarks: Sequence[str]) -> Figure:
    """Draw planes side by side, from 0 (black) to the brightest of all, and remarks below."""
    figure = Figure(figsize=(3.4 * len(views), 3.9 + 0.2 * len(remarks)), layout="constrained")
    figure.suptitle(in_figure(title), fontsize=10)
    brightest = max(float(view.image.max()) for view in views) or 1.0
    for place, view in enumerate(views):
        axes = figure.add_subplot(1, len(views), place + 1)
        axes.imshow(view.image, cmap="gray", vmin=0, vmax=brightest, interpolation="nearest")
        axes.contour(view.head, levels=[0.5], colors="#56B4E9", linewidths=1)
        axes.contour(view.striatum, levels=[0.5], colors="#E69F00", linewidths=1)
        axes.set_title(view.name, fontsize=9)
        axes.set_axis_off()
    if remarks:
        figure.supxlabel("\n".join(map(in_figure, remarks)), fontsize=8)
    return figure
