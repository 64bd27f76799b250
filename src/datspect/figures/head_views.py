"""Draw a head from three sides, with the outline of where a head should be."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datspect.arrays import BoolArray, FloatArray
from datspect.figures.convention import mark_ends
from datspect.text import in_figure


@dataclass(frozen=True, eq=False)
class HeadView:
    """One plane: `image`, shape (rows, columns), first row uppermost, in any unit; outlines of the same shape.

    `ends` name what lies at the left and at the right end of a row.
    """

    name: str
    image: FloatArray
    head: BoolArray
    striatum: BoolArray
    ends: tuple[str, str]


def draw_head_views(views: Sequence[HeadView], title: str, remarks: Sequence[str]) -> Figure:
    """Draw planes side by side, from 0 (black) to the brightest of all, and remarks below."""
    figure = Figure(figsize=(3.4 * len(views), 3.9 + 0.2 * len(remarks)), layout="constrained")
    figure.suptitle(in_figure(title), fontsize=10)
    brightest = brightest_of(views)
    for place, view in enumerate(views):
        axes = figure.add_subplot(1, len(views), place + 1)
        draw_head_view(axes, view, brightest)
        axes.set_title(view.name, fontsize=9)
        axes.set_axis_off()
        mark_ends(axes, view.ends)
    if remarks:
        figure.supxlabel("\n".join(map(in_figure, remarks)), fontsize=8)
    return figure


def brightest_of(views: Sequence[HeadView]) -> float:
    """Return the value that is drawn white in all of these."""
    return max(float(view.image.max()) for view in views) or 1.0


def draw_head_view(axes: Axes, view: HeadView, brightest: float) -> None:
    """Draw one plane with its outlines."""
    axes.imshow(view.image, cmap="gray", vmin=0, vmax=brightest, interpolation="nearest")
    axes.contour(view.head, levels=[0.5], colors="#56B4E9", linewidths=1)
    axes.contour(view.striatum, levels=[0.5], colors="#E69F00", linewidths=1)
