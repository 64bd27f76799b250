"""What the paper leaves open: the same cross-validation under other choices, by DVC experiments.

    python benchmarks/sensitivity.py [--only NAME ...] [--into docs/sensitivity.md]

Each variant is one `dvc exp run --temp` of stage `cv`, so the working tree stays as it is, and a variant that was run
before comes out of DVC's cache. Results are kept beside the document, so that variants can be run one at a time
(`--only`). Five seeds of training and augmentation on the same folds say which differences are small. 500 draws alone
take half an hour on two cores, all together about 75 minutes.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
    Variant("256-pixels", "input of 256 x 256 pixels, the loader's default", {"preprocess.input_size": "[256,256]"}),
    Variant("500-draws", "500 draws: new images in every epoch, as in the paper", {"augment.draws": "500"}),
)
REPEATS = tuple(
    Variant(f"seed-{seed}", f"seed {seed}", {"training.seed": str(seed), "augment.seed": str(seed)}) for seed in SEEDS
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=Path("docs/sensitivity.md"))
    parser.add_argument("--only", nargs="*", help="names of variants to run; the others keep their last result")
    parser.add_argument("--results", type=Path, default=Path("docs/sensitivity.json"))
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(arguments.results.read_text("utf-8")) if arguments.results.is_file() else {}
    wanted = [v for v in (*REPEATS, *CHOICES) if arguments.only is None or v.name in arguments.only]
    for number, variant in enumerate(wanted, 1):
        print(f"{number} of {len(wanted)}: {variant.title}", flush=True)
        started = time.monotonic()
        results[variant.name] = run(variant)
        print(f"  {time.monotonic() - started:.0f} s, accuracy {results[variant.name]['out_of_fold']['accuracy']:.4f}")
        arguments.results.write_text(json.dumps(results, indent=1), encoding="utf-8")
    arguments.into.write_text(document(results), encoding="utf-8")
    print(f"written: {arguments.into}")


def run(variant: Variant) -> dict[str, Any]:
    """Metrics of stage `cv` under a variant."""
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


def document(results: Mapping[str, Any]) -> str:
    """docs/sensitivity.md from the metrics of the variants that have run."""
    same_choice = [results[v.name] for v in (CHOICES[0], *REPEATS) if v.name in results]
    spread = seed_spread(same_choice)
    shown = [(variant.title, results[variant.name]) for variant in CHOICES if variant.name in results]
    repeats = [(variant.title, results[variant.name]) for variant in REPEATS if variant.name in results]
    lines = [
        "# The paper's open choices, tried",
        "",
        "PHANTOM cohort, simulated: what matters on patients may differ. Made by `make sensitivity`, which runs each "
        "row as a DVC experiment of stage `cv`; all but the named choice is as in `params.yaml`, on the same folds.",
        "",
        "Table 1 figures are means over the ten folds, last epoch; accuracy and AUC are pooled out of fold with 95 % "
        "intervals given the fitted models. Nothing here was used to choose a default.",
        "",
        *_table(shown, spread),
        "",
        *_missing(results),
        f"## {len(repeats)} other seeds",
        "",
        "The first row again with other seeds of training (start, order, dropout) and of augmentation. A difference "
        'between two rows above that lies within this spread says nothing. "Beyond" in the last column means outside '
        "the range of all runs with the first row's choices, its own included; each row is one seed only, so even that "
        "is no proof.",
        "",
        *_table(repeats, None),
        "",
        f"Over these and the first row, {len(same_choice)} runs:",
        "",
        *(f"- {TITLES[name]}: {low:.4f} to {high:.4f}, sd {sd:.4f}" for name, (low, high, sd) in spread.items()),
    ]
    return "\n".join(lines) + "\n"


def _missing(results: Mapping[str, Any]) -> list[str]:
    titles = [variant.title for variant in (*CHOICES, *REPEATS) if variant.name not in results]
    return [f"Not run yet: {'; '.join(titles)}.", ""] if titles else []


TITLES = {
    "accuracy": "accuracy, out of fold",
    "roc_auc": "ROC AUC, out of fold",
    "loss": "loss, out of fold",
}


def seed_spread(results: list[Mapping[str, Any]]) -> dict[str, tuple[float, float, float]]:
    """Lowest, highest and standard deviation (ddof 1) over seeds of each measure in `TITLES`; empty below two seeds."""
    if len(results) < 2:
        return {}
    values = {name: np.array([result["out_of_fold"][name] for result in results]) for name in TITLES}
    return {name: (float(v.min()), float(v.max()), float(v.std(ddof=1))) for name, v in values.items()}


def _table(
    rows: list[tuple[str, Mapping[str, Any]]], spread: Mapping[str, tuple[float, float, float]] | None
) -> list[str]:
    head = ["choice", "accuracy", "ROC AUC", "loss", "Table 1: val accuracy (sd)", "val loss", "train accuracy"]
    if spread:
        head.append("against the seeds")
    cells = [head, ["---"] * len(head)]
    for title, result in rows:
        pooled, folds = result["out_of_fold"], result["cv"]
        row = [
            title,
            _with_interval(pooled, "accuracy"),
            _with_interval(pooled, "roc_auc"),
            f"{pooled['loss']:.4f}",
            f"{folds['validation_accuracy_mean']:.4f} ({folds['validation_accuracy_sd']:.4f})",
            f"{folds['validation_loss_mean']:.4f}",
            f"{folds['train_accuracy_mean']:.4f}",
        ]
        cells.append([*row, *([_verdict(pooled, spread)] if spread else [])])
    return [f"| {' | '.join(row)} |" for row in cells]


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
