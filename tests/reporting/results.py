"""Make up a small working tree as the stages leave it, for the report to read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from datspect.evaluation.metrics import TABLE_1_MEASURES
from datspect.io.png import write_figure
from datspect.io.records import write_json
from datspect.io.tables import write_table
from datspect.reporting.paper_tables import BASELINES, CEILING, STACK

N, N_FOLDS = 24, 3
MEASURES = ("accuracy", "sensitivity", "specificity", "precision", "roc_auc", "pr_auc")
PROBABILITY_MEASURES = ("loss", "brier", "calibration_error", "calibration_slope", "calibration_intercept")


@dataclass(frozen=True)
class Results:
    """Where they lie."""

    images: Path
    splits: Path
    reports: Path

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        return self.images, self.splits, self.reports


def write_results(folder: Path, kind: str = "phantom", **changes: Any) -> Results:
    """Write the files of all stages before the report; `changes`: columns of the subject table, or `excluded`."""
    results = Results(folder / "images", folder / "splits.csv", folder / "reports")
    rng = np.random.default_rng(11)
    excluded = changes.pop("excluded", pd.DataFrame({"scan_id": [], "reason": []}))
    subjects = _subjects(rng).assign(**changes)
    _write_images(results.images, kind, subjects, excluded)
    splits = subjects[["scan_id", "subject_id", "label"]].assign(
        fold=np.arange(N) % N_FOLDS + 1, role=np.where(np.arange(N) % 4 < 2, "test", "train")
    )
    write_table(results.splits, splits)
    _write_reports(results.reports, kind, splits, rng)
    return results


def random_metrics(
    rng: np.random.Generator, names: tuple[str, ...] = (*MEASURES, *PROBABILITY_MEASURES)
) -> dict[str, Any]:
    """Return numbers that no other place holds, so that a table shows one only if it is the right one."""
    counts = ("n", "true_positive", "false_positive", "true_negative", "false_negative")
    metrics: dict[str, Any] = {name: int(rng.integers(100, 10_000)) for name in counts}
    return metrics | {f"{name}{end}": float(rng.random()) for name in names for end in ("", "_low", "_high")}


def made_up_panel(rng: np.random.Generator, kind: str = "phantom") -> dict[str, Any]:
    """metrics.json of stage `robustness`: the scans as they are, and two strengths of one alteration."""
    texts = {"unaltered": "as they are", "blur_4": "blurred by 4 mm", "blur_8": "blurred by 8 mm"}
    rows = []
    for name, text in texts.items():
        shares = {
            f"{share}{end}": 0.0 for share in ("inconclusive", "withheld", "refused") for end in ("", "_low", "_high")
        }
        judges = {judge: random_metrics(rng) for judge in ("network", "regression", "threshold")}
        alteration = {"alteration": name.partition("_")[0], "strength": 0.0, "is_largest": name != "blur_4"}
        rows.append(
            {
                "name": name,
                "title": name.replace("_", ", ") + " mm" * ("_" in name),
                "text": text,
                **alteration,
                **shares,
                **judges,
                "minus_unaltered": {},
            }
        )
    mixed = {
        scans: {judge: random_metrics(rng) for judge in ("network", "regression", "threshold")}
        for scans in ("original", "smoothed", "mixed")
    }
    facts = {"cohort_kind": kind, "n": 12, "panel": "edition 1, seed 1", "threshold": 1.5, "model_sha256": "none"}
    as_good = {"all": {"n_rows": 2, "withheld": 0.061}, "largest": {"n_rows": 1, "withheld": 0.152}}
    return {**facts, "rows": rows, "as_good": as_good, "mixed_resolution": mixed}


def _subjects(rng: np.random.Generator) -> pd.DataFrame:
    number = np.arange(N)
    return pd.DataFrame(
        {
            "scan_id": [f"S{i:02d}" for i in number],
            "subject_id": [f"P{i:02d}" for i in number],
            "label": np.where(number % 2, "pd", "control"),
            "sex": np.where(number % 3, "male", "female"),
            "age": np.round(rng.uniform(35, 85, N), 1),
            "site": [f"site{i % 5}" for i in number],
            "visit": "SC",
        }
    )


def _write_images(folder: Path, kind: str, subjects: pd.DataFrame, excluded: pd.DataFrame) -> None:
    flags = ["low_contrast negative_values", "low_contrast", *[""] * (N - 2)]
    quality = pd.DataFrame(
        {"scan_id": subjects["scan_id"], "sbr_putamen_left": 1.5, "sbr_putamen_right": 0.75, "flags": flags}
    )
    write_table(folder / "subjects.csv", subjects)
    write_table(folder / "quality.csv", quality)
    write_table(folder / "excluded.csv", excluded)
    write_json(folder / "cohort.json", {"kind": kind, "n": N, "n_excluded": len(excluded), "digest": "c0" * 32})
    write_figure(folder / "contact_sheet.png", Figure(figsize=(1, 1)))


def _write_reports(folder: Path, kind: str, splits: pd.DataFrame, rng: np.random.Generator) -> None:
    test = splits[splits["role"] == "test"]
    write_table(folder / "cv/predictions.csv", _predictions(splits, rng))
    write_table(folder / "final/predictions.csv", _predictions(test, rng))
    table_1 = pd.DataFrame(rng.random((N_FOLDS, 4)), columns=list(TABLE_1_MEASURES))
    table_1.insert(0, "n_validation", N // N_FOLDS)
    table_1.insert(0, "fold", range(1, N_FOLDS + 1))
    write_table(folder / "cv/table1.csv", table_1)
    summary_keys = [
        *(f"{name}_{what}" for name in TABLE_1_MEASURES for what in ("mean", "sd")),
        "roc_auc_fold_mean",
        "roc_auc_fold_sd",
    ]
    summary = {key: float(rng.random()) for key in summary_keys}
    write_json(folder / "cv/metrics.json", {"cohort_kind": kind, "cv": summary, "out_of_fold": random_metrics(rng)})
    write_json(folder / "final/metrics.json", {"cohort_kind": kind, "holdout": random_metrics(rng)})
    _write_baselines(folder / "baselines", kind, splits, test, rng)
    checks = {
        "subject_overlap": {"passed": True, "finding": "No subject is on both sides."},
        "site_predicts_label": {"passed": False, "finding": "The site tells the label: AUC 0.9000."},
    }
    write_json(folder / "checks/metrics.json", {"cohort_kind": kind, "checks": checks})
    decisions = random_metrics(rng, ("coverage", "accuracy", "conclusive_accuracy", "errors_found"))
    predictor = {"training_role": decisions, "holdout_decisions": decisions, "holdout": random_metrics(rng)}
    predictor["evidence"] = [{"looks_at": ["margin"], "is_applied": True}]
    write_json(
        folder / "predictor/metrics.json",
        predictor | {"cohort_kind": kind, "holdout_typical": 0.984, "holdout_withheld": {"share": 0.01}},
    )
    write_figure(folder / "predictor/calibration.png", Figure(figsize=(1, 1)))
    write_json(folder / "other_groups/metrics.json", {"cohort_kind": kind, "groups": [], "holdout": []})
    write_json(folder / "robustness/metrics.json", made_up_panel(rng, kind))
    write_figure(folder / "robustness/robustness.png", Figure(figsize=(1, 2)))
    write_json(folder / "grouped/metrics.json", {"cohort_kind": kind, "group": "none"})
    for stage in ("cv", "final"):
        write_json(folder / stage / "run.json", _run(stage, kind))
        write_figure(folder / stage / "training.png", Figure(figsize=(1, 1)))
    write_figure(folder / "final/misclassified.png", Figure(figsize=(1, 1)))


def _predictions(splits: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    probability = rng.random(len(splits))
    return splits.assign(probability=probability, prediction=np.where(probability >= 0.5, "pd", "control"))


def _write_baselines(
    folder: Path, kind: str, splits: pd.DataFrame, test: pd.DataFrame, rng: np.random.Generator
) -> None:
    metrics: dict[str, Any] = {"cohort_kind": kind}
    names_of_models = [name for name in BASELINES if kind == "phantom" or name != CEILING]
    for part, table, file in (("out_of_fold", splits, "predictions"), ("holdout", test, "holdout_predictions")):
        said = [
            _predictions(table, rng).rename(columns={"probability": "score"}).assign(baseline=b)
            for b in names_of_models
        ]
        write_table(folder / f"{file}.csv", pd.concat(said))
        metrics[part] = {name: random_metrics(rng) for name in names_of_models}
        for name in names_of_models:
            names = ("accuracy_difference", "roc_auc_difference", "loss_difference")
            difference = random_metrics(rng, names if part == "out_of_fold" else names[:2])
            counts = {"n_only_network_right": 31, "n_only_other_right": 17, "mcnemar_p": 0.0591, "delong_p": 1e-9}
            metrics[part][name]["network_minus_this"] = difference | (counts if part == "holdout" else {})
        metrics[part][STACK]["this_minus_sbr_regression"] = random_metrics(rng, names)
    write_json(folder / "metrics.json", metrics)


def _run(stage: str, kind: str) -> dict[str, Any]:
    return {
        "stage": stage,
        "result_id": f"{stage}-result",
        "code_sha256": "c1" * 32,
        "params_sha256": "c2" * 32,
        "data_sha256": "c3" * 32,
        "splits_sha256": "c4" * 32,
        "cohort": {"kind": kind, "n": N, "n_excluded": 0, "digest": "c0" * 32},
        "features": {
            "architecture": "InceptionV3",
            "backbone_source": "Keras",
            "backbone_tensor_digest": "c5" * 32,
            "draws": 4,
            "n_features": 2048,
            "n_subjects": N,
            "precision": "float32",
        },
        "git": {"commit": "0123456789abcdef", "dirty": stage == "final"},
        "releases": {"python": "3.11.2", "keras": "3.15.1"},
        "started": "2026-01-02T03:04:05.678+00:00",
        "mlflow": {"run_id": f"{stage}-run", "experiment": "datspect"},
    }
