"""Draw one page on one answer by slabs: the scan, the mean control, and what makes the difference between the two."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datspect.arrays import BoolArray, FloatArray
from datspect.evaluation.normal_range import AgainstControls
from datspect.figures.convention import ends, mark_ends, sides_note
from datspect.figures.explanation import NO_MAP, OUTLINE, draw_binding
from datspect.params.figures import Convention

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
    log_odds : of PD, of the mean control, of the scan with noise (the mean) and of the scan
    measures : binding ratios, keyed sbr_caudate_left and so on
    against_controls : the same against those of controls, if known
    striatal_share : share of the absolute attribution that lies within the striatum
    noise : over what the attribution is a mean, in words; "" if it is of the scan alone
    missed : by how many log odds the sum of the attribution differs from the difference that it explains
    offset_mm : how far above the cohort's place the scan lies
    withheld : the scan has no answer: what the attribution says of one is not drawn
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
    log_odds: tuple[float, float, float]
    n_controls: int
    measures: Mapping[str, float]
    against_controls: AgainstControls | None
    convention: Convention
    striatal_share: float
    missed: float
    is_complete: bool
    noise: str
    offset_mm: float
    withheld: bool = False


def draw_slab_explanation(shown: SlabExplanation) -> Figure:
    """Draw the page."""
    n_slabs = shown.attribution.shape[2]
    figure = Figure(figsize=(13.5, 7.6), layout="constrained")
    figure.suptitle(f"{shown.title}: {shown.answer}\n{shown.cohort}; research only, no diagnosis", fontsize=11)
    labels = ["the scan", f"mean of {shown.n_controls} controls", "what makes the difference"]
    n_rows = 2 if shown.withheld else 3
    grid = figure.add_gridspec(n_rows, n_slabs + 1, width_ratios=(*(1,) * n_slabs, 1.15))
    rows = [[figure.add_subplot(grid[row, slab]) for slab in range(n_slabs)] for row in range(n_rows)]
    for slab, (scan, control, *below) in enumerate(zip(*rows, strict=True)):
        scan.set_title(height_of(shown, slab), fontsize=9)
        uptake = [
            draw_uptake(axes, each[:, :, slab], shown) for axes, each in ((scan, shown.scan), (control, shown.control))
        ]
        colours = [draw_slab_attribution(axes, shown, slab) for axes in below]
        for axes, colour in zip((scan, control, *below), ("white", "white", "black"), strict=False):
            mark_ends(axes, ends(shown.convention), colour=colour)
            axes.tick_params(labelsize=7, length=2)
    for row, label in zip(rows, labels, strict=False):
        row[0].set_ylabel(f"{label}\ny, MNI mm", fontsize=9)
    for axes in rows[-1]:
        axes.set_xlabel("x, MNI mm", fontsize=8)
    _bar(figure, uptake[0], rows[0] + rows[1], "uptake, times that of the brain")
    if colours:
        _bar(figure, colours[0], rows[2], "log odds per pixel: blue to control, red to PD")
    figure.supxlabel(sides_note(shown.convention), fontsize=8)
    draw_binding(figure.add_subplot(grid[0, n_slabs]), shown.measures, shown.convention, shown.against_controls)
    _write_facts(figure.add_subplot(grid[1:, n_slabs]), shown)
    return figure


def height_of(shown: SlabExplanation, slab: int) -> str:
    """Return where a slab lies, for its heading."""
    low, high = shown.edges_mm[2][slab : slab + 2]
    return f"z {low:+.0f} to {high:+.0f} mm"


def draw_uptake(axes: Axes, values: FloatArray, shown: SlabExplanation) -> Any:
    """Draw the uptake of a slab, shape (X, Y); return what a colour bar is made for."""
    (left, right), (back, front), _ = shown.edges_mm
    extent = (left, right, back, front)
    picture = axes.imshow(values.T, cmap="inferno", vmin=0, vmax=UPTAKE_SHOWN, origin="lower", extent=extent)
    _turn(axes, shown.convention)
    return picture


def draw_slab_attribution(axes: Axes, shown: SlabExplanation, slab: int) -> Any:
    """Draw the attribution of a slab over the template; return what a colour bar is made for."""
    full = max(float(np.quantile(np.abs(shown.attribution), _STRONG)), LEAST_FULL)
    (left, right), (back, front), _ = shown.edges_mm
    darker = 1.3 * float(shown.template.max())  # so that colours stand out
    template_extent = (*shown.template_mm[0], *shown.template_mm[1])
    axes.imshow(shown.template[:, :, slab].T, cmap="gray", vmin=0, vmax=darker, origin="lower", extent=template_extent)
    values = shown.attribution[:, :, slab].T
    opacity = np.clip(np.abs(values) / full, 0, 1) * 0.9
    extent = (left, right, back, front)
    picture = axes.imshow(values, cmap="RdBu_r", vmin=-full, vmax=full, alpha=opacity, origin="lower", extent=extent)
    if shown.striatum[:, :, slab].any():
        axes.contour(shown.striatum[:, :, slab].T, levels=[0.5], colors=OUTLINE, linewidths=1, extent=template_extent)
    axes.set(xlim=(left, right), ylim=(back, front))
    _turn(axes, shown.convention)
    return picture


def _turn(axes: Axes, convention: Convention) -> None:
    """Turn the picture as the convention wants it, and mark millimetres."""
    if convention == "radiological":
        axes.invert_xaxis()  # x still rises to the patient's right, which is now on the left
    axes.set(xticks=range(-40, 41, 20), yticks=range(-40, 41, 20))


def _bar(figure: Figure, picture: Any, axes: list[Axes], label: str) -> None:
    bar = figure.colorbar(picture, ax=axes, location="left", shrink=0.8, aspect=30, pad=0.01)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _write_facts(axes: Axes, shown: SlabExplanation) -> None:
    axes.set_axis_off()
    control, noisy, scan = shown.log_odds
    place = f"scan lies {abs(shown.offset_mm):.1f} mm {'above' if shown.offset_mm > 0 else 'below'} the cohort"
    facts: tuple[str, ...] = (
        "log odds of PD, as the network gives them:",
        f"  mean control {control:+.2f}, this scan {scan:+.2f}",
        f"  mean over the draws {noisy:+.2f}; the map adds",
        f"  up to the difference, {noisy - control:+.2f}:",
        f"  {'complete' if shown.is_complete else 'NOT COMPLETE: do not read it'} (misses {shown.missed:.2f} log odds)",
        f"within the striatum, before the blur: {shown.striatal_share:.0%}",
        f"{place};",
        "template and striatum are placed likewise",
        "",
        "Red: what made the network say PD, such as",
        "uptake that is missing there. Blue: what",
        "spoke against it. Outline: the striatum and",
        "4 mm around it. The map says what moved",
        "this network's answer, not where disease is.",
        "",
        *textwrap.wrap(f"The map is a {shown.noise}.", 46),
    )
    if shown.withheld:
        facts = (NO_MAP, place)
    axes.text(0, 1, "\n".join(facts), fontsize=8.5, va="top", linespacing=1.4, transform=axes.transAxes)
