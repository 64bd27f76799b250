"""Figures say what they show."""

import numpy as np
import pandas as pd

from datspect.evaluation.curves import calibration_bins, pr_points, roc_points
from datspect.figures.curves import (
    Forecast,
    ModelCurves,
    calibration_figure,
    comparison_figure,
    misclassified_figure,
    pr_figure,
    roc_figure,
    training_figure,
)


def history(n_heads: int = 2) -> pd.DataFrame:
    epochs = np.arange(1, 6)
    curves = dict.fromkeys(("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"), 1.0 / epochs)
    tables = [pd.DataFrame({"head": f"h{k}", "epoch": epochs, **curves, "learning_rate": 1e-3}) for k in range(n_heads)]
    return pd.concat(tables)


def test_training_shows_every_head_and_the_mean_of_both_sets() -> None:
    figure = training_figure(history(), "PHANTOM", "altered views")
    loss = figure.axes[0]
    assert len(loss.get_lines()) == 2 * (2 + 1)
    assert figure.get_suptitle() == "PHANTOM"


def test_a_head_without_validation_draws_no_validation_curve() -> None:
    table = history(1)
    table[["validation_loss", "validation_accuracy"]] = np.nan
    assert len(training_figure(table, "", "").axes[0].get_lines()) == 2


def test_roc_and_pr_carry_their_area_and_chance_line() -> None:
    roc = pd.DataFrame({"false_positive_rate": [0, 0, 1], "true_positive_rate": [0, 1, 1]})
    axes = roc_figure(roc, "ROC AUC 1.0000", "PHANTOM").axes[0]
    assert axes.texts[0].get_text() == "ROC AUC 1.0000"
    assert len(axes.get_lines()) == 2
    pr = pd.DataFrame({"recall": [0, 1], "precision": [1, 1]})
    chance = pr_figure(pr, 0.68, "PR AUC 1.0000", "PHANTOM").axes[0].get_lines()[0]
    assert list(np.asarray(chance.get_ydata())) == [0.68, 0.68]


def test_misclassified_images_have_three_slices_each_or_a_word() -> None:
    images = np.linspace(0, 1, 4 * 9).reshape(4, 3, 1, 3)
    titles = [f"S{number}: pd, P(PD) 0.1" for number in range(4)]
    figure = misclassified_figure(images, titles, "PHANTOM")
    assert figure.get_suptitle() == "PHANTOM"
    blocks = [block for block in figure.subfigs if block.axes]
    assert [block.get_suptitle() for block in blocks] == titles
    for block, image in zip(blocks, images, strict=True):
        *slices, composite = (axes.images[0].get_array() for axes in block.axes)
        np.testing.assert_array_equal(np.stack(slices, axis=-1), image)
        np.testing.assert_array_equal(composite, image)
    empty = misclassified_figure(np.zeros((0, 10, 8, 3)), [], "PHANTOM")
    assert [text.get_text() for text in empty.texts if "no subject" in text.get_text()]


def curves(name: str, scores: list[float], auc: float) -> ModelCurves:
    labels = np.array([1, 1, 0, 0])
    return ModelCurves(name, roc_points(labels, np.array(scores)), pr_points(labels, np.array(scores)), auc, auc)


def test_models_share_the_axes_and_the_first_lies_on_top() -> None:
    models = [curves("network", [0.9, 0.8, 0.2, 0.1], 1.0), curves("rival", [0.9, 0.1, 0.2, 0.05], 0.75)]
    figure = comparison_figure(models, 0.5, "PHANTOM")
    roc, pr = figure.axes[:2]
    assert [line.get_label() for line in pr.get_lines()[-2:]] == [
        "rival: ROC AUC 0.7500, PR AUC 0.7500",
        "network: ROC AUC 1.0000, PR AUC 1.0000",
    ]
    assert [text.get_text().split(":")[0] for text in figure.legends[0].get_texts()] == ["network", "rival"]
    assert list(np.asarray(roc.get_lines()[-1].get_ydata())) == models[0].roc["true_positive_rate"].tolist()
    assert list(np.asarray(pr.get_lines()[0].get_ydata())) == [0.5, 0.5]
    low, high = pr.get_ylim()
    assert low <= min(model.pr["precision"].min() for model in models)
    assert high > 1


def test_calibration_draws_the_bins_and_counts_everybody(rng: np.random.Generator) -> None:
    probabilities = rng.random(200)
    labels = (rng.random(200) < probabilities).astype(np.int64)
    figure = calibration_figure({"out of fold": Forecast(labels, probabilities)}, "PHANTOM")
    reliability, counts = figure.axes
    assert reliability.get_title() == "out of fold, n = 200"
    bins = calibration_bins(labels, probabilities)
    points = reliability.containers[0].lines[0]
    assert np.asarray(points.get_xdata()).tolist() == bins["mean_probability"].tolist()
    assert np.asarray(points.get_ydata()).tolist() == bins["pd_fraction"].tolist()
    bars = np.array([segment[:, 1] for segment in reliability.containers[0].lines[2][0].get_segments()])
    np.testing.assert_allclose(bars, bins[["pd_fraction_low", "pd_fraction_high"]])
    assert [text.get_text() for text in counts.get_legend().get_texts()] == ["PD", "control"]
    drawn = [patch.get_xy()[1:-1:2, 1].sum() for patch in counts.patches]
    assert drawn == [labels.sum(), 200 - labels.sum()]
