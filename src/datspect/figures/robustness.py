"""Draw the panel: what each alteration does to the network, and beside it to the binding ratios."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from datspect.text import in_figure

Measures = Mapping[str, Any]

# Okabe and Ito's colours and a marker of its own for each, which people with colour-blindness tell apart.
_JUDGES = {
    "network": ("black", "o", "network"),
    "regression": ("#0072B2", "^", "regression on SBRs"),
    "threshold": ("#D55E00", "s", "one threshold on the worse putamen"),
}
_SILENT = {
    "inconclusive": ("#E69F00", "inconclusive"),
    "withheld": ("#56B4E9", "withheld"),
    "refused": ("0.2", "refused"),
}
_SIZES = (3.0, 4.5, 6.5)
_BELOW, _ASIDE = 0.2, 0.4


@dataclass(frozen=True)
class Line:
    """An alteration: its title, and the measures of its rows from the weakest to the strongest."""

    title: str
    rows: Sequence[Measures]


def robustness_figure(unaltered: Measures, lines: Sequence[Line], caption: str) -> Figure:
    """Draw accuracy, log loss and the shares without a firm answer: a line for the scans as they are, and for each.

    Measures are those of `panel_measures`. Of the network all strengths are shown, the strongest with its interval; of
    the others the strongest.
    """
    everything = [Line("unaltered", [unaltered]), *lines]
    figure = Figure(figsize=(13, 1.9 + 0.42 * len(everything)), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08))
    figure.suptitle(in_figure(caption), fontsize=11)
    accuracy, loss, silent = figure.subplots(1, 3, sharey=True, width_ratios=(1, 1, 0.8))
    _draw(accuracy, everything, "accuracy", ("network", "regression", "threshold"))
    _draw(loss, everything, "loss", ("network", "regression"))
    _draw_silent(silent, everything)
    accuracy.set(xlabel="accuracy (95 % interval)", yticks=range(len(everything)))
    accuracy.set_yticklabels([line.title for line in everything])
    accuracy.set_ylim(len(everything) - 0.4, -0.6)
    loss.set(xlabel="log loss (95 % interval)")
    loss.set_xlim(left=0)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=4, fontsize=9)
    return figure


def _draw(axes: Axes, lines: Sequence[Line], measure: str, judges: Sequence[str]) -> None:
    before = lines[0].rows[0]["network"].get(measure)
    if before is not None:
        axes.axvline(before, color="0.6", linewidth=1, zorder=0)
    for place, line in enumerate(lines):
        for judge in judges:
            colour, marker, _ = _JUDGES[judge]
            shift = {"network": -_BELOW, "regression": 0.08, "threshold": 0.28}[judge]
            rows = [row[judge] for row in line.rows if measure in row[judge]]
            if not rows:
                continue
            last = rows[-1]
            axes.plot(
                [last[f"{measure}_low"], last[f"{measure}_high"]],
                [place + shift] * 2,
                color=colour,
                linewidth=1,
                zorder=1,
            )
            shown = rows if judge == "network" else rows[-1:]
            for row, size in zip(shown, _SIZES[-len(shown) :], strict=True):
                face = colour if row is last else "white"
                axes.plot(
                    row[measure], place + shift, marker, color=colour, mfc=face, ms=size if judge == "network" else 4.5
                )
    _stripe(axes, len(lines))


def _draw_silent(axes: Axes, lines: Sequence[Line]) -> None:
    for place, line in enumerate(lines):
        last, left = line.rows[-1], 0.0
        for name, (colour, _) in _SILENT.items():
            axes.barh(place, last[name], _ASIDE, left=left, color=colour, edgecolor="black", linewidth=0.5)
            left += last[name]
    axes.set(xlabel="share without a firm answer", xlim=(0, 1))
    _stripe(axes, len(lines))


def _stripe(axes: Axes, n: int) -> None:
    for place in range(0, n, 2):
        axes.axhspan(place - 0.5, place + 0.5, color="0.95", zorder=-1)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _legend() -> list[Line2D]:
    judges = [
        Line2D([], [], color=colour, marker=marker, linewidth=1, label=name)
        for colour, marker, name in _JUDGES.values()
    ]
    weaker = Line2D(
        [], [], color="black", marker="o", mfc="white", linestyle="", ms=4, label="network, weaker alterations"
    )
    shares = [
        Line2D([], [], color=colour, marker="s", mec="black", linestyle="", ms=8, label=name)
        for colour, name in _SILENT.values()
    ]
    return [*judges, weaker, *shares]
