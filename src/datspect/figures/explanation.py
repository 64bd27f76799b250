"""Draw one page on one answer: the slices, what in them the answer rests on, and the binding ratios."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datspect.arrays import BoolArray, FloatArray
from datspect.evaluation.normal_range import AgainstControls, Compared
from datspect.figures.convention import as_displayed, ends, mark_ends, sides_note
from datspect.params.figures import Convention
from datspect.text import in_figure

REGIONS = ("caudate", "putamen")
SIDES = (("left", "#0072B2"), ("right", "#D55E00"))  # Okabe and Ito's colours
OUTLINE = "#F0E442"
"""Of the striatum: Okabe and Ito's yellow, which neither end of the map's colours comes near."""
NO_MAP = "withheld: no map of what an answer rests on"
_STRONG = 0.995
"""Quantile of the absolute attribution at which colours are full."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """An answer and what explains it.

    image, attribution, template : shape (H, W, 3), first column the patient's left; the image in [0, 1], the
        attribution in log odds, positive towards PD, the template in any unit
    striatum : bool, shape (H, W, 3)
    measures : binding ratios, keyed sbr_caudate_left and so on
    against_controls : the same against those of controls, if known
    striatal_share : share of the absolute attribution that lies within the striatum
    noise : over what the attribution is a mean, in words; "" if it is of the scan alone
    missed : by how many log odds the sum of the attribution differs from the difference that it explains
    withheld : the scan has no answer: what the attribution says of one is not drawn
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
    against_controls: AgainstControls | None
    convention: Convention
    striatal_share: float
    missed: float
    is_complete: bool
    noise: str
    z_offset_voxels: float
    withheld: bool = False


def draw_explanation(shown: Explanation) -> Figure:
    """Draw the page."""
    figure = Figure(figsize=(12, 7.6), layout="constrained")
    figure.suptitle(
        f"{in_figure(shown.title)}: {shown.answer}\n{shown.cohort}; research only, no diagnosis", fontsize=11
    )
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 1.05))
    maps, picture = list[Axes](), None
    for channel, number in enumerate(shown.slices):
        above = figure.add_subplot(grid[0, channel])
        draw_slice(above, shown, channel)
        above.set_title(f"slice {number}", fontsize=9)
        if not shown.withheld:
            maps.append(figure.add_subplot(grid[1, channel]))
            picture = draw_attribution(maps[-1], shown, channel)
    for axes in figure.axes:
        axes.set(xticks=[], yticks=[])
        mark_ends(axes, ends(shown.convention))
    figure.axes[0].set_ylabel("scan", fontsize=9)
    if picture is None:
        figure.axes[0].set_xlabel(sides_note(shown.convention), fontsize=9)
    else:
        maps[0].set_ylabel("attribution on the MNI template", fontsize=9)
        bar = figure.colorbar(picture, ax=maps, location="bottom", shrink=0.6)
        said = "log odds per pixel: blue towards control, red towards PD; outline: striatum"
        bar.set_label(f"{said}\n{sides_note(shown.convention)}", fontsize=9)
        bar.ax.tick_params(labelsize=7)
    draw_binding(figure.add_subplot(grid[0, 3]), shown.measures, shown.convention, shown.against_controls)
    _write_facts(figure.add_subplot(grid[1, 3]), shown)
    return figure


def draw_slice(axes: Axes, shown: Explanation, channel: int) -> None:
    """Draw what the network sees of a slice."""
    axes.imshow(as_displayed(shown.image[:, :, channel], shown.convention), cmap="gray", vmin=0, vmax=1)


def draw_attribution(axes: Axes, shown: Explanation, channel: int) -> Any:
    """Draw the attribution of a slice over the template; return what a colour bar is made for."""
    strong = float(np.quantile(np.abs(shown.attribution), _STRONG)) or 1.0
    template, values, striatum = (
        as_displayed(each[:, :, channel], shown.convention)
        for each in (shown.template, shown.attribution, shown.striatum)
    )
    axes.imshow(template, cmap="gray")
    opacity = np.clip(np.abs(values) / strong, 0, 1) * 0.9
    picture = axes.imshow(values, cmap="RdBu_r", vmin=-strong, vmax=strong, alpha=opacity)
    if striatum.any():
        axes.contour(striatum, levels=[0.5], colors=OUTLINE, linewidths=1)
    return picture


def draw_binding(
    axes: Axes, measures: Mapping[str, float], convention: Convention, against: AgainstControls | None = None
) -> None:
    """Draw the binding ratios of both sides as bars, in the order of the pictures, and the range of controls.

    `measures` is keyed sbr_caudate_left and so on. Where `against` is given, each bar has its z-score above it and the
    95 % range of controls as a bracketed line on its right.
    """
    places = np.arange(len(REGIONS))
    sides = SIDES[::-1] if convention == "radiological" else SIDES
    for shift, (side, colour) in zip((-0.22, 0.18), sides, strict=True):
        names = [f"sbr_{region}_{side}" for region in REGIONS]
        values = [measures[name] for name in names]
        bars = axes.bar(places + shift, values, 0.26, label=f"patient's {side}", color=colour)
        found = [] if against is None else [against.ratios[name] for name in names]
        said = [f"\nz {each.z:+.1f}" for each in found] or [""] * len(values)
        axes.bar_label(bars, [f"{value:.2f}{z}" for value, z in zip(values, said, strict=True)], fontsize=7.5)
        if found:
            _draw_ranges(axes, places + shift + 0.18, found, "95 % of controls" if shift > 0 else None)
    axes.set_xticks(places, REGIONS)
    axes.set_ylabel("specific binding ratio", fontsize=9)
    axes.margins(y=0.2)
    axes.legend(fontsize=7.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, columnspacing=1)
    if against is not None:
        axes.set_xlabel("\n".join(textwrap.wrap(f"z and range: against {against.whom}", 46)), fontsize=8)


def _draw_ranges(axes: Axes, places: FloatArray, found: Sequence[Compared], label: str | None) -> None:
    lows, highs = (np.array([getattr(each, end) for each in found]) for end in ("low", "high"))
    middles = (lows + highs) / 2
    axes.errorbar(
        places, middles, (highs - lows) / 2, fmt="none", ecolor="black", elinewidth=1.2, capsize=4, label=label
    )


def _write_facts(axes: Axes, shown: Explanation) -> None:
    axes.set_axis_off()
    place = f"scan lies {shown.z_offset_voxels:+.1f} voxels above MNI"
    complete = "complete" if shown.is_complete else "NOT COMPLETE: do not read it"
    facts: tuple[str, ...] = (
        f"within the striatum, before the blur: {shown.striatal_share:.0%}",
        f"sum of attributions: {complete}",
        f"(misses {shown.missed:.2f} log odds)",
        f"{place};",
        "template and striatum are placed likewise",
        "",
        "The map says what moved this network's",
        "answer, not where disease is.",
        "",
        *textwrap.wrap(f"The map is a {shown.noise}.", 46),
    )
    if shown.withheld:
        facts = (NO_MAP, place)
    axes.text(0, 0.95, "\n".join(facts), fontsize=8.5, va="top", linespacing=1.4, transform=axes.transAxes)
