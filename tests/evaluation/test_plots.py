"""Figures say what they show."""

import numpy as np
import pandas as pd

from datspect.evaluation.plots import misclassified_figure, pr_figure, roc_figure, training_figure


def history(n_heads: int = 2) -> pd.DataFrame:
    epochs = np.arange(1, 6)
    curves = dict.fromkeys(("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"), 1.0 / epochs)
    tables = [pd.DataFrame({"head": f"h{k}", "epoch": epochs, **curves, "learning_rate": 1e-3}) for k in range(n_heads)]
    return pd.concat(tables)


def test_training_shows_every_head_and_the_mean_of_both_sets() -> None:
    figure = training_figure(history(), "PHANTOM")
    loss = figure.axes[0]
    assert len(loss.get_lines()) == 2 * (2 + 1)
    assert figure.get_suptitle() == "PHANTOM"


def test_a_head_without_validation_draws_no_validation_curve() -> None:
    table = history(1)
    table[["validation_loss", "validation_accuracy"]] = np.nan
    assert len(training_figure(table, "").axes[0].get_lines()) == 2


def test_roc_and_pr_carry_their_area_and_chance_line() -> None:
    roc = pd.DataFrame({"false_positive_rate": [0, 0, 1], "true_positive_rate": [0, 1, 1]})
    axes = roc_figure(roc, "ROC AUC 1.0000", "PHANTOM").axes[0]
    assert axes.texts[0].get_text() == "ROC AUC 1.0000"
    assert len(axes.get_lines()) == 2
    pr = pd.DataFrame({"recall": [0, 1], "precision": [1, 1]})
    chance = pr_figure(pr, 0.68, "PR AUC 1.0000", "PHANTOM").axes[0].get_lines()[0]
    assert list(np.asarray(chance.get_ydata())) == [0.68, 0.68]


def test_misclassified_images_have_three_slices_each_or_a_word() -> None:
    figure = misclassified_figure(np.zeros((2, 10, 8, 3)), ["S1: pd, P(PD) 0.1", "S2: control, P(PD) 0.9"], "PHANTOM")
    assert len(figure.axes) == 6
    assert figure.axes[4].get_title() == "S2: control, P(PD) 0.9"
    empty = misclassified_figure(np.zeros((0, 10, 8, 3)), [], "PHANTOM")
    assert "no subject" in empty.texts[0].get_text() or "no subject" in empty.texts[-1].get_text()
