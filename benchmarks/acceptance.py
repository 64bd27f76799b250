"""Is it the signal that is learnt? Measured on the cohort in use.

After `dvc repro`, out of fold and over all ten folds:

- the pipeline's accuracy against a putamen-SBR threshold chosen on the training folds;
- permuted labels, which must give a ROC AUC near 0.5;
- random backbone weights, which should do clearly worse than ImageNet's;
- features in float32 against bfloat16, and what that does to the out-of-fold probabilities.

    python benchmarks/acceptance.py [--epochs 500]

Runs the heads four times and the backbone three times: about fifteen minutes on two cores.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from datspect.evaluation.comparison import Predictions, compare_out_of_fold
from datspect.evaluation.metrics import binary_metrics, predicted_labels
from datspect.imaging.augmentation import draw_augmentations
from datspect.io.arrays import read_array
from datspect.io.tables import read_json
from datspect.modeling.backbone import build_backbone, set_random_weights
from datspect.modeling.features import bank_blocks, build_extractor
from datspect.modeling.model_files import read_weights
from datspect.modeling.precision import Precision, computing_in
from datspect.params.whole import Params, load_params
from datspect.running.progress import progress
from datspect.training import crossval
from datspect.training.data import TrainingData, TrainingInputs, read_training_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=None)
    arguments = parser.parse_args()
    params = load_params()
    if arguments.epochs:
        training = params.training.model_copy(update={"epochs": arguments.epochs})
        params = params.model_copy(update={"training": training})
    data = read_training_data(
        TrainingInputs.within(Path("data/images"), Path("data/features"), Path("data/splits.csv"))
    )
    print(f"{data.cohort['kind'].upper()} cohort of {len(data.targets)}, {params.training.epochs} epochs")
    compare_with_threshold()
    permuted = np.random.default_rng(0).permutation(data.targets)
    print(f"permuted labels: ROC AUC {roc_auc_score(permuted, scores(data, data.bank, permuted, params)):.3f}")
    compare_backbones(data, params)


def compare_with_threshold() -> None:
    """The stages' own figures."""
    pooled = read_json(Path("reports/cv/metrics.json"))["out_of_fold"]
    threshold = read_json(Path("reports/baselines/metrics.json"))["out_of_fold"]["putamen_sbr_threshold"]
    print(f"accuracy: network {pooled['accuracy']:.4f}, putamen-SBR threshold {threshold['accuracy']:.4f}")
    print(f"ROC AUC: network {pooled['roc_auc']:.4f}")


def compare_backbones(data: TrainingData, params: Params) -> None:
    """ImageNet's weights in both precisions, and random ones."""
    probabilities = {}
    backbones: tuple[tuple[str, Precision, bool], ...] = (
        ("float32", "float32", False),
        ("bfloat16", "bfloat16", False),
        ("random weights", "float32", True),
    )
    for name, precision, random in backbones:
        bank = feature_bank(params, precision, random=random)
        found = scores(data, bank, data.targets, params)
        probabilities[name] = crossval.probabilities(found)
        metrics = binary_metrics(data.targets, probabilities[name])
        print(
            f"{name}: accuracy {metrics['accuracy']:.4f}, ROC AUC {metrics['roc_auc']:.4f}, loss {metrics['loss']:.4f}"
        )
    compare_with_random(data, probabilities["float32"], probabilities["random weights"])
    difference = np.abs(probabilities["bfloat16"] - probabilities["float32"])
    changed = np.sum((probabilities["bfloat16"] >= 0.5) != (probabilities["float32"] >= 0.5))
    print(
        f"bfloat16 against float32, out-of-fold probabilities: median difference {np.median(difference):.4f}, "
        f"99 % below {np.quantile(difference, 0.99):.4f}, largest {difference.max():.4f}; {changed} changed class"
    )


def compare_with_random(data: TrainingData, imagenet: np.ndarray, random: np.ndarray) -> None:
    """Paired, on the same subjects."""
    found = compare_out_of_fold(
        data.targets, *(Predictions(predicted_labels(each), each, each) for each in (imagenet, random))
    )
    for name in ("accuracy", "roc_auc", "loss"):
        value, low, high = (found[f"{name}_difference{end}"] for end in ("", "_low", "_high"))
        print(f"ImageNet minus random weights, {name}: {value:+.4f} ({low:+.4f} to {high:+.4f})")


def feature_bank(params: Params, precision: Precision, *, random: bool) -> np.ndarray:
    """The bank of the cohort in use, in memory."""
    images = read_array(Path("data/images/images.npy"))
    with computing_in(precision):
        backbone = build_backbone(params.backbone.architecture, images.shape[1:3])
    if random:
        set_random_weights(backbone, params.backbone.seed)
    else:
        read_weights(Path("models/backbone/backbone.weights.h5"), backbone)
    augmentations = draw_augmentations(params.augment, len(images), images.shape[1:3])
    blocks = progress(
        bank_blocks(build_extractor(backbone), images, augmentations),
        total=-(-(params.augment.draws + 1) * len(images) // 64),
        what=f"features, {precision}",
        unit="batches",
    )
    return np.concatenate(list(blocks)).reshape(params.augment.draws + 1, len(images), -1)


def scores(data: TrainingData, bank: np.ndarray, targets: np.ndarray, params: Params) -> np.ndarray:
    """Out-of-fold log odds."""
    heads = crossval.cv_heads(data.splits["fold"].to_numpy(), params.classifier, params.training)
    fitted = crossval.train(heads, bank, targets, params.training.batch_size, "heads")
    return crossval.out_of_fold_logits(heads, fitted, bank[0])


if __name__ == "__main__":
    main()
