"""Part `seeds`: several phantoms, each read out of fold by the paper's recipe, the small network and regressions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from datspect.arrays import FloatArray
from datspect.evaluation.comparison import compare_out_of_fold
from datspect.io.records import read_json
from datspect.io.tables import read_table
from datspect.reporting.markdown import markdown_table
from datspect.reporting.paper_tables import with_interval
from datspect.training import crossval
from datspect.training.fitting import Sources
from measuring import Goal
from striatum_parts.readers import (
    PAPER,
    RATIOS,
    STACK,
    STRIATUM,
    TRUTH,
    WORDS,
    binding,
    fit,
    measures,
    read_by_regression,
    said,
)
from striatum_parts.workplace import DEFAULT_SEED, TITLE, Workplace, measured

_COMPARED = ((STRIATUM, RATIOS), (STRIATUM, PAPER), (STACK, STRIATUM))
SLOPE = (0.8, 1.25)


def measure(place: Workplace, seeds: Sequence[int], *, with_paper: bool) -> list[dict[str, Any]]:
    """Read each phantom that has not been read yet; what is kept are log odds of every subject."""
    found = []
    for seed in seeds:
        record = place.known(f"seed-{seed}") or read_seed(place, seed)
        if with_paper and PAPER not in record["log_odds"]:
            record["log_odds"][PAPER] = _kept(_paper(place, seed, record["scan_id"]))
            place.keep(f"seed-{seed}", record)
        found.append(record)
    return found


def read_seed(place: Workplace, seed: int) -> dict[str, Any]:
    """Return labels, folds and log odds out of fold of every reader but the paper's recipe."""
    data, params = place.data(seed, STRIATUM), place.params(seed, STRIATUM)
    labels, folds = data.targets, data.splits["fold"].to_numpy()
    columns = binding(place.images(seed), data.splits["scan_id"])
    heads = crossval.cv_heads(folds, params.classifier, params.training)
    with measured(place, f"cv-{seed}-{STRIATUM}"):
        fitted = fit(heads, data, params, _sources(place, seed), place.folder(seed) / STRIATUM / "unfinished")
    network = crossval.out_of_fold_logits(heads, fitted, data.bank[0])
    both = np.column_stack([network, columns[RATIOS]])
    log_odds = {
        STRIATUM: network,
        **{name: read_by_regression(columns[name], labels, folds) for name in (RATIOS, TRUTH)},
        STACK: read_by_regression(both, labels, folds),
    }
    record = {
        "seed": seed,
        "scan_id": data.splits["scan_id"].tolist(),
        "labels": labels.tolist(),
        "folds": folds.tolist(),
        "log_odds": {name: _kept(values) for name, values in log_odds.items()},
    }
    return place.keep(f"seed-{seed}", record)


def _paper(place: Workplace, seed: int, scan_ids: Sequence[str]) -> FloatArray:
    """Return what the paper's recipe says: the graph's own answers where it has answered the same cohort."""
    own = place.graph / "reports/cv/predictions.csv"
    digests = [folder / "cohort.json" for folder in (place.graph / "data/images", place.folder(seed) / "data/images")]
    if seed == DEFAULT_SEED and own.is_file() and len({read_json(path)["digest"] for path in digests}) == 1:
        table = read_table(own, ["scan_id", "logit"])
        return table.set_index("scan_id").loc[list(scan_ids), "logit"].to_numpy(np.float64)
    data, params = place.data(seed, PAPER), place.params(seed, PAPER)
    heads = crossval.cv_heads(data.splits["fold"].to_numpy(), params.classifier, params.training)
    with measured(place, f"cv-{seed}-{PAPER}"):
        fitted = fit(heads, data, params, _sources(place, seed), place.folder(seed) / PAPER / "unfinished")
    return crossval.out_of_fold_logits(heads, fitted, data.bank[0])


def _sources(place: Workplace, seed: int) -> Sources:
    return Sources(place.images(seed) / "images.npy", place.backbone())


def _kept(log_odds: FloatArray) -> list[float]:
    return [round(float(value), 5) for value in log_odds]


def parts(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the tables as Markdown: each seed, all of them together, and the goals."""
    columns = ["phantom seed", "reader", "accuracy", "ROC AUC", "log loss", "calibration slope"]
    rows, differences = [columns], [["phantom seed", *(f"{a} minus {b}" for a, b in _COMPARED)]]
    for record in [*records, *([pooled(records)] if len(records) > 1 else [])]:
        rows += _rows(record)
        differences.append([str(record["seed"]), *_differences(record)])
    with_paper = sum(PAPER in record["log_odds"] for record in records)
    note = "" if with_paper == len(records) else f" The paper's recipe was run on {with_paper} of them."
    return [
        f"{len(records)} phantoms of {len(records[0]['labels'])} subjects, out of fold over ten folds, 95 % intervals "
        f"({TITLE}).{note}",
        markdown_table(rows, 2),
        "Paired differences of the log loss; below 0 the first is better:",
        markdown_table(differences),
    ]


def _rows(record: Mapping[str, Any]) -> list[list[str]]:
    labels, rows = np.array(record["labels"]), []
    for name in WORDS:
        if name not in record["log_odds"]:
            continue
        found = measures(labels, np.array(record["log_odds"][name]))
        shown = [with_interval(found, key) for key in ("accuracy", "roc_auc", "loss", "calibration_slope")]
        rows.append([str(record["seed"]), WORDS[name], *shown])
    return rows


def _differences(record: Mapping[str, Any]) -> list[str]:
    return [
        with_interval(found, "loss_difference", signed=True) if (found := difference(record, *pair)) else "not run"
        for pair in _COMPARED
    ]


def difference(record: Mapping[str, Any], first: str, second: str) -> dict[str, float]:
    """Return the paired differences of two readers, first minus second; nothing if one has not read the cohort."""
    log_odds = record["log_odds"]
    if first not in log_odds or second not in log_odds:
        return {}
    return compare_out_of_fold(
        np.array(record["labels"]), said(np.array(log_odds[first])), said(np.array(log_odds[second]))
    )


def pooled(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return all phantoms as one cohort; of readers, those that have read every phantom."""
    names = set.intersection(*(set(record["log_odds"]) for record in records))
    return {
        "seed": f"all {len(records)}",
        "labels": [label for record in records for label in record["labels"]],
        "log_odds": {name: [one for record in records for one in record["log_odds"][name]] for name in names},
    }


def goals(records: Sequence[Mapping[str, Any]]) -> list[Goal]:
    """Return what the network had to show on these phantoms."""
    found = []
    for record in [records[0], *([pooled(records)] if len(records) > 1 else [])]:
        found += [
            _better(f"log loss minus {WORDS[other]}, {_cohort(record)}", against)
            for other in (RATIOS, PAPER)
            if (against := difference(record, STRIATUM, other))
        ]
        found.append(_larger_area(record))
    return [*found, _calibrated(records)]


def _larger_area(record: Mapping[str, Any]) -> Goal:
    labels = np.array(record["labels"])
    areas = {
        name: measures(labels, np.array(values))["roc_auc"]
        for name, values in record["log_odds"].items()
        if name in (STRIATUM, RATIOS, PAPER)
    }
    own = areas.pop(STRIATUM)
    wanted = "above " + " and ".join(f"{area:.4f} ({WORDS[name]})" for name, area in areas.items())
    return Goal(
        f"ROC AUC, {_cohort(record)}", wanted, f"{own:.4f}", own > max(areas.values()), "areas near 1 differ little"
    )


def _calibrated(records: Sequence[Mapping[str, Any]]) -> Goal:
    slopes = [
        measures(np.array(record["labels"]), np.array(record["log_odds"][STRIATUM]))["calibration_slope"]
        for record in records
    ]
    return Goal(
        "calibration slope before any recalibration, every seed",
        f"{SLOPE[0]} to {SLOPE[1]}",
        ", ".join(f"{slope:.2f}" for slope in slopes),
        all(SLOPE[0] <= slope <= SLOPE[1] for slope in slopes),
        "above 1 the answers are less sure than they might be",
    )


def _cohort(record: Mapping[str, Any]) -> str:
    return f"phantom seed {record['seed']}" if isinstance(record["seed"], int) else f"{record['seed']} seeds"


def _better(name: str, found: Mapping[str, float]) -> Goal:
    return Goal(
        name,
        "interval below 0",
        with_interval(found, "loss_difference", signed=True),
        found["loss_difference_high"] < 0,
        "the interval holds 0",
    )
