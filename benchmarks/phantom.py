"""Is the phantom as hard as real scans? The acceptance figures over several seeds; nothing is written.

python benchmarks/phantom.py [--seeds 0 1 2 3 4] [--truth FOLDER] [--quick] [--json FILE] [--into PAGE]
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from datspect.cohort.kind import CohortKind
from datspect.imaging.quantification import asymmetry_index
from datspect.params.data import PhantomParams
from datspect.params.whole import load_params
from datspect.phantom.binding import MEASURED
from datspect.phantom.cohort import Laboratory, build_laboratory, cohort_members, simulate, truth_row
from datspect.reporting.markdown import markdown_table
from datspect.running.progress import progress
from measuring import page_parser, publish

# Mean and sd of caudate and putamen (mean of both sides), as published for PPMI.
PUBLISHED = {
    ("control", "caudate"): (2.99, 0.62),
    ("control", "putamen"): (2.14, 0.57),
    ("pd", "caudate"): (1.99, 0.57),
    ("pd", "putamen"): (0.84, 0.34),
}


def main() -> None:
    """Simulate, measure, print."""
    parser = page_parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--truth", type=Path, help="folder of truth tables, truth-SEED.csv; what is missing is added")
    arguments = parser.parse_args()
    params = load_params(Path("params.yaml")).phantom
    seeds = arguments.seeds
    if arguments.quick:
        seeds, params = seeds[:1], params.model_copy(update={"n_pd": 60, "n_control": 30})
    figures = [
        acceptance_figures(truth_of(params.model_copy(update={"seed": seed}), arguments.truth)) for seed in seeds
    ]
    table = pd.DataFrame(figures)
    rows = [["figure", "mean", "lowest", "highest", "wanted"]]
    for name in table:
        values = table[name]
        rows.append([name, *(f"{x:.3f}" for x in (values.mean(), values.min(), values.max())), wanted(name)])
    said = (
        f"{CohortKind.PHANTOM.caption}, {params.n_pd + params.n_control} subjects, seeds {', '.join(map(str, seeds))}:"
    )
    publish(arguments, [said, markdown_table(rows)], {"seeds": figures})


def truth_of(params: PhantomParams, folder: Path | None) -> pd.DataFrame:
    """The truth table of a whole cohort, from the folder if it is there."""
    path = folder / f"truth-{params.seed}.csv" if folder else None
    if path and path.is_file():
        return pd.read_csv(path)
    truth = simulate_truth(build_laboratory(params))
    if path:
        truth.to_csv(path, index=False)
    return truth


def simulate_truth(laboratory: Laboratory) -> pd.DataFrame:
    """The truth table of a whole cohort, its volumes thrown away."""
    members = cohort_members(laboratory.params)
    rows = Parallel(n_jobs=-1, return_as="generator")(
        delayed(_truth)(laboratory, label, index) for label, index in members
    )
    return pd.DataFrame(progress(rows, total=len(members), what=f"seed {laboratory.params.seed}", unit="scans"))


def _truth(laboratory: Laboratory, label: str, index: int) -> dict[str, object]:
    return truth_row(simulate(laboratory, label, index), laboratory.regions)


def acceptance_figures(truth: pd.DataFrame) -> dict[str, float]:
    """Everything that the cohort is held to, by name."""
    is_pd = (truth["label"] == "pd").to_numpy()
    sides = {
        region: truth[[f"measured_{region}_left", f"measured_{region}_right"]].to_numpy()
        for region in ("caudate", "putamen", "putamen_anterior", "putamen_posterior")
    }
    figures: dict[str, float] = {}
    for label, region in PUBLISHED:
        values = sides[region].mean(axis=1)[is_pd == (label == "pd")]
        figures[f"{label} {region} mean"] = values.mean()
        figures[f"{label} {region} sd"] = values.std(ddof=1)
    putamen = sides["putamen"]
    asymmetry = np.array([asymmetry_index(left, right) * 100 for left, right in putamen])
    figures["control putamen asymmetry %"] = asymmetry[~is_pd].mean()
    figures["pd putamen asymmetry %"] = asymmetry[is_pd].mean()
    figures["AUC worse putamen"] = roc_auc_score(is_pd, -putamen.min(axis=1))
    figures["AUC mean putamen"] = roc_auc_score(is_pd, -putamen.mean(axis=1))
    worse = putamen.argmin(axis=1)
    figures["AUC worse-side caudate"] = roc_auc_score(is_pd, -sides["caudate"][np.arange(len(worse)), worse])
    ratio = sides["putamen_posterior"] / sides["putamen_anterior"]
    figures["control posterior/anterior"] = float(np.median(ratio[~is_pd]))
    figures["pd posterior/anterior"] = float(np.median(ratio[is_pd]))
    figures["AUC posterior/anterior, mean"] = roc_auc_score(is_pd, -ratio.mean(axis=1))
    figures["AUC posterior/anterior, worse"] = roc_auc_score(is_pd, -ratio.min(axis=1))
    regional = truth[[f"measured_{region}" for region in MEASURED]].to_numpy()
    figures["AUC logistic, all regions"] = _cross_validated_auc(StandardScaler(), regional, is_pd)
    figures["AUC site"] = _cross_validated_auc(OneHotEncoder(handle_unknown="ignore"), truth[["site"]], is_pd)
    figures["peak slice 41 +- 1"] = float(truth["peak_slice"].between(40, 42).mean())
    figures["peak slice mean, control"] = float(truth["peak_slice"][~is_pd].mean())
    figures["peak slice mean, pd"] = float(truth["peak_slice"][is_pd].mean())
    return figures


def _cross_validated_auc(preparation: object, columns: object, is_pd: np.ndarray) -> float:
    model = make_pipeline(preparation, LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    return float(cross_val_score(model, columns, is_pd, cv=folds, scoring="roc_auc").mean())


def wanted(name: str) -> str:
    """What the figure should be, in words."""
    for (label, region), (mean, sd) in PUBLISHED.items():
        if name == f"{label} {region} mean":
            return f"{0.9 * mean:.2f} to {1.1 * mean:.2f}"
        if name == f"{label} {region} sd":
            return f"{0.8 * sd:.2f} to {1.2 * sd:.2f}"
    limits = {
        "control putamen asymmetry %": "about 11.8",
        "pd putamen asymmetry %": "about 36.5",
        "AUC worse putamen": "0.965 to 0.985",
        "AUC mean putamen": "about 0.974",
        "AUC worse-side caudate": "about 0.921",
        "AUC posterior/anterior, mean": "at most 0.95",
        "AUC posterior/anterior, worse": "at most 0.95",
        "AUC logistic, all regions": "at most 0.99",
        "AUC site": "0.5 within noise",
        "peak slice 41 +- 1": "at least 0.9",
    }
    return limits.get(name, "")


if __name__ == "__main__":
    sys.exit(main())
