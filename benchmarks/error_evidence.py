"""What tells the network's wrong answers: shares found when those most in doubt are set aside, out of fold.

    python benchmarks/error_evidence.py [--root .] [--json FILE] [--into PAGE]

Needs the results of stages preprocess, split, features and final, with the network's base frozen: the development heads
read the clean images and the augmented ones of subjects that they have not seen. A minute on one core.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.cohort.kind import CohortKind
from datspect.cohort.table import targets
from datspect.evaluation.baselines import SBR, ordered_sides
from datspect.evaluation.calibration import fit_calibration
from datspect.evaluation.doubt import SET_ASIDE, Reading, share_found
from datspect.evaluation.intervals import wilson_interval, with_bounds
from datspect.evaluation.regression import fit_regression
from datspect.evaluation.typicality import fit_typicality, held_out_distances
from datspect.io.arrays import read_array
from datspect.io.records import read_json
from datspect.io.tables import read_table
from datspect.modeling.heads import head_weights, logits
from datspect.modeling.model_files import read_model
from datspect.params.base import Sections, read_params
from datspect.params.judging import PredictionParams
from datspect.reporting.markdown import markdown_table
from datspect.reporting.paper_tables import with_interval
from measuring import page_parser, publish

_IDS = ["scan_id"]


class Read(Sections):
    """The section of the predictor's rules."""

    prediction: PredictionParams


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="working tree with data/, models/ and params.yaml")
    arguments = parser.parse_args()
    root, params = arguments.root, read_params(Read, arguments.root / "params.yaml").prediction
    splits = read_table(root / "data/splits.csv", [*_IDS, "label", "role", "dev_fold"])
    is_train = (splits["role"] == "train").to_numpy()
    splits = splits[is_train]
    labels, folds = targets(splits["label"]), splits["dev_fold"].to_numpy()
    answers = out_of_fold_logits(root, folds, is_train)
    ratios = ordered_sides(_in_order(root / "data/images/quality.csv", splits), SBR)
    features = np.asarray(read_array(root / "data/features/bank.npy", memory_mapped=True)[0, is_train], np.float32)
    reading = read_out_of_fold(labels, folds, answers[0], ratios, params.ratio_c)
    columns = evidence(reading, answers, distances(features, folds, params))
    wrong = reading.wrong(labels)
    found = {name: found_by(wrong, doubts) for name, doubts in doubted(columns, wrong, folds).items()}
    rows = [["evidence", *(f"wrong answers found with {100 * share:g} % set aside (95 %)" for share in SET_ASIDE)]]
    names = [f"at_{100 * share:g}" for share in SET_ASIDE]
    rows += [[what, *(with_interval(values, name) for name in names)] for what, values in found.items()]
    caption = CohortKind.of(read_json(root / "data/images/cohort.json")["kind"]).caption
    head = f"Out of fold, {len(labels)} subjects, {int(wrong.sum())} wrong answers, {caption}:"
    publish(arguments, [head, markdown_table(rows)], found)


def out_of_fold_logits(root: Path, folds: IntArray, is_train: BoolArray) -> FloatArray:
    """Return log odds of the clean and the augmented images by heads that have not seen the subject, (draws + 1, N)."""
    bank = read_array(root / "data/features/bank.npy", memory_mapped=True)
    heads = [head_weights(read_model(path)) for path in sorted((root / "models/final").glob("dev-*.keras"))]
    found = np.empty((len(bank), len(folds)))
    for draw, of_all in enumerate(bank):
        features = np.asarray(of_all[is_train], np.float32)
        for fold, head in zip(np.unique(folds), heads, strict=True):
            found[draw, folds == fold] = logits(head, features[folds == fold])
    return found


def read_out_of_fold(labels: IntArray, folds: IntArray, answers: FloatArray, ratios: FloatArray, c: float) -> Reading:
    """Return calibrated log odds and those of the regression on ratios, each fitted on the other folds."""
    network, by_ratios = np.empty(len(labels)), np.empty(len(labels))
    for fold in np.unique(folds):
        held_out = folds == fold
        network[held_out] = fit_calibration(labels[~held_out], answers[~held_out]).log_odds(answers[held_out])
        by_ratios[held_out] = fit_regression(ratios[~held_out], labels[~held_out], c).log_odds(ratios[held_out])
    return Reading(network, by_ratios)


def distances(features: FloatArray, folds: IntArray, params: PredictionParams) -> FloatArray:
    """Return each subject's distance from the features of the other folds, shape (N,)."""
    found = np.empty(len(folds))
    for fold in np.unique(folds):
        held_out = folds == fold
        known, n_directions = features[~held_out], params.typical_directions
        distances = held_out_distances(known, folds[~held_out], n_directions=n_directions)
        described = fit_typicality(known, distances, n_directions=n_directions, share=params.typical_share)
        found[held_out] = described.distances(features[held_out])
    return found


def evidence(reading: Reading, answers: FloatArray, distance: FloatArray) -> dict[str, FloatArray]:
    """Return what might tell a wrong answer, each of shape (N,), higher where there is more doubt."""
    margin, support = reading.evidence.T
    side = np.where(reading.network >= 0, 1, -1)
    return {
        "margin": -margin,
        "support": -support,
        "difference of the probabilities": np.abs(expit(reading.network) - expit(reading.ratios)),
        "mean answer over augmentation draws": -side * answers[1:].mean(axis=0),
        "spread over augmentation draws": answers[1:].std(axis=0),
        "distance of the features": distance,
    }


def doubted(columns: Mapping[str, FloatArray], wrong: BoolArray, folds: IntArray) -> dict[str, FloatArray]:
    """Return all evidence alone, and small models of it fitted on the other folds."""
    mean, spread = (f"{what} over augmentation draws" for what in ("mean answer", "spread"))
    models = {
        "model of margin and support": ("margin", "support"),
        "the same and both of the draws": ("margin", "support", mean, spread),
        "the same and the distance of the features": ("margin", "support", "distance of the features"),
    }
    fitted = {name: modelled([columns[one] for one in seen], wrong, folds) for name, seen in models.items()}
    return dict(columns) | fitted


def modelled(columns: Sequence[FloatArray], wrong: BoolArray, folds: IntArray) -> FloatArray:
    """Return log odds of being wrong by a logistic regression on the other folds, shape (N,)."""
    together, found = np.column_stack(columns), np.empty(len(wrong))
    for fold in np.unique(folds):
        held_out = folds == fold
        found[held_out] = fit_regression(together[~held_out], wrong[~held_out], 1.0).log_odds(together[held_out])
    return found


def found_by(wrong: BoolArray, doubts: FloatArray) -> dict[str, Any]:
    """Return the shares of wrong answers found at the shares `SET_ASIDE`, with 95 % bounds."""
    found: dict[str, Any] = {}
    for share in SET_ASIDE:
        n_found, n_wrong = share_found(wrong, doubts, share)
        if n_wrong:
            found |= with_bounds(f"at_{100 * share:g}", n_found / n_wrong, wilson_interval(n_found, n_wrong))
    return found


def _in_order(path: Path, splits: pd.DataFrame) -> pd.DataFrame:
    return splits[_IDS].merge(read_table(path, _IDS), on="scan_id", validate="one_to_one")


if __name__ == "__main__":
    main()
