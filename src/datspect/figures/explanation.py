"""Draw one page on one answer: the slices, what in them the answer rests on, and the binding ratios."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datspect.arrays import BoolArray, FloatArray
from datspect.text import in_figure

_REGIONS = ("caudate", "putamen")
_SIDES = (("left", "#0072B2"), ("right", "#D55E00"))  # Okabe and Ito's colours
_STRONG = 0.995
"""Quantile of the absolute attribution at which colours are full."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """An answer and what explains it.

    image, attribution, template : shape (H, W, 3), patient's left on the left; the image in [0, 1], the attribution in
        log odds, positive towards PD, the template in any unit
    striatum : bool, shape (H, W, 3)
    measures : binding ratios, keyed sbr_caudate_left and so on
    striatal_share : share of the absolute attribution that lies within the striatum
    completeness_error : error of the sum of the attribution, as a share of the difference that it explains
    """

    title: str
    cohort: str
    slices: tuple[int, ...]
    image: FloatArray
    template: FloatArray
    attribution: FloatArray
    striatum: BoolArray
    answer: str
    measures: Mapping[str, float]
    striatal_share: float
    completeness_error: float
    is_complete: bool
    z_offset_voxels: float


def draw_explanation(shown: Explanation) -> Figure:
    """Draw the page."""
    figure = Figure(figsize=(12, 7.6), layout="constrained")
    figure.suptitle(
        f"{in_figure(shown.title)}: {shown.answer}\n{shown.cohort}; research only, no diagnosis", fontsize=11
    )
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 1.05))
    strong = float(np.quantile(np.abs(shown.attribution), _STRONG)) or 1.0
    picture = None
    for channel, number in enumerate(shown.slices):
        above, below = (figure.add_subplot(grid[row, channel]) for row in (0, 1))
        above.imshow(shown.image[:, :, channel], cmap="gray", vmin=0, vmax=1)
        above.set_title(f"slice {number}", fontsize=9)
        picture = _draw_attribution(below, shown, channel, strong)
        for axes in (above, below):
            axes.set(xticks=[], yticks=[])
    # One label names the patient's left, where it is seen.
    figure.axes[0].set_ylabel("scan; patient's left on the left", fontsize=9)
    figure.axes[1].set_ylabel("attribution on the MNI template", fontsize=9)
    if picture is not None:
        bar = figure.colorbar(picture, ax=figure.axes[1 : 2 * len(shown.slices) : 2], location="bottom", shrink=0.6)
        bar.set_label("log odds per pixel: blue towards control, red towards PD; outline: striatum", fontsize=9)
        bar.ax.tick_params(labelsize=7)
    draw_binding(figure.add_subplot(grid[0, 3]), shown.measures)
    _write_facts(figure.add_subplot(grid[1, 3]), shown)
    return figure


def _draw_attribution(axes: Axes, shown: Explanation, channel: int, strong: float) -> Any:
    axes.imshow(shown.template[:, :, channel], cmap="gray")
    values = shown.attribution[:, :, channel]
    opacity = np.clip(np.abs(values) / strong, 0, 1) * 0.9
    picture = axes.imshow(values, cmap="RdBu_r", vmin=-strong, vmax=strong, alpha=opacity)
    if shown.striatum[:, :, channel].any():
        axes.contour(shown.striatum[:, :, channel], levels=[0.5], colors="#009E73", linewidths=0.8)
    return picture


def draw_binding(axes: Axes, measures: Mapping[str, float]) -> None:
    """Draw the binding ratios of both sides as bars; `measures` is keyed sbr_caudate_left and so on."""
    places = np.arange(len(_REGIONS))
    for shift, (side, colour) in zip((-0.2, 0.2), _SIDES, strict=True):
        values = [measures[f"sbr_{region}_{side}"] for region in _REGIONS]
        bars = axes.bar(places + shift, values, 0.38, label=side, color=colour)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.set_xticks(places, _REGIONS)
    axes.set_ylabel("specific binding ratio", fontsize=9)
    axes.margins(y=0.15)
    axes.legend(fontsize=8, title="patient's", title_fontsize=8)


def _write_facts(axes: Axes, shown: Explanation) -> None:
    axes.set_axis_off()
    complete = "complete" if shown.is_complete else "NOT COMPLETE: do not read it"
    facts = (
        f"attribution within the striatum: {shown.striatal_share:.0%}",
        f"sum of attributions: {complete}",
        f"(off by {shown.completeness_error:.2%})",
        f"scan lies {shown.z_offset_voxels:+.1f} voxels above MNI;",
        "template and striatum are placed likewise",
        "",
        "The map says what moved this network's",
        "answer, not where disease is.",
    )
    axes.text(0, 0.95, "\n".join(facts), fontsize=9, va="top", linespacing=1.6, transform=axes.transAxes)
