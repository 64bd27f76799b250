"""Stage `final`: the paper's single model on the 80:20 split (Table 2), and a head per development fold beside it."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datspect import crossval, results, tracking
from datspect.cohort.table import cohort_title
from datspect.digests import file_digest
from datspect.evaluation.metrics import binary_metrics
from datspect.evaluation.plots import misclassified_figure
from datspect.io.arrays import read_array
from datspect.io.figures import write_figure
from datspect.io.models import read_model, read_weights, write_model
from datspect.io.tables import write_json, write_table
from datspect.io.training_data import TrainingData, TrainingInputs, read_training_data
from datspect.launch import launch
from datspect.modeling.backbone import build_backbone
from datspect.modeling.classifier import build_classifier
from datspect.modeling.heads import FittedHead, Head, build_head, logits
from datspect.params import PARAMS_PATH, Architecture, load_params
from datspect.provenance import provenance

log = logging.getLogger("datspect.final")

FloatArray = NDArray[np.floating[Any]]


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
    params = load_params(params_path)
    inputs = TrainingInputs.within(images_folder, features_folder, splits_path)
    data = read_training_data(inputs)
    images = read_array(images_folder / "images.npy", memory_mapped=True)
    sections = {"classifier": params.classifier, "training": params.training}
    made_of = provenance("final", sections, [*inputs.paths(), images_folder / "images.npy"])
    with tracking.open_run(
        "final",
        stage="final",
        experiment=params.tracking.experiment,
        params={name: section.model_dump(mode="json") for name, section in sections.items()}
        | {"features": data.bank_record},
        tags=results.run_tags(data, made_of, file_digest(splits_path)),
    ) as run:
        is_test = (data.splits["role"] == "test").to_numpy()
        heads = crossval.final_heads(is_test, data.splits["dev_fold"].to_numpy(), params.classifier, params.training)
        fitted = crossval.train(heads, data.bank, data.targets, params.training.batch_size, "final")
        caption = cohort_title(data.cohort["kind"])
        results.write_curves(reports_folder, crossval.history_table(fitted), f"final and development heads, {caption}")
        _write_models(
            fitted,
            params.backbone.architecture,
            backbone_folder,
            images.shape[1:3],
            params.classifier.dropout,
            models_folder,
        )
        probabilities = _whole_model_probabilities(models_folder / "model.keras", np.asarray(images[is_test]))
        metrics = _write_holdout(data, is_test, fitted[0], probabilities, reports_folder)
        _write_misclassified(images, data, is_test, probabilities, reports_folder)
        metrics["dev_out_of_fold"] = _write_development(data, is_test, heads[1:], fitted[1:], reports_folder)
        write_json(reports_folder / "metrics.json", metrics)
        results.write_run_record(
            reports_folder / "run.json", "final", data, made_of, run.run_id, params.tracking.experiment
        )
        log.info(
            "holdout of %d: accuracy %.4f, ROC AUC %.4f; the bank's probabilities differ by at most %.4f (%s)",
            metrics["holdout"]["n"],
            metrics["holdout"]["accuracy"],
            metrics["holdout"]["roc_auc"],
            metrics["bank_difference_max"],
            caption,
        )
        run.log_dataset(
            data.splits[~is_test], name=data.cohort["kind"], digest=data.cohort["digest"], context="training"
        )
        run.log_metrics(results.flat_metrics(metrics))
        run.log_history({f"epoch/{name}": c for name, c in fitted[0].history.items() if np.isfinite(c).all()})
        run.log_files(sorted(path for path in reports_folder.iterdir() if path.is_file()), "reports")
        run.log_keras_model(
            models_folder / "model.keras",
            name="model",
            example=np.asarray(images[is_test]),
            prediction=probabilities[:, None],
        )


def _write_models(
    fitted: list[FittedHead],
    architecture: Architecture,
    backbone_folder: Path,
    image_shape: tuple[int, int],
    dropout: float,
    models_folder: Path,
) -> None:
    """model.keras, the whole final model, and the development heads on their own."""
    backbone = build_backbone(architecture, image_shape)
    read_weights(backbone_folder / "backbone.weights.h5", backbone)
    write_model(models_folder / "model.keras", build_classifier(backbone, fitted[0].weights, dropout))
    for head in fitted[1:]:
        write_model(models_folder / f"{head.name}.keras", build_head(head.weights, dropout))


def _whole_model_probabilities(path: Path, images: FloatArray) -> FloatArray:
    """Probabilities by the model as it was saved, read back, in float32; shape (N,)."""
    return np.asarray(read_model(path).predict(images, batch_size=64, verbose=0)[:, 0])


def _write_holdout(
    data: TrainingData, is_test: NDArray[np.bool_], final: FittedHead, probabilities: FloatArray, reports_folder: Path
) -> dict[str, Any]:
    """The test set's predictions, curves and Table 2; gives the metrics."""
    from_bank = crossval.probabilities(logits(final.weights, data.bank[0, is_test]))
    difference = np.abs(from_bank - probabilities)
    predictions = results.predictions_table(
        data.splits[is_test], "role", _log_odds(probabilities), probabilities.astype(np.float64)
    )
    metrics = {
        "cohort_kind": data.cohort["kind"],
        "holdout": binary_metrics(data.targets[is_test], probabilities),
        "bank_difference_max": float(difference.max()),
        "bank_difference_median": float(np.median(difference)),
    }
    title = f"holdout, {cohort_title(data.cohort['kind'])}"
    results.write_evaluation(reports_folder, predictions, metrics["holdout"], title)
    holdout = pd.Series(metrics["holdout"])
    write_table(reports_folder / "table2.csv", holdout.rename_axis("measure").reset_index(name="value"))
    return metrics


def _log_odds(probabilities: FloatArray) -> FloatArray:
    """Log odds of float32 probabilities, those at 0 and 1 cut to the nearest below and above."""
    cut = np.clip(probabilities.astype(np.float64), np.finfo(np.float32).tiny, 1 - np.finfo(np.float32).epsneg)
    return np.asarray(np.log(cut) - np.log1p(-cut))


def _write_misclassified(
    images: FloatArray, data: TrainingData, is_test: NDArray[np.bool_], probabilities: FloatArray, folder: Path
) -> None:
    """The images on the wrong side of the threshold, with label and probability (the paper's Figure 2)."""
    rows = np.flatnonzero(is_test)
    wrong = (probabilities >= 0.5) != (data.targets[rows] == 1)
    labels, scan_ids = data.splits["label"].to_numpy(), data.splits["scan_id"].to_numpy()
    titles = [
        f"{scan_ids[row]}: {labels[row]}, P(PD) {probability:.3f}"
        for row, probability in zip(rows[wrong], probabilities[wrong], strict=True)
    ]
    caption = f"misclassified in the holdout: {wrong.sum()} of {len(rows)}, {cohort_title(data.cohort['kind'])}"
    write_figure(folder / "misclassified.png", misclassified_figure(np.asarray(images[rows[wrong]]), titles, caption))


def _write_development(
    data: TrainingData, is_test: NDArray[np.bool_], heads: list[Head], fitted: list[FittedHead], reports_folder: Path
) -> dict[str, float]:
    """Out-of-fold predictions of the development heads on the training role; gives their metrics."""
    scores = crossval.out_of_fold_logits(heads, fitted, data.bank[0])[~is_test]
    probabilities = crossval.probabilities(scores)
    table = results.predictions_table(data.splits[~is_test], "dev_fold", scores, probabilities)
    write_table(reports_folder / "dev_predictions.csv", table)
    return binary_metrics(data.targets[~is_test], probabilities)


if __name__ == "__main__":
    launch(main)
