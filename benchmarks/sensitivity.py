"""What the paper leaves open: the same cross-validation under other choices, by DVC experiments.

    python benchmarks/sensitivity.py [--only NAME ...] [--quick] [--json FILE] [--into PAGE]

Each variant is one `dvc exp run --temp` of stage `cv`, so the working tree stays as it is, and a variant that was run
before comes out of DVC's cache. Results are kept beside this file, so that variants can be run one at a time
(`--only`; with no name it prints what is kept). Five seeds of training and augmentation on the same folds say which
differences are small. 500 draws alone take half an hour on two cores, all together about 75 minutes.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from datspect.io.records import read_json, write_json
from datspect.reporting.markdown import markdown_table
from datspect.running.progress import progress
from measuring import page_parser, publish

SEEDS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Variant:
    """One experiment: its name, how a reader would call it, and the parameters that differ from params.yaml."""

    name: str
    title: str
    settings: Mapping[str, str]


CHOICES = (
    Variant("default", "as in params.yaml: 16 draws, native input, image maximum, slices 40 to 42 from 0", {}),
    Variant("ratio", "intensity: non-specific ratio", {"preprocess.intensity": "nonspecific_ratio"}),
    Variant("slices-from-1", "slices counted from 1: 39 to 41", {"preprocess.slices": "[39,40,41]"}),
    Variant(
        "ratio-slices-from-1",
        "both: non-specific ratio, slices counted from 1",
        {"preprocess.intensity": "nonspecific_ratio", "preprocess.slices": "[39,40,41]"},
    ),
    Variant(
        "256-pixels",
        "input of 256 x 256 pixels, the loader's default size, made bilinearly (it takes the nearest)",
        {"preprocess.input_size": "[256,256]"},
    ),
    Variant("500-draws", "500 draws: new images in every epoch, as in the paper", {"augment.draws": "500"}),
)
REPEATS = tuple(
    Variant(f"seed-{seed}", f"seed {seed}", {"training.seed": str(seed), "augment.seed": str(seed)}) for seed in SEEDS
)


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--only", nargs="*", help="names of variants to run; the others keep their last result")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    results: dict[str, Any] = read_json(arguments.results) if arguments.results.is_file() else {}
    wanted = [v for v in (*REPEATS, *CHOICES) if arguments.only is None or v.name in arguments.only]
    if arguments.quick:
        results, wanted = {}, [replace(REPEATS[0], settings={"training.epochs": "8"})]
    for variant in progress(wanted, total=len(wanted), what="variants", unit="variants"):
        results[variant.name] = run(variant)
        if not arguments.quick:
            write_json(arguments.results, results)
    publish(arguments, parts(results), {"results": results})


def run(variant: Variant) -> dict[str, Any]:
    """Return the metrics of stage `cv` under a variant."""
    name = f"sensitivity-{variant.name}"
    settings = [part for key, value in variant.settings.items() for part in ("-S", f"{key}={value}")]
    subprocess.run([sys.executable, "-m", "dvc", "exp", "remove", "-q", name], capture_output=True, check=False)
    _dvc("exp", "run", "--temp", "-n", name, *settings, "cv")
    shown = json.loads(_dvc("metrics", "diff", "--all", "--json", "HEAD", name, "--targets", "reports/cv/metrics.json"))
    return _nested({key: value["new"] for key, value in next(iter(shown.values())).items()})


def _dvc(*arguments: str) -> str:
    process = subprocess.run([sys.executable, "-m", "dvc", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if process.returncode != 0:
        raise SystemExit(f"dvc {' '.join(arguments)} ended with {process.returncode}")
    return process.stdout


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        section, _, name = key.rpartition(".")
        nested.setdefault(section, {})[name] = value
    return nested


TITLES = {
    "accuracy": "accuracy, out of fold",
    "roc_auc": "ROC AUC, out of fold",
    "loss": "loss, out of fold",
}


def seed_spread(results: list[Mapping[str, Any]]) -> dict[str, tuple[float, float, float]]:
    """Return lowest, highest and standard deviation (ddof 1) of each measure in `TITLES`; nothing below two results."""
    if len(results) < 2:
        return {}
    values = {name: np.array([result["out_of_fold"][name] for result in results]) for name in TITLES}
    return {name: (float(v.min()), float(v.max()), float(v.std(ddof=1))) for name, v in values.items()}


def parts(results: Mapping[str, Any]) -> list[str]:
    """Return the tables of the variants that have run, and the spread over the seeds, as Markdown."""
    same_choice = [results[v.name] for v in (CHOICES[0], *REPEATS) if v.name in results]
    spread = seed_spread(same_choice)
    not_run = [variant.title for variant in (*CHOICES, *REPEATS) if variant.name not in results]
    over_seeds = [f"- {TITLES[name]}: {low:.4f} to {high:.4f}, sd {sd:.4f}" for name, (low, high, sd) in spread.items()]
    return [
        *([f"Not run yet: {'; '.join(not_run)}."] if not_run else []),
        _table(CHOICES, results, spread),
        _table(REPEATS, results, {}),
        *([f"Over these and the first row, {len(same_choice)} runs:", "\n".join(over_seeds)] if spread else []),
    ]


def _table(
    variants: Sequence[Variant], results: Mapping[str, Any], spread: Mapping[str, tuple[float, float, float]]
) -> str:
    head = ["choice", "accuracy", "ROC AUC", "loss", "Table 1: val accuracy (sd)", "val loss", "train accuracy"]
    rows = [[*head, *(["against the seeds"] if spread else [])]]
    for variant in variants:
        if variant.name in results:
            pooled, folds = results[variant.name]["out_of_fold"], results[variant.name]["cv"]
            row = [
                variant.title,
                _with_interval(pooled, "accuracy"),
                _with_interval(pooled, "roc_auc"),
                f"{pooled['loss']:.4f}",
                f"{folds['validation_accuracy_mean']:.4f} ({folds['validation_accuracy_sd']:.4f})",
                f"{folds['validation_loss_mean']:.4f}",
                f"{folds['train_accuracy_mean']:.4f}",
            ]
            rows.append([*row, *([_verdict(pooled, spread)] if spread else [])])
    return markdown_table(rows)


def _verdict(pooled: Mapping[str, float], spread: Mapping[str, tuple[float, float, float]]) -> str:
    beyond = [
        f"{TITLES[name].partition(',')[0]} {'above' if pooled[name] > high else 'below'}"
        for name, (low, high, _) in spread.items()
        if not low <= pooled[name] <= high
    ]
    return f"beyond: {', '.join(beyond)}" if beyond else "within"


def _with_interval(metrics: Mapping[str, float], name: str) -> str:
    return f"{metrics[name]:.4f} ({metrics[f'{name}_low']:.4f} to {metrics[f'{name}_high']:.4f})"


if __name__ == "__main__":
    main()
