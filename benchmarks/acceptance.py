"""Is it the signal that is learnt? Measured on the cohort in use.

After `dvc repro`, out of fold and over all ten folds:

- the pipeline's accuracy against a putamen-SBR threshold chosen on the training folds;
- permuted labels, which must give a ROC AUC near 0.5;
- random backbone weights, which should do clearly worse than ImageNet's;
- features in float32 against bfloat16, and what that does to the out-of-fold probabilities.

    python benchmarks/acceptance.py [--epochs 500] [--quick] [--json FILE] [--into PAGE]

Runs the heads four times and the backbone three times: about fifteen minutes on two cores.
"""

from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from datspect.evaluation.comparison import Predictions, compare_out_of_fold
from datspect.evaluation.metrics import binary_metrics, predicted_labels
from datspect.imaging.augmentation import draw_augmentations
from datspect.io.arrays import read_array
from datspect.io.records import read_json
from datspect.modeling.backbone import build_backbone, set_random_weights
from datspect.modeling.features import bank_blocks, build_extractor
from datspect.modeling.model_files import read_weights
from datspect.modeling.precision import Precision, computing_in
from datspect.params.whole import Params, load_params
from datspect.reporting.markdown import markdown_table
from datspect.running.progress import progress
from datspect.training import crossval
from datspect.training.data import TrainingData, TrainingInputs, read_training_data
from measuring import page_parser, publish

BACKBONES: tuple[tuple[str, Precision, bool], ...] = (
    ("ImageNet weights, float32", "float32", False),
    ("ImageNet weights, bfloat16", "bfloat16", False),
    ("random weights, float32", "float32", True),
)
"""Name, precision, and whether the weights are random."""


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--epochs", type=int, help="of each head; those of params.yaml if left out")
    arguments = parser.parse_args()
    params = load_params()
    n_epochs = 4 if arguments.quick else arguments.epochs or params.training.epochs
    params = params.model_copy(update={"training": params.training.model_copy(update={"epochs": n_epochs})})
    if arguments.quick:
        params = params.model_copy(update={"augment": params.augment.model_copy(update={"draws": 1})})
    data = read_training_data(
        TrainingInputs.within(Path("data/images"), Path("data/features"), Path("data/splits.csv"))
    )
    permuted = np.random.default_rng(0).permutation(data.targets)
    permuted_auc = float(roc_auc_score(permuted, scores(data, data.bank, permuted, params)))
    probabilities = {
        name: crossval.probabilities(scores(data, feature_bank(params, precision, random=random), data.targets, params))
        for name, precision, random in BACKBONES
    }
    metrics = {name: binary_metrics(data.targets, found) for name, found in probabilities.items()}
    metrics["network, stage `cv`"] = read_json(Path("reports/cv/metrics.json"))["out_of_fold"]
    baselines = read_json(Path("reports/baselines/metrics.json"))["out_of_fold"]
    metrics["putamen-SBR threshold, stage `baselines`"] = baselines["putamen_sbr_threshold"]
    rows = [["", "accuracy", "ROC AUC", "loss"]]
    for name, found in metrics.items():
        rows.append([name, *(f"{found[key]:.4f}" if key in found else "" for key in ("accuracy", "roc_auc", "loss"))])
    rows.append(["permuted labels, float32", "", f"{permuted_auc:.3f}", ""])
    text = [
        f"{data.kind.caption}, {len(data.targets)} subjects, out of fold, {n_epochs} epochs:",
        markdown_table(rows),
        against_random(data, probabilities["ImageNet weights, float32"], probabilities["random weights, float32"]),
        between_precisions(probabilities["ImageNet weights, float32"], probabilities["ImageNet weights, bfloat16"]),
    ]
    publish(arguments, text, {"permuted_roc_auc": permuted_auc, "metrics": metrics})


def against_random(data: TrainingData, imagenet: np.ndarray, random: np.ndarray) -> str:
    """Return the paired difference on the same subjects; both of shape (subjects,), probabilities of PD."""
    found = compare_out_of_fold(
        data.targets, *(Predictions(predicted_labels(each), each, each) for each in (imagenet, random))
    )
    parts = []
    for name in ("accuracy", "roc_auc", "loss"):
        value, low, high = (found[f"{name}_difference{end}"] for end in ("", "_low", "_high"))
        parts.append(f"{name} {value:+.4f} ({low:+.4f} to {high:+.4f})")
    return f"ImageNet minus random weights, paired: {', '.join(parts)}."


def between_precisions(float32: np.ndarray, bfloat16: np.ndarray) -> str:
    """Return how far the out-of-fold probabilities, both of shape (subjects,), lie apart."""
    difference = np.abs(bfloat16 - float32)
    n_changed = np.sum((bfloat16 >= 0.5) != (float32 >= 0.5))
    return (
        f"bfloat16 against float32, out-of-fold probabilities: median difference {np.median(difference):.4f}, "
        f"99 % below {np.quantile(difference, 0.99):.4f}, largest {difference.max():.4f}; {n_changed} of "
        f"{len(difference)} subjects change class."
    )


def feature_bank(params: Params, precision: Precision, *, random: bool) -> np.ndarray:
    """Return the bank of the cohort in use, shape (draws + 1, subjects, features), in memory."""
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
    """Return out-of-fold log odds, shape (subjects,); `bank`: shape (draws + 1, subjects, features)."""
    heads = crossval.cv_heads(data.splits["fold"].to_numpy(), params.classifier, params.training)
    fitted = crossval.train(heads, bank, targets, params.training.batch_size, "heads")
    return crossval.out_of_fold_logits(heads, fitted, bank[0])


if __name__ == "__main__":
    main()
