"""Fine-tuned against frozen on a small cohort: out-of-fold log loss of the same subjects, whichever wins.

Some subjects of the cohort, stratified, in five folds. Frozen: heads on the bank. Fine-tuned: all layers, the folds two
at a time. Both have the schedule of params.yaml over equally many epochs. Neither has been tuned for this size.

    python benchmarks/small_cohort.py [--subjects 120] [--epochs 60] [--workers 2] [--rate 1e-3] [--quick] [--json FILE]

Needs the results of `dvc repro`. About 15 minutes on two cores.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from datspect.evaluation.comparison import Predictions, compare_out_of_fold
from datspect.evaluation.metrics import binary_metrics, predicted_labels
from datspect.modeling.heads import FittedHead
from datspect.params.whole import load_params
from datspect.training import crossval
from datspect.training.data import TrainingInputs, read_training_data
from datspect.training.fitting import Kept, Sources, fit_networks, material_of
from datspect.training.splitting import subject_folds
from measuring import benchmark_parser, machine, seconds, versions, write_result

N_FOLDS, SEED = 5, 2019


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--subjects", type=int, default=120)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rate", type=float, help="initial learning rate of the fine-tuning")
    arguments = parser.parse_args()
    params = load_params()
    backbone = params.backbone.model_copy(update={"trainable": "all"})
    training = params.training.model_copy(update={"epochs": 4 if arguments.quick else arguments.epochs})
    params = params.model_copy(update={"backbone": backbone, "training": training})
    inputs = TrainingInputs.within(Path("data/images"), Path("data/features"), Path("data/splits.csv"))
    data = read_training_data(inputs)
    rows, _ = train_test_split(
        np.arange(len(data.targets)), train_size=arguments.subjects, stratify=data.targets, random_state=SEED
    )
    rows = np.sort(rows)
    targets, bank = data.targets[rows], np.ascontiguousarray(data.bank[:, rows])
    folds = subject_folds(data.splits.iloc[rows], N_FOLDS, SEED, "folds of the small cohort")
    heads = crossval.cv_heads(folds, params.classifier, training)
    whole = material_of(data, Sources(Path("data/images/images.npy"), Path("models/backbone")), params)
    material = replace(whole, images=whole.images[rows], labels=targets)
    tuned_heads = heads
    if arguments.rate:
        factor = arguments.rate / training.learning_rate.initial
        tuned_heads = [replace(head, learning_rates=head.learning_rates * factor) for head in heads]

    executor = params.executor.model_copy(update={"kind": "local", "workers": arguments.workers})
    fitted: dict[str, list[FittedHead]] = {}

    def frozen() -> None:
        fitted["frozen"] = crossval.train(heads, bank, targets, training.batch_size, "frozen")

    def finetuned() -> None:
        with tempfile.TemporaryDirectory() as folder:
            found = fit_networks("fine-tuned", tuned_heads, material, executor, Kept(Path(folder), "small"))
        fitted["fine-tuned"] = [found[head.name] for head in heads]

    took = {"frozen": seconds(frozen), "fine-tuned": seconds(finetuned)}
    scores = {name: crossval.out_of_fold_logits(heads, found, bank[0]) for name, found in fitted.items()}
    said = {name: predictions(found) for name, found in scores.items()}
    metrics = {name: binary_metrics(targets, one.probabilities) for name, one in said.items()}
    difference = compare_out_of_fold(targets, said["fine-tuned"], said["frozen"])
    print(f"{len(rows)} subjects, {N_FOLDS} folds, {training.epochs} epochs, {data.kind.caption}")
    for name, one in metrics.items():
        print(
            f"{name:<11} log loss {one['loss']:.4f} ({one['loss_low']:.4f} to {one['loss_high']:.4f}), accuracy "
            f"{one['accuracy']:.4f} ({one['accuracy_low']:.4f} to {one['accuracy_high']:.4f}), {took[name]:.0f} s"
        )
    for name in ("loss", "accuracy"):
        low, high = (difference[f"{name}_difference_{end}"] for end in ("low", "high"))
        print(f"fine-tuned minus frozen, {name}: {difference[f'{name}_difference']:+.4f} ({low:+.4f} to {high:+.4f})")
    result = {"seconds": took, "metrics": metrics, "difference": difference}
    write_result(arguments.json, {**result, "machine": machine(), "versions": versions()})


def predictions(scores: Any) -> Predictions:
    probabilities = crossval.probabilities(scores)
    return Predictions(predicted_labels(probabilities), scores, probabilities)


if __name__ == "__main__":
    main()
