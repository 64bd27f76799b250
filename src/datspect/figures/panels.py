"""Draw the pictures of an answer one by one, each as narrow as a phone, with letters that stay readable there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from datspect.evaluation.normal_range import AgainstControls
from datspect.figures.convention import ends, mark_ends, sides_note
from datspect.figures.explanation import REGIONS, SIDES, Explanation, draw_attribution, draw_slice
from datspect.figures.head_views import HeadView, brightest_of, draw_head_view
from datspect.figures.slab_explanation import SlabExplanation, draw_slab_attribution, draw_uptake, height_of
from datspect.params.figures import Convention

_INCHES, _POINTS = 3.2, 10
"""Width of a panel, which a phone shows some 350 pixels wide, and size of its letters: 15 pixels there."""
_MARK_POINTS = 15
_BAR_INCHES = 0.5
_ENDS = {"R": "right", "L": "left", "P": "back", "A": "front"}
_MAP_COLOURS = "blue: towards control, red: towards PD, yellow line: the outline of the striatum"


@dataclass(frozen=True, eq=False)
class Panel:
    """A picture, and what it shows in words for those who do not see it."""

    figure: Figure
    shows: str


@dataclass(frozen=True, eq=False)
class Strip:
    """Pictures that stand side by side where there is room, and the text below them."""

    panels: Sequence[Panel]
    caption: str


def slice_strips(shown: Explanation) -> list[Strip]:
    """Return the pictures of an answer to slices: the scan, and the attribution unless the scan is withheld."""
    sides, shape = ends(shown.convention), shown.image.shape[:2]
    scans, maps = [], []
    for k, number in enumerate(shown.slices):
        draw_scan, draw_map = (partial(draw, shown=shown, channel=k) for draw in (draw_slice, draw_attribution))
        scans.append(_panel(f"scan, slice {number}", sides, shape, draw_scan))
        maps.append(_panel(f"attribution, slice {number}", sides, shape, draw_map, _MAP))
    note = sides_note(shown.convention)
    seen = [Strip(scans, f"What the network sees of the scan. {note}.")]
    if shown.withheld:
        return seen
    return [
        *seen,
        Strip(maps, f"Attribution over the MNI template, placed as the scan lies; {_MAP_COLOURS}. {note}."),
    ]


def slab_strips(shown: SlabExplanation) -> list[Strip]:
    """Return the pictures of an answer to slabs: the scan, mean control, and the difference unless it is withheld."""
    sides, shape = ends(shown.convention), shown.scan.shape[1::-1]
    scans, controls, maps = list[Panel](), list[Panel](), list[Panel]()
    for k in range(shown.attribution.shape[2]):
        height = height_of(shown, k)
        for panels, what, values in ((scans, "scan", shown.scan), (controls, "controls", shown.control)):
            draw = partial(draw_uptake, values=values[:, :, k], shown=shown)
            panels.append(_panel(f"{what}, {height}", sides, shape, draw, _UPTAKE))
        draw_map = partial(draw_slab_attribution, shown=shown, slab=k)
        maps.append(_panel(f"difference, {height}", sides, shape, draw_map, _MAP, "black"))
    note = f"{sides_note(shown.convention)}; x and y are MNI millimetres"
    seen = [
        Strip(scans, f"The scan, slab by slab from below. {note}."),
        Strip(controls, f"The mean of {shown.n_controls} controls in the same slabs. {note}."),
    ]
    if shown.withheld:
        return seen
    return [
        *seen,
        Strip(maps, f"What makes the difference between the two, over the MNI template; {_MAP_COLOURS}. {note}."),
    ]


def head_strip(views: Sequence[HeadView], convention: Convention) -> Strip:
    """Return the planes of a head that could not be placed, with the outlines of where it should lie."""
    brightest = brightest_of(views)
    panels = [
        _panel(view.name, view.ends, view.image.shape, partial(draw_head_view, view=view, brightest=brightest))
        for view in views
    ]
    outlines = "blue: the outline of the template's head, orange: of its striata"
    return Strip(panels, f"Where registration put the scan; {outlines}. {sides_note(convention)}.")


def binding_panel(
    measures: Mapping[str, float], convention: Convention, against: AgainstControls | None = None
) -> Panel:
    """Return a row for each binding ratio: a dot, and the range of controls as a line, if there is one."""
    figure = Figure(figsize=(1.1 * _INCHES, 2.6), layout="constrained")
    axes = figure.add_subplot()
    sides = SIDES[::-1] if convention == "radiological" else SIDES
    rows = [(f"{region}, {side}", f"sbr_{region}_{side}", colour) for region in REGIONS for side, colour in sides]
    for place, (_, name, colour) in enumerate(rows):
        if against is not None:
            low, high = against.ratios[name].low, against.ratios[name].high
            axes.plot([low, high], [place, place], "|-", color="0.45", linewidth=2, markersize=12, markeredgewidth=2)
        axes.plot(measures[name], place, "o", color=colour, markersize=10, markeredgecolor="black")
    axes.set_yticks(range(len(rows)), [words for words, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.1)
    axes.set_xlim(left=min(0, axes.get_xlim()[0]))
    axes.set_xlabel("specific binding ratio", fontsize=_POINTS)
    axes.tick_params(labelsize=_POINTS)
    lines = "; lines: where 95 % of controls lie" if against is not None else ""
    return Panel(figure, f"Dots: binding ratios of caudate and putamen on the patient's right and left{lines}")


_MAP, _UPTAKE = "log odds per pixel", "times the brain's uptake"
"""What the colours of a panel mean, on the bar below it."""


def _panel(
    title: str,
    marks: tuple[str, str],
    shape: Sequence[int],
    draw: Callable[[Axes], Any],
    colours: str = "",
    mark_colour: str = "white",
) -> Panel:
    """Return a panel with a title, marks at both ends, and a bar of colours if they mean something.

    `shape`: rows and columns of the picture.
    """
    height = _INCHES * shape[0] / shape[1] + 0.35 + (_BAR_INCHES if colours else 0)
    figure = Figure(figsize=(_INCHES, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xticks=[], yticks=[])
    drawn = draw(axes)
    axes.tick_params(labelsize=_POINTS)
    axes.set_title(title, fontsize=_POINTS + 1)
    mark_ends(axes, marks, colour=mark_colour, points=_MARK_POINTS)
    for text in axes.texts:  # readable whatever is below
        text.set_path_effects([withStroke(linewidth=3, foreground="black" if mark_colour == "white" else "white")])
    if colours:
        bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.9, aspect=25, pad=0.02)
        bar.set_label(colours, fontsize=_POINTS)
        bar.ax.tick_params(labelsize=_POINTS)
        bar.ax.locator_params(nbins=5)
    left, right = (_ENDS[mark] for mark in marks)
    whose = "of the head" if "A" in marks else "the patient's"
    return Panel(figure, f"{title}; left in the picture: {whose} {left}, right: {right}")
