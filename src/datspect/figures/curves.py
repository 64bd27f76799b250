"""Draw training and its results: curves, ROC, precision-recall, calibration, misclassified images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.curves import calibration_bins, mean_curves
from datspect.text import in_figure

_TRAIN_COLOUR, _VALIDATION_COLOUR, _GUIDE_COLOUR = "tab:blue", "tab:orange", "0.6"
_SUBJECTS_PER_ROW = 3
_MODEL_STYLES = (
    # Okabe and Ito's colours, which people with colour-blindness tell apart; dashes for print without colour.
    ("black", "-", 2.0),
    ("#D55E00", "-", 1.3),
    ("#0072B2", "--", 1.3),
    ("#009E73", "-.", 1.3),
    ("#CC79A7", (0, (5, 1, 1, 1, 1, 1)), 1.3),
    ("0.55", ":", 1.3),
    ("#E69F00", "--", 1.3),
    ("#56B4E9", "-.", 1.3),
    ("#882255", ":", 1.6),
)


@dataclass(frozen=True)
class ModelCurves:
    """A model's ROC and precision-recall curves, as `roc_points` and `pr_points` give them, and the areas below."""

    name: str
    roc: pd.DataFrame
    pr: pd.DataFrame
    roc_auc: float
    pr_auc: float


@dataclass(frozen=True)
class Forecast:
    """Labels (1 is PD) and probabilities of PD of the same subjects, both of shape (N,)."""

    labels: IntArray
    probabilities: FloatArray


def training_figure(history: pd.DataFrame, caption: str, training: str) -> Figure:
    """Draw loss, accuracy and learning rate by epoch: each head thin, the mean over heads thick.

    `history`: columns head, epoch, train_loss, train_accuracy, validation_loss, validation_accuracy, learning_rate.
    `training`: what the figures of training are of.
    """
    figure = Figure(figsize=(13, 4), layout="constrained")
    figure.suptitle(caption, fontsize=11)
    loss, accuracy, rate = figure.subplots(1, 3)
    for axes, measure in ((loss, "loss"), (accuracy, "accuracy")):
        _draw_curves(axes, history, f"train_{measure}", _TRAIN_COLOUR, f"training ({training})")
        _draw_curves(axes, history, f"validation_{measure}", _VALIDATION_COLOUR, "validation (clean)")
        axes.set(xlabel="epoch", ylabel=measure)
    loss.set_yscale("log")
    loss.legend(fontsize=8)
    mean = mean_curves(history)
    rate.plot(mean["epoch"], mean["learning_rate"], color="black")
    rate.set(xlabel="epoch", ylabel="learning rate", yscale="log")
    return figure


def roc_figure(points: pd.DataFrame, auc_text: str, caption: str) -> Figure:
    """Draw a ROC curve from a table of points, and the line of chance."""
    figure, axes = _square(caption)
    axes.plot([0, 1], [0, 1], color=_GUIDE_COLOUR, linestyle="--", linewidth=1)
    axes.plot(points["false_positive_rate"], points["true_positive_rate"], color=_TRAIN_COLOUR)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity")
    axes.text(0.97, 0.05, auc_text, ha="right", transform=axes.transAxes)
    return figure


def pr_figure(points: pd.DataFrame, prevalence: float, auc_text: str, caption: str) -> Figure:
    """Draw a precision-recall curve from a table of points; `prevalence`, the share of PD, is the line of chance."""
    figure, axes = _square(caption)
    axes.axhline(prevalence, color=_GUIDE_COLOUR, linestyle="--", linewidth=1)
    axes.plot(points["recall"], points["precision"], color=_TRAIN_COLOUR, drawstyle="steps-pre")
    axes.set(xlabel="recall (sensitivity)", ylabel="precision")
    axes.text(0.97, 0.05, auc_text, ha="right", transform=axes.transAxes)
    return figure


def comparison_figure(models: Sequence[ModelCurves], prevalence: float, caption: str) -> Figure:
    """Draw ROC (its upper left corner enlarged) and precision-recall curves of several models, areas in the legend.

    The first of `models` lies on top; `prevalence`, the share of PD, is the line of chance of the right plot.
    """
    figure = Figure(figsize=(10, 5.9), layout="constrained")
    figure.suptitle(caption, fontsize=11)
    left, right = figure.subplots(1, 2)
    corner = left.inset_axes((0.4, 0.1, 0.56, 0.56), xlim=(-0.005, 0.25), ylim=(0.75, 1.005))
    corner.tick_params(labelsize=7)
    left.indicate_inset_zoom(corner, edgecolor="0.7")
    for axes in (left, corner):
        axes.plot([0, 1], [0, 1], color=_GUIDE_COLOUR, linewidth=1)
    left.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), title="ROC")
    right.axhline(prevalence, color=_GUIDE_COLOUR, linewidth=1)
    # A handful of subjects below a tenth of the recall would decide the whole axis.
    lowest = min([prevalence, *(model.pr.loc[model.pr["recall"] >= 0.1, "precision"].min() for model in models)])
    right.set(xlabel="recall (sensitivity)", ylabel="precision", title="precision-recall")
    right.set(xlim=(-0.01, 1.01), ylim=(max(0.0, floor(10 * lowest - 0.5) / 10) - 0.005, 1.01))
    for index, model in reversed(list(enumerate(models))):
        colour, dashes, width = _MODEL_STYLES[index % len(_MODEL_STYLES)]
        style = {"color": colour, "linestyle": dashes, "linewidth": width}
        for axes in (left, corner):
            axes.plot(model.roc["false_positive_rate"], model.roc["true_positive_rate"], **style)
        label = f"{model.name}: ROC AUC {model.roc_auc:.4f}, PR AUC {model.pr_auc:.4f}"
        right.plot(model.pr["recall"], model.pr["precision"], drawstyle="steps-pre", label=label, **style)
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=2, fontsize=8)
    return figure


def calibration_figure(forecasts: Mapping[str, Forecast], caption: str) -> Figure:
    """Draw for each named set the share of PD in bins against the mean probability, and a histogram of probabilities.

    Bins are those of `calibration_bins`, bars are Wilson's 95 % intervals.
    """
    figure = Figure(figsize=(5 * len(forecasts), 6.6), layout="constrained")
    figure.suptitle(caption, fontsize=11)
    grid = figure.subplots(2, len(forecasts), squeeze=False, height_ratios=(2.6, 1), sharex=True)
    for (reliability, counts), (name, forecast) in zip(grid.T, forecasts.items(), strict=True):
        _draw_reliability(reliability, calibration_bins(forecast.labels, forecast.probabilities))
        reliability.set_title(f"{name}, n = {len(forecast.labels)}", fontsize=10)
        _draw_probabilities(counts, forecast)
    grid[0, 0].legend(fontsize=8, loc="upper left")
    grid[1, 0].legend(fontsize=8, loc="upper center")
    return figure


def misclassified_figure(images: FloatArray, titles: list[str], caption: str) -> Figure:
    """Draw the slices of each misclassified image side by side, its title above, several subjects in a row.

    Beside three slices stands their composite, red, green and blue, as in the paper's Figure 2.
    `images`: shape (N, H, W, slices) in [0, 1]; with N = 0 the page says that nobody was misclassified.
    """
    n_rows = ceil(len(images) / _SUBJECTS_PER_ROW)
    figure = Figure(figsize=(10, 0.5 + 1.5 * max(n_rows, 1)), layout="constrained")
    figure.suptitle(caption, fontsize=11)
    if len(images) == 0:
        figure.text(0.5, 0.4, "no subject was misclassified", ha="center")
        return figure
    blocks = figure.subfigures(n_rows, _SUBJECTS_PER_ROW, squeeze=False, wspace=0.02).ravel()
    for block, image, title in zip(blocks, images, titles, strict=False):  # the last row may have room left
        block.suptitle(in_figure(title), fontsize=8)
        pictures = [*np.moveaxis(image, 2, 0), *([image] if image.shape[2] == 3 else [])]
        for picture, axes in zip(pictures, block.subplots(1, len(pictures)), strict=True):
            axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
    return figure


def _draw_reliability(axes: Axes, bins: pd.DataFrame) -> None:
    share = bins["pd_fraction"]
    bars = [share - bins["pd_fraction_low"], bins["pd_fraction_high"] - share]
    axes.plot([0, 1], [0, 1], color=_GUIDE_COLOUR, linestyle="--", linewidth=1, label="perfect calibration")
    label = f"{len(bins)} bins of equal size"
    axes.errorbar(bins["mean_probability"], share, bars, fmt="o", color="black", markersize=4, capsize=2, label=label)
    axes.set(ylabel="share of PD", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def _draw_probabilities(axes: Axes, forecast: Forecast) -> None:
    edges = np.linspace(0, 1, 21).tolist()
    for label, name, colour in ((1, "PD", "#D55E00"), (0, "control", "#0072B2")):
        axes.hist(forecast.probabilities[forecast.labels == label], edges, histtype="step", color=colour, label=name)
    axes.set(xlabel="probability of PD", ylabel="subjects", yscale="log", ylim=(0.7, None))


def _draw_curves(axes: Axes, history: pd.DataFrame, column: str, colour: str, label: str) -> None:
    if history[column].isna().all():
        return
    for _, curves in history.groupby("head"):
        axes.plot(curves["epoch"], curves[column], color=colour, linewidth=0.5, alpha=0.35)
    mean = mean_curves(history)
    axes.plot(mean["epoch"], mean[column], color=colour, linewidth=1.8, label=label)


def _square(caption: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_title(caption.replace("; ", "\n"), fontsize=10)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
    return figure, axes
