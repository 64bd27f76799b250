"""Stage `final`: the paper's single model on the 80:20 split (Table 2), and a head per development fold beside it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datspect.arrays import BoolArray, FloatArray
from datspect.cohort.scope import Scope
from datspect.evaluation.calibration import log_odds
from datspect.evaluation.metrics import binary_metrics
from datspect.figures.convention import as_displayed, ends, mark_ends, sides_note
from datspect.figures.curves import misclassified_figure
from datspect.imaging.slabs import as_images
from datspect.io.arrays import read_array
from datspect.io.png import write_figure
from datspect.io.records import write_json
from datspect.io.tables import write_table
from datspect.modeling.ensemble import member_spread
from datspect.modeling.folding import folded
from datspect.modeling.heads import FittedHead, Head, build_head, logits
from datspect.modeling.model_files import read_model, write_model
from datspect.params.base import PARAMS_PATH, Sections, read_params
from datspect.params.figures import Convention, FiguresParams
from datspect.running.launch import launch
from datspect.training import crossval, results
from datspect.training.data import TrainingData
from datspect.training.execution import Places, execution
from datspect.training.fitting import WholeEnsembles, WholeModels
from datspect.training.fold_files import write_own_features
from datspect.training.record import saved_model

log = logging.getLogger("datspect.final")


class Read(Sections):
    """The sections that the stage reads beside those of training."""

    figures: FiguresParams


@dataclass(frozen=True)
class Evaluation:
    """What the trained heads say of the test set and, out of fold, of the training role; and the measures."""

    holdout: pd.DataFrame
    development: pd.DataFrame
    metrics: dict[str, Any]


def main(
    images_folder: Path,
    features_folder: Path,
    backbone_folder: Path,
    splits_path: Path,
    models_folder: Path,
    reports_folder: Path,
    params_path: Path = PARAMS_PATH,
) -> None:
    """Train on the training role, save the whole model, predict the test set with it once; then log everything."""
    places = Places(
        images_folder, features_folder, backbone_folder, splits_path, models_folder, reports_folder, params_path
    )
    with execution("final", places) as stage:
        params, data = stage.params, stage.data
        is_test = (data.splits["role"] == "test").to_numpy()
        heads = crossval.final_heads(is_test, data.splits["dev_fold"].to_numpy(), params.classifier, params.training)
        fitted = stage.fit(heads)
        of_slabs = params.model == "striatum"
        whole = WholeEnsembles(params) if of_slabs else WholeModels(stage.sources, params)
        models = _write_models(fitted, whole, params.classifier.dropout, models_folder)
        if of_slabs:
            seen = data.bank[0, is_test].astype(np.float32).reshape(-1, *whole.image_shape)
        else:
            seen = np.asarray(read_array(stage.sources.images, memory_mapped=True)[is_test])
        probabilities = _whole_model_probabilities(models_folder / "model.keras", seen)
        evaluation = evaluate(heads, fitted, data, stage.scope, is_test, probabilities, stage.record["parameters_from"])
        if of_slabs and params.striatum.members > 1:
            evaluation = with_spread(evaluation, spread_of(heads, fitted), is_test)
        convention = read_params(Read, params_path).figures.convention
        images = as_images(seen) if of_slabs else seen
        write_reports(evaluation, fitted, images, params.training_is_on, convention, reports_folder)
        _say(evaluation.metrics)
        stage.finish(heads, fitted, models)


def evaluate(
    heads: list[Head],
    fitted: list[FittedHead],
    data: TrainingData,
    scope: Scope,
    is_test: BoolArray,
    probabilities: FloatArray,
    parameters_from: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Compare the whole model's `probabilities` of the test set, shape (n_test,), and the development heads' own.

    `parameters_from`: what `record.origin_of_parameters` gives.
    """
    final_features = crossval.features_of(fitted[0], data.bank[0])
    from_features = crossval.probabilities(logits(fitted[0].weights, final_features[is_test]))
    difference = np.abs(from_features - probabilities)
    dev_scores = crossval.out_of_fold_logits(heads[1:], fitted[1:], data.bank[0])[~is_test]
    dev_probabilities = crossval.probabilities(dev_scores)
    metrics: dict[str, Any] = {
        **scope.record,
        "holdout": binary_metrics(data.targets[is_test], probabilities),
        "dev_out_of_fold": binary_metrics(data.targets[~is_test], dev_probabilities),
        "bank_difference_max": float(difference.max()),
        "bank_difference_median": float(np.median(difference)),
    }
    if parameters_from:
        metrics["parameters_from"] = parameters_from
    holdout, development = data.splits[is_test], data.splits[~is_test]
    return Evaluation(
        results.predictions_table(holdout, "role", log_odds(probabilities), probabilities.astype(np.float64)),
        results.predictions_table(development, "dev_fold", dev_scores, dev_probabilities),
        metrics,
    )


def spread_of(heads: list[Head], fitted: list[FittedHead]) -> FloatArray:
    """Return how far the members of the ensemble that judges each subject differ, shape (N,): out of fold, or final."""
    spread = member_spread(fitted[0])
    for head, development in zip(heads[1:], fitted[1:], strict=True):
        spread[head.validation_rows] = member_spread(development)[head.validation_rows]
    return spread


def with_spread(evaluation: Evaluation, spread: FloatArray, is_test: BoolArray) -> Evaluation:
    """Return an evaluation with the column `spread`, from shape (N,), in both tables."""
    return replace(
        evaluation,
        holdout=evaluation.holdout.assign(spread=spread[is_test]),
        development=evaluation.development.assign(spread=spread[~is_test]),
    )


def _write_models(
    fitted: list[FittedHead], whole: WholeModels | WholeEnsembles, dropout: float, folder: Path
) -> list[dict[str, Any]]:
    """Write model.keras, the whole final model, and the development heads; return the final model's entry.

    Development networks that were trained each by itself leave only their features, in features.npz: ten networks would
    make a predictor ten times as large and as slow.
    """
    write_model(folder / "model.keras", whole.build(fitted[0]))
    if fitted[0].features is None:
        for head in fitted[1:]:
            write_model(folder / f"{head.name}.keras", build_head(head.weights, dropout))
    else:
        write_own_features(folder, fitted)
    return [saved_model(folder / "model.keras", fitted[0].name, whole.image_shape)]


def _whole_model_probabilities(path: Path, images: FloatArray) -> FloatArray:
    """Return probabilities by the model that was saved and is read back, folded, float32, shape (N,)."""
    return np.asarray(folded(read_model(path)).predict(images, batch_size=64, verbose=0)[:, 0])


def write_reports(
    evaluation: Evaluation,
    fitted: list[FittedHead],
    images: FloatArray,
    training: str,
    convention: Convention,
    folder: Path,
) -> None:
    """Write everything but models and run.json.

    `images`: of the test set, shape (n_test, H, W, slices), first column the patient's left. `training` is for the
    legend of its curves; the pictures of heads follow `convention`.
    """
    metrics, title = evaluation.metrics, Scope.of(evaluation.metrics).caption
    results.write_curves(folder, crossval.history_table(fitted), f"final and development heads, {title}", training)
    results.write_evaluation(folder, evaluation.holdout, metrics["holdout"], f"holdout, {title}")
    table_2 = pd.Series(metrics["holdout"])
    write_table(folder / "table2.csv", table_2.rename_axis("measure").reset_index(name="value"))
    write_table(folder / "dev_predictions.csv", evaluation.development)
    _write_misclassified(images, evaluation.holdout, title, convention, folder)
    write_json(folder / "metrics.json", metrics)


def _write_misclassified(
    images: FloatArray, holdout: pd.DataFrame, title: str, convention: Convention, folder: Path
) -> None:
    """Draw the images on the wrong side of the threshold, with label and probability (the paper's Figure 2)."""
    wrong = (holdout["prediction"] != holdout["label"]).to_numpy()
    titles = [f"{row.scan_id}: {row.label}, P(PD) {row.probability:.3f}" for row in holdout[wrong].itertuples()]
    caption = f"misclassified in the holdout: {wrong.sum()} of {len(holdout)}, {title}\n{sides_note(convention)}"
    figure = misclassified_figure(as_displayed(images[wrong], convention, columns=2), titles, caption)
    for axes in figure.axes:
        mark_ends(axes, ends(convention), points=7)
    write_figure(folder / "misclassified.png", figure)


def _say(metrics: dict[str, Any]) -> None:
    development = metrics["dev_out_of_fold"]
    log.info(
        "out of fold on the training role of %d: accuracy %.4f, ROC AUC %.4f, loss %.4f; the bank's probabilities "
        "differ by at most %.4f (%s)",
        development["n"],
        development["accuracy"],
        development["roc_auc"],
        development["loss"],
        metrics["bank_difference_max"],
        Scope.of(metrics).caption,
    )
    if "parameters_from" in metrics and not metrics["parameters_from"]["same_split"]:
        log.info("%s", metrics["parameters_from"]["note"])


if __name__ == "__main__":
    launch(main, "models_folder", "reports_folder")
