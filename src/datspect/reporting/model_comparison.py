"""Draw the figures that only the report has: all models in one picture, and calibration."""

import pandas as pd
from matplotlib.figure import Figure

from datspect.cohort.table import targets
from datspect.evaluation.curves import pr_points, roc_points
from datspect.figures.curves import Forecast, ModelCurves, calibration_figure, comparison_figure
from datspect.reporting.inputs import HeldOut, Inputs, JsonObject
from datspect.reporting.paper_tables import baseline_name, ordered_baselines


def report_figures(inputs: Inputs) -> dict[str, Figure]:
    """Return figures by file name without ending."""
    title, baselines = inputs.scope.caption, inputs.baseline_metrics
    return {
        "models_out_of_fold": _comparison(
            inputs.out_of_fold, inputs.cv_metrics["out_of_fold"], baselines["out_of_fold"], f"out of fold, {title}"
        ),
        "models_holdout": _comparison(
            inputs.holdout, inputs.final_metrics["holdout"], baselines["holdout"], f"holdout, {title}"
        ),
        "calibration": calibration_figure(
            {"out of fold": _forecast(inputs.out_of_fold), "holdout": _forecast(inputs.holdout)},
            f"calibration, {title}",
        ),
    }


def _comparison(evaluated: HeldOut, network: JsonObject, baselines: JsonObject, caption: str) -> Figure:
    models = [_curves("network", evaluated.network, "probability", network)]
    for key in ordered_baselines([*baselines]):
        rows = evaluated.baselines[evaluated.baselines["baseline"] == key]
        models.append(_curves(baseline_name(key), rows, "score", baselines[key]))
    return comparison_figure(models, float(targets(evaluated.network["label"]).mean()), caption)


def _curves(name: str, predictions: pd.DataFrame, column: str, metrics: JsonObject) -> ModelCurves:
    labels, scores = targets(predictions["label"]), predictions[column].to_numpy()
    roc, pr = roc_points(labels, scores), pr_points(labels, scores)
    return ModelCurves(name, roc, pr, metrics["roc_auc"], metrics["pr_auc"])


def _forecast(evaluated: HeldOut) -> Forecast:
    return Forecast(targets(evaluated.network["label"]), evaluated.network["probability"].to_numpy())
