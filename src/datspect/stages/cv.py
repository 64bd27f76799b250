"""Stage `cv`: the paper's ten-fold cross-validation (Table 1), its heads as one stack or its networks fold by fold."""

import logging
from pathlib import Path
from typing import Any

from datspect.cohort.scope import Scope
from datspect.params.base import PARAMS_PATH
from datspect.running.launch import launch
from datspect.training import crossval
from datspect.training.execution import Places, execution
from datspect.training.out_of_fold import evaluate, write_models, write_reports

log = logging.getLogger("datspect.cv")


def main(
    images_folder: Path,
    features_folder: Path,
    backbone_folder: Path,
    splits_path: Path,
    models_folder: Path,
    reports_folder: Path,
    params_path: Path = PARAMS_PATH,
) -> None:
    """Train every fold; write models, history, out-of-fold predictions, Table 1 and metrics; then log them."""
    places = Places(
        images_folder, features_folder, backbone_folder, splits_path, models_folder, reports_folder, params_path
    )
    with execution("cv", places) as stage:
        params, data = stage.params, stage.data
        heads = crossval.cv_heads(data.splits["fold"].to_numpy(), params.classifier, params.training)
        fitted = stage.fit(heads)
        evaluation = evaluate(heads, fitted, data, stage.scope, stage.record["parameters_from"])
        folds = f"{len(heads)}-fold cross-validation"
        write_reports(evaluation, fitted, folds, stage.scope, params.training_is_on, reports_folder)
        models = write_models(fitted, stage.sources, params, models_folder)
        _say(evaluation.metrics)
        stage.finish(heads, fitted, models)


def _say(metrics: dict[str, Any]) -> None:
    out_of_fold, title = metrics["out_of_fold"], Scope.of(metrics).caption
    log.info("out of fold: accuracy %.4f, ROC AUC %.4f (%s)", out_of_fold["accuracy"], out_of_fold["roc_auc"], title)
    if "parameters_from" in metrics:
        log.info("%s", metrics["parameters_from"]["note"])


if __name__ == "__main__":
    launch(main, "models_folder", "reports_folder")
