"""Draw how two experiments differ: paired differences with their intervals, and both ROC curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datspect.text import in_figure

_STYLES = (("black", "-"), ("#D55E00", "--"))
_SET_STYLES = (("black", "o"), ("#0072B2", "s"), ("#D55E00", "D"))
_PROPORTIONS = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "roc_auc": "ROC AUC",
}


@dataclass(frozen=True)
class PairedSet:
    """A set of N subjects that both have judged.

    differences : A minus B, keys `accuracy_difference` and so on, with bounds; roc : points of A and of B, as
    `roc_points` gives them
    """

    title: str
    n: int
    differences: Mapping[str, float]
    roc: tuple[pd.DataFrame, pd.DataFrame]


def difference_figure(sets: Sequence[PairedSet], names: tuple[str, str], caption: str) -> Figure:
    """Draw the differences above, the log loss on an axis of its own, and the ROC curves of each set below."""
    figure = Figure(figsize=(max(9.0, 4.4 * len(sets)), 8.6), layout="constrained")
    figure.suptitle(f"{caption}\nA: {in_figure(names[0])}    B: {in_figure(names[1])}", fontsize=11)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 1.35))[:, 0]
    proportions, loss = above.subplots(1, 2, width_ratios=(3, 2))
    _draw_differences(proportions, sets, _PROPORTIONS, "A minus B (right of 0: A is better)")
    _draw_differences(loss, sets, {"loss": "log loss"}, "A minus B (left of 0: A is better)")
    above.legend(*proportions.get_legend_handles_labels(), loc="outside lower center", ncols=len(sets), fontsize=8)
    for axes, paired in zip(below.subplots(1, len(sets), squeeze=False)[0], sets, strict=True):
        _draw_roc(axes, paired)
    return figure


def _draw_differences(axes: Axes, sets: Sequence[PairedSet], measures: Mapping[str, str], xlabel: str) -> None:
    axes.axvline(0, color="0.6", linewidth=1)
    for number, (paired, (colour, marker)) in enumerate(zip(sets, _SET_STYLES, strict=False)):
        shift = 0.18 * (number - (len(sets) - 1) / 2)
        label = f"{paired.title}, n = {paired.n}"
        for row, measure in enumerate(measures):
            key = f"{measure}_difference"
            value, low, high = (paired.differences[f"{key}{end}"] for end in ("", "_low", "_high"))
            # An interval of exact or bootstrap bounds may lie beside its estimate.
            bars = [[max(0.0, value - low)], [max(0.0, high - value)]]
            axes.errorbar([value], [row + shift], xerr=bars, fmt=marker, color=colour, capsize=3, label=label)
            label = ""  # one line in the legend
    axes.set(xlabel=xlabel, yticks=range(len(measures)), yticklabels=list(measures.values()))
    axes.set_ylim(len(measures) - 0.5, -0.5)
    axes.locator_params(axis="x", nbins=6 if len(measures) > 1 else 4)
    axes.set_title("paired differences, 95 % intervals", fontsize=10)


def _draw_roc(axes: Axes, paired: PairedSet) -> None:
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    corner = axes.inset_axes((0.35, 0.25, 0.6, 0.6), xlim=(-0.005, 0.25), ylim=(0.75, 1.005))
    corner.tick_params(labelsize=7)
    for name, points, (colour, dashes) in zip("AB", paired.roc, _STYLES, strict=True):
        for one in (axes, corner):
            one.plot(points["false_positive_rate"], points["true_positive_rate"], dashes, color=colour, label=name)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_title(f"ROC, {paired.title}, n = {paired.n}", fontsize=10)
    axes.indicate_inset_zoom(corner, edgecolor="0.7")
    axes.legend(loc="lower right", ncols=2, fontsize=8)
