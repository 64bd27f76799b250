"""Whether boosted trees read the binding ratios better than the regression that the network is held against.

    python benchmarks/boosting.py [--root .] [--quick] [--json FILE] [--into PAGE]

Needs the results of stages preprocess and split. Trees and regression see the same columns and the same folds; no
setting is chosen by its result, so a tree that wins must win as set. About half a minute on one core.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.ensemble import HistGradientBoostingClassifier

from datspect.arrays import FloatArray, IntArray
from datspect.cohort.kind import CohortKind
from datspect.cohort.table import targets
from datspect.evaluation.baselines import (
    Baseline,
    Fit,
    Fitted,
    age_sex_columns,
    fold_parts,
    held_out_predictions,
    logistic_regression,
    ordered_sides,
)
from datspect.evaluation.comparison import Predictions, compare_out_of_fold
from datspect.evaluation.metrics import log_losses, predicted_labels, roc_areas
from datspect.io.records import read_json
from datspect.io.tables import read_table
from datspect.params.base import Sections, read_params
from datspect.params.judging import BaselinesParams
from datspect.reporting.markdown import markdown_table
from datspect.reporting.paper_tables import with_interval
from measuring import page_parser, publish

SEED = 2019
TREES: Mapping[str, dict[str, Any]] = {
    "60 trees of 4 leaves, rate 0.05": {"max_iter": 60, "max_leaf_nodes": 4, "learning_rate": 0.05},
    "100 trees of 4 leaves, rate 0.05": {"max_iter": 100, "max_leaf_nodes": 4, "learning_rate": 0.05},
    "60 trees of depth 2, rate 0.1": {"max_iter": 60, "max_depth": 2, "learning_rate": 0.1},
    "150 trees of 8 leaves, rate 0.03": {"max_iter": 150, "max_leaf_nodes": 8, "learning_rate": 0.03},
}
_IDS = ["scan_id"]


class Read(Sections):
    """The section of the regression's ridge."""

    baselines: BaselinesParams


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="working tree with data/ and params.yaml")
    arguments = parser.parse_args()
    root = arguments.root
    splits = read_table(root / "data/splits.csv", [*_IDS, "label", "fold"])
    quality, subjects = (_in_order(root / f"data/images/{name}.csv", splits) for name in ("quality", "subjects"))
    ratios = ordered_sides(quality, "sbr_")
    columns = {"ratios": ratios, "ratios, age, sex": np.column_stack([ratios, age_sex_columns(subjects)])}
    regression = logistic_regression(read_params(Read, root / "params.yaml").baselines.logistic_c)
    trees = dict(list(TREES.items())[: 1 if arguments.quick else None])
    labels, folds = targets(splits["label"]), splits["fold"].to_numpy()
    found = {seen: compared(labels, folds, of_all, regression, trees) for seen, of_all in columns.items()}
    rows = [["columns", "model", "accuracy", "ROC AUC", "log loss", "log loss, trees minus regression"]]
    rows += [[seen, model, *cells(values)] for seen, models in found.items() for model, values in models.items()]
    caption = CohortKind.of(read_json(root / "data/images/cohort.json")["kind"]).caption
    publish(arguments, [f"Out of fold, {len(labels)} subjects, {caption}:", markdown_table(rows, 2)], found)


def compared(
    labels: IntArray, folds: IntArray, columns: FloatArray, regression: Fit, trees: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, float]]:
    """Return what regression and trees measure on the same columns, shape (N, F), and the trees' paired differences."""
    reader = said(columns, regression, labels, folds)
    result = {"regression": measures(labels, reader)}
    for name, settings in trees.items():
        found = said(columns, boosted_trees(settings), labels, folds)
        result[name] = measures(labels, found) | compare_out_of_fold(labels, found, reader)
    return result


def said(columns: FloatArray, fit: Fit, labels: IntArray, folds: IntArray) -> Predictions:
    return held_out_predictions(Baseline("reader", columns, fit), labels, fold_parts(folds))


def boosted_trees(settings: Mapping[str, Any]) -> Fit:
    def fit(columns: FloatArray, labels: IntArray) -> Fitted:
        model = HistGradientBoostingClassifier(random_state=SEED, **settings).fit(columns, labels)

        def fitted(columns: FloatArray) -> Predictions:
            probabilities = model.predict_proba(columns)[:, 1]
            return Predictions(predicted_labels(probabilities), logit(probabilities), probabilities)

        return fitted

    return fit


def measures(labels: IntArray, found: Predictions) -> dict[str, float]:
    everybody = np.ones((1, len(labels)), np.int64)
    return {
        "accuracy": float((found.predictions == labels).mean()),
        "roc_auc": float(roc_areas(labels, found.scores, everybody)[0]),
        "loss": float(log_losses(labels, expit(found.scores)).mean()),
    }


def cells(values: Mapping[str, float]) -> list[str]:
    shown = [f"{values[name]:.4f}" for name in ("accuracy", "roc_auc", "loss")]
    return [*shown, with_interval(values, "loss_difference", signed=True)]


def _in_order(path: Path, splits: pd.DataFrame) -> pd.DataFrame:
    return splits[_IDS].merge(read_table(path, _IDS), on="scan_id", validate="one_to_one")


if __name__ == "__main__":
    main()
