"""Plots of training and of what came out: curves, ROC, precision-recall, misclassified images."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from datspect.evaluation.curves import mean_curves

_TRAIN_COLOUR, _VALIDATION_COLOUR, _GUIDE_COLOUR = "tab:blue", "tab:orange", "0.6"


def training_figure(history: pd.DataFrame, caption: str) -> Figure:
    """Loss, accuracy and learning rate by epoch: each head thin, the mean over heads thick.

    `history`: columns head, epoch, train_loss, train_accuracy, validation_loss, validation_accuracy, learning_rate.
    """
    figure = Figure(figsize=(13, 4), layout="constrained")
    figure.suptitle(caption, fontsize=11)
    loss, accuracy, rate = figure.subplots(1, 3)
    for axes, measure in ((loss, "loss"), (accuracy, "accuracy")):
        _draw_curves(axes, history, f"train_{measure}", _TRAIN_COLOUR, "training (augmented, with dropout)")
        _draw_curves(axes, history, f"validation_{measure}", _VALIDATION_COLOUR, "validation (clean)")
        axes.set(xlabel="epoch", ylabel=measure)
    loss.set_yscale("log")
    loss.legend(fontsize=8)
    mean = mean_curves(history)
    rate.plot(mean["epoch"], mean["learning_rate"], color="black")
    rate.set(xlabel="epoch", ylabel="learning rate", yscale="log")
    return figure


def roc_figure(points: pd.DataFrame, auc_text: str, caption: str) -> Figure:
    """ROC curve from a table of points, the chance line beneath."""
    figure, axes = _square(caption)
    axes.plot([0, 1], [0, 1], color=_GUIDE_COLOUR, linestyle="--", linewidth=1)
    axes.plot(points["false_positive_rate"], points["true_positive_rate"], color=_TRAIN_COLOUR)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity")
    axes.text(0.97, 0.05, auc_text, ha="right", transform=axes.transAxes)
    return figure


def pr_figure(points: pd.DataFrame, prevalence: float, auc_text: str, caption: str) -> Figure:
    """Precision-recall curve from a table of points, the share of PD as the line of chance."""
    figure, axes = _square(caption)
    axes.axhline(prevalence, color=_GUIDE_COLOUR, linestyle="--", linewidth=1)
    axes.plot(points["recall"], points["precision"], color=_TRAIN_COLOUR, drawstyle="steps-pre")
    axes.set(xlabel="recall (sensitivity)", ylabel="precision")
    axes.text(0.97, 0.05, auc_text, ha="right", transform=axes.transAxes)
    return figure


def misclassified_figure(images: NDArray[np.floating[Any]], titles: list[str], caption: str) -> Figure:
    """Each misclassified image as a row of its three slices, its title above.

    `images`: shape (N, H, W, 3) in [0, 1]; with N = 0 the page says that there is none.
    """
    figure = Figure(figsize=(9, 0.6 + 3.5 * max(len(images), 1)), layout="constrained")
    figure.suptitle(caption, fontsize=11)
    if len(images) == 0:
        figure.text(0.5, 0.4, "no subject was misclassified", ha="center")
        return figure
    grid = figure.subplots(len(images), images.shape[3], squeeze=False)
    for row, image, title in zip(grid, images, titles, strict=True):
        for channel, axes in enumerate(row):
            axes.imshow(image[:, :, channel], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
        row[len(row) // 2].set_title(title, fontsize=9)
    return figure


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
    axes.set_title(caption, fontsize=10)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
    return figure, axes
