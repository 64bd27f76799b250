"""Draw one page on one answer by slabs: the scan, the mean control, and what makes the difference between the two."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datspect.arrays import BoolArray, FloatArray
from datspect.figures.explanation import draw_binding

UPTAKE_SHOWN = 5.0
"""Uptake that is drawn white; the mean control's striata reach about 4 times that of the brain."""
LEAST_FULL = 0.1
"""Log odds of a pixel at which colours are full at least: those of a scan like the mean control stay pale."""
_STRONG = 0.995
"""Quantile of the absolute attribution at which colours are full."""


@dataclass(frozen=True, eq=False)
class SlabExplanation:
    """An answer and what explains it; x runs from the patient's left to the right, y to the front, k counts slabs.

    edges_mm : ends of the slabs along x and y, and heights of their edges, MNI mm: two pairs and k + 1 numbers
    scan, control : uptake over the brain's, shape (X, Y, k), of the scan and of the mean control
    template : T1 image in any unit, shape (X, Y, k), between the ends `template_mm` along x and y
    striatum : bool, on the grid of `template`
    attribution : shape (x, y, k), in log odds, positive towards PD
    log_odds : of PD, of the mean control and of the scan
    measures : binding ratios, keyed sbr_caudate_left and so on
    striatal_share : share of the absolute attribution that lies within the striatum
    completeness_error : error of the sum of the attribution, as a share of the difference that it explains
    offset_mm : how far above the cohort's place the scan lies
    """

    title: str
    cohort: str
    answer: str
    edges_mm: tuple[tuple[float, float], tuple[float, float], tuple[float, ...]]
    scan: FloatArray
    control: FloatArray
    template: FloatArray
    template_mm: tuple[tuple[float, float], tuple[float, float]]
    striatum: BoolArray
    attribution: FloatArray
    log_odds: tuple[float, float]
    n_controls: int
    measures: Mapping[str, float]
    striatal_share: float
    completeness_error: float
    is_complete: bool
    offset_mm: float


def draw_slab_explanation(shown: SlabExplanation) -> Figure:
    """Draw the page."""
    n_slabs = shown.attribution.shape[2]
    figure = Figure(figsize=(13.5, 7.6), layout="constrained")
    figure.suptitle(f"{shown.title}: {shown.answer}\n{shown.cohort}; research only, no diagnosis", fontsize=11)
    grid = figure.add_gridspec(3, n_slabs + 1, width_ratios=(*(1,) * n_slabs, 1.15))
    rows = [[figure.add_subplot(grid[row, slab]) for slab in range(n_slabs)] for row in range(3)]
    full = max(float(np.quantile(np.abs(shown.attribution), _STRONG)), LEAST_FULL)
    for slab, (scan, control, parts) in enumerate(zip(*rows, strict=True)):
        low, high = shown.edges_mm[2][slab : slab + 2]
        scan.set_title(f"z {low:+.0f} to {high:+.0f} mm", fontsize=9)
        uptake = [
            _draw_uptake(axes, each[:, :, slab], shown) for axes, each in ((scan, shown.scan), (control, shown.control))
        ]
        colours = _draw_attribution(parts, shown, slab, full)
    for axes, label in zip(
        (row[0] for row in rows),
        ("the scan", f"mean of {shown.n_controls} controls", "what makes the difference"),
        strict=True,
    ):
        axes.set_ylabel(f"{label}\ny, MNI mm", fontsize=9)
    for axes in rows[2]:
        axes.set_xlabel("x, MNI mm", fontsize=8)
    _bar(figure, uptake[0], rows[0] + rows[1], "uptake, times that of the brain")
    _bar(figure, colours, rows[2], "log odds per pixel: blue to control, red to PD")
    draw_binding(figure.add_subplot(grid[0, n_slabs]), shown.measures)
    _write_facts(figure.add_subplot(grid[1:, n_slabs]), shown)
    return figure


def _draw_uptake(axes: Axes, values: FloatArray, shown: SlabExplanation) -> Any:
    (left, right), (back, front), _ = shown.edges_mm
    extent = (left, right, back, front)
    picture = axes.imshow(values.T, cmap="inferno", vmin=0, vmax=UPTAKE_SHOWN, origin="lower", extent=extent)
    _mark_sides(axes, "white")
    return picture


def _draw_attribution(axes: Axes, shown: SlabExplanation, slab: int, full: float) -> Any:
    (left, right), (back, front), _ = shown.edges_mm
    darker = 1.3 * float(shown.template.max())  # so that colours stand out
    template_extent = (*shown.template_mm[0], *shown.template_mm[1])
    axes.imshow(shown.template[:, :, slab].T, cmap="gray", vmin=0, vmax=darker, origin="lower", extent=template_extent)
    values = shown.attribution[:, :, slab].T
    opacity = np.clip(np.abs(values) / full, 0, 1) * 0.9
    extent = (left, right, back, front)
    picture = axes.imshow(values, cmap="RdBu_r", vmin=-full, vmax=full, alpha=opacity, origin="lower", extent=extent)
    if shown.striatum[:, :, slab].any():
        axes.contour(
            shown.striatum[:, :, slab].T, levels=[0.5], colors="#009E73", linewidths=0.9, extent=template_extent
        )
    axes.set(xlim=(left, right), ylim=(back, front))
    _mark_sides(axes, "black")
    return picture


def _mark_sides(axes: Axes, colour: str) -> None:
    """Write L and R, the patient's, and mark millimetres."""
    for place, side in ((0.03, "L"), (0.97, "R")):
        axes.text(
            place, 0.03, side, color=colour, fontsize=9, ha="left" if side == "L" else "right", transform=axes.transAxes
        )
    axes.set(xticks=range(-40, 41, 20), yticks=range(-40, 41, 20))
    axes.tick_params(labelsize=7, length=2)


def _bar(figure: Figure, picture: Any, axes: list[Axes], label: str) -> None:
    bar = figure.colorbar(picture, ax=axes, location="left", shrink=0.8, aspect=30, pad=0.01)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _write_facts(axes: Axes, shown: SlabExplanation) -> None:
    axes.set_axis_off()
    control, scan = shown.log_odds
    facts = (
        "log odds of PD, as the network gives them:",
        f"  mean control {control:+.2f}, this scan {scan:+.2f}",
        f"  the map adds up to the difference, {scan - control:+.2f}:",
        f"  {'complete' if shown.is_complete else 'NOT COMPLETE: do not read it'}"
        f" (off by {shown.completeness_error:.2%})",
        f"of the map within the striatum: {shown.striatal_share:.0%}",
        f"scan lies {abs(shown.offset_mm):.1f} mm {'above' if shown.offset_mm > 0 else 'below'} the cohort;",
        "template and striatum are placed likewise",
        "",
        "Red: what made the network say PD, such as",
        "uptake that is missing there. Blue: what",
        "spoke against it. Outline: the striatum and",
        "4 mm around it. The map says what moved",
        "this network's answer, not where disease is.",
    )
    axes.text(0, 1, "\n".join(facts), fontsize=9, va="top", linespacing=1.6, transform=axes.transAxes)
