"""Stage `baselines` on a made-up cohort: what it leaves, that it repeats, and what it refuses."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from datspect.errors import CohortError
from datspect.evaluation.metrics import binary_metrics
from datspect.io.arrays import write_array
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table, write_table
from datspect.stages import baselines

N = 36
NAMES = [
    "putamen_sbr_threshold",
    "sbr_regression",
    "sbr_regression_age_sex",
    "voxel_svm",
    "feature_logistic_regression",
    "age_sex",
    "true_binding",
    "network_and_sbr",
]
WriteParams = Callable[..., Path]


@dataclass(frozen=True)
class Inputs:
    """Folders as the stages before would have left them."""

    root: Path
    params: Path

    def run(self, name: str) -> Path:
        folders = [self.root / part for part in ("images", "features", "splits.csv", "cv", "final", name)]
        baselines.main(*folders, self.params)
        return folders[-1]

    def edit(self, path: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        write_table(self.root / path, change(read_table(self.root / path)))


@pytest.fixture
def inputs(tmp_path: Path, write_params: WriteParams, rng: np.random.Generator) -> Inputs:
    """Features, voxels and binding ratios tell the label with some error; ages and sexes tell nothing."""
    is_pd = np.arange(N) % 3 > 0
    subjects = pd.DataFrame(
        {
            "scan_id": [f"S{k:02d}" for k in range(N)],
            "subject_id": [f"P{k:02d}" for k in range(N)],
            "label": np.where(is_pd, "pd", "control"),
            "sex": ["male" if k % 2 else "" for k in range(N)],
            "age": [np.nan if k == 4 else 50.0 + k % 7 for k in range(N)],
        }
    )
    is_test = np.arange(N) < 9
    splits = subjects[["scan_id", "subject_id", "label"]].assign(
        fold=np.arange(N) // 3 % 4 + 1,
        role=np.where(is_test, "test", "train"),
        dev_fold=np.where(is_test, 0, np.arange(N) // 3 % 2 + 1),
    )

    def noisy(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.6, (N, *shape)) + np.where(is_pd, 1, 2).reshape(-1, *[1] * len(shape))

    names = [f"sbr_{name}_{side}" for name in ("caudate", "putamen") for side in ("left", "right")]
    quality = subjects[["scan_id"]].assign(peak_slice=41, **dict(zip(names, noisy(4).T, strict=True)), flags="")
    logits = 4 * (1.5 - noisy())
    network = splits.assign(logit=logits, probability=expit(logits), prediction=np.where(logits >= 0, "pd", "control"))
    columns = ["scan_id", "subject_id", "label"]
    write_table(tmp_path / "images/subjects.csv", subjects)
    truth = quality[["scan_id", *names]].rename(columns=lambda name: name.replace("sbr_", "true_"))
    write_table(tmp_path / "images/quality.csv", quality.sample(frac=1, random_state=1))
    write_table(tmp_path / "images/truth.csv", truth.sample(frac=1, random_state=3))
    write_json(tmp_path / "images/cohort.json", {"kind": "phantom", "n": N})
    write_array(tmp_path / "images/striatum.npy", noisy(4, 3, 2).astype(np.float32))
    write_table(tmp_path / "splits.csv", splits.iloc[::-1])
    write_array(tmp_path / "features/bank.npy", np.stack([noisy(50), noisy(50)]).astype(np.float16))
    write_json(tmp_path / "features/features.json", {"draws": 1})
    said = ["logit", "probability", "prediction"]
    write_json(tmp_path / "cv/metrics.json", {"cohort_kind": "phantom"})
    write_table(tmp_path / "cv/predictions.csv", network[[*columns, "fold", *said]].sample(frac=1, random_state=2))
    write_table(tmp_path / "final/predictions.csv", network.loc[is_test, [*columns, "role", *said]])
    write_table(tmp_path / "final/dev_predictions.csv", network.loc[~is_test, [*columns, "dev_fold", *said]])
    return Inputs(tmp_path, write_params())


def test_every_baseline_predicts_everybody_out_of_fold_and_the_test_set(inputs: Inputs) -> None:
    reports = inputs.run("baselines")
    out_of_fold = read_table(reports / "predictions.csv")
    holdout = read_table(reports / "holdout_predictions.csv")
    ids = ["baseline", "scan_id", "subject_id", "label"]
    assert list(out_of_fold.columns) == [*ids, "fold", "score", "probability", "prediction"]
    assert list(holdout.columns) == [*ids, "role", "score", "probability", "prediction"]
    for table, scans in ((out_of_fold, N), (holdout, 9)):
        assert list(table["baseline"].unique()) == NAMES
        for name, rows in table.groupby("baseline"):
            assert list(rows["scan_id"]) == [f"S{k:02d}" for k in range(scans)]
            has_probability = name not in ("putamen_sbr_threshold", "voxel_svm")
            assert rows["probability"].notna().all() if has_probability else rows["probability"].isna().all()
    quality = read_table(inputs.root / "images/quality.csv").set_index("scan_id").sort_index()
    worse = quality[["sbr_putamen_left", "sbr_putamen_right"]].min(axis=1)
    threshold = out_of_fold[out_of_fold["baseline"] == "putamen_sbr_threshold"]
    np.testing.assert_allclose(threshold["score"], -worse)  # the rows of quality.csv were shuffled


def test_metrics_are_those_of_the_written_predictions(inputs: Inputs) -> None:
    reports = inputs.run("baselines")
    metrics = read_json(reports / "metrics.json")
    assert set(metrics) == {"cohort_kind", "out_of_fold", "holdout"}
    assert metrics["cohort_kind"] == "phantom"
    for part, file, n in (("out_of_fold", "predictions.csv", N), ("holdout", "holdout_predictions.csv", 9)):
        table = read_table(reports / file)
        assert set(metrics[part]) == set(NAMES)
        for name, measures in metrics[part].items():
            rows = table[table["baseline"] == name]
            assert measures["n"] == n
            assert measures["accuracy"] == pytest.approx(np.mean(rows["prediction"] == rows["label"]))
            if rows["probability"].notna().all():
                labels = (rows["label"] == "pd").to_numpy().astype(np.int64)
                expected = binary_metrics(labels, rows["probability"].to_numpy())
                assert {key: measures[key] for key in expected} == pytest.approx(expected)
            assert ("roc_auc_fold_mean" in measures) == (part == "out_of_fold")
        assert metrics[part]["feature_logistic_regression"]["roc_auc"] > 0.9
        assert metrics[part]["age_sex"]["roc_auc_low"] < 0.6


def test_the_network_is_compared_on_the_same_subjects_found_by_scan_id(inputs: Inputs) -> None:
    metrics = read_json(inputs.run("baselines") / "metrics.json")
    for part, path in (("out_of_fold", "cv"), ("holdout", "final")):
        network = read_table(inputs.root / path / "predictions.csv")
        accuracy = np.mean(network["prediction"] == network["label"])
        for measures in metrics[part].values():
            difference = measures["network_minus_this"]["accuracy_difference"]
            assert difference == pytest.approx(accuracy - measures["accuracy"])
    assert "loss_difference" in metrics["out_of_fold"]["sbr_regression"]["network_minus_this"]
    assert "loss_difference" not in metrics["out_of_fold"]["voxel_svm"]["network_minus_this"]
    assert {"mcnemar_p", "delong_p"} <= set(metrics["holdout"]["voxel_svm"]["network_minus_this"])


def test_the_stage_repeats_byte_for_byte_whatever_the_order_of_the_tables(inputs: Inputs) -> None:
    first = inputs.run("first")
    for path in (
        *("splits.csv", "images/quality.csv", "images/truth.csv"),
        *("cv/predictions.csv", "final/predictions.csv", "final/dev_predictions.csv"),
    ):
        inputs.edit(path, lambda table: table.sample(frac=1, random_state=9))
    second = inputs.run("second")
    for name in ("metrics.json", "predictions.csv", "holdout_predictions.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize(
    "path", ["cv/predictions.csv", "final/predictions.csv", "images/quality.csv", "images/truth.csv"]
)
def test_a_table_of_other_scans_is_refused(inputs: Inputs, path: str) -> None:
    inputs.edit(path, lambda table: table.replace({"scan_id": {"S04": "S99"}}))
    with pytest.raises(CohortError, match=r"missing, surplus or repeated: S04, S99; run dvc repro"):
        inputs.run("refused")
    inputs.edit(path, lambda table: table.replace({"scan_id": {"S99": "S05"}}))
    with pytest.raises(CohortError, match=r"missing, surplus or repeated: S04, S05; run dvc repro"):
        inputs.run("refused")


def test_predictions_from_other_folds_are_refused(inputs: Inputs) -> None:
    inputs.edit(
        "cv/predictions.csv", lambda table: table.assign(fold=table["fold"].where(table["scan_id"] != "S07", 1))
    )
    with pytest.raises(CohortError, match="another fold than in the split table: S07"):
        inputs.run("refused")


def test_voxels_of_another_cohort_are_refused(inputs: Inputs) -> None:
    write_array(inputs.root / "images/striatum.npy", np.zeros((N - 1, 4, 3, 2), np.float32))
    with pytest.raises(CohortError, match=f"holds {N - 1} scans, the cohort {N}"):
        inputs.run("refused")


def test_the_ceiling_is_the_reading_of_the_true_binding_and_is_left_out_where_nothing_is_true(inputs: Inputs) -> None:
    with_truth = read_json(inputs.run("phantom") / "metrics.json")
    for part in ("out_of_fold", "holdout"):  # the truth of this cohort is what was measured
        assert with_truth[part]["true_binding"] == with_truth[part]["sbr_regression"]
    inputs.edit("images/truth.csv", lambda table: table[["scan_id"]])
    without = read_json(inputs.run("real") / "metrics.json")
    assert without["out_of_fold"].keys() == with_truth["out_of_fold"].keys() - {"true_binding"}
    for part in ("out_of_fold", "holdout"):
        assert without[part] == {name: with_truth[part][name] for name in without[part]}


def test_the_stack_sees_the_log_odds_of_networks_that_have_not_seen_the_subject(inputs: Inputs) -> None:
    first = read_json(inputs.run("first") / "metrics.json")
    added = first["out_of_fold"]["network_and_sbr"]["this_minus_sbr_regression"]
    assert added["accuracy_difference"] == pytest.approx(
        first["out_of_fold"]["network_and_sbr"]["accuracy"] - first["out_of_fold"]["sbr_regression"]["accuracy"]
    )
    # The regression for the test set is fitted on the development heads' log odds, that out of fold on the ten heads'.
    inputs.edit("final/dev_predictions.csv", lambda table: table.assign(logit=-table["logit"]))
    second = read_json(inputs.run("second") / "metrics.json")
    assert second["out_of_fold"] == first["out_of_fold"]
    changed = {name for name in NAMES if second["holdout"][name] != first["holdout"][name]}
    assert changed == {"network_and_sbr"}
    # A subject's own row takes no part in the fit: its fold's labels are turned, its own answer stays.
    own_fold = read_table(inputs.root / "splits.csv").set_index("scan_id")["fold"]
    in_fold = set(own_fold.index[own_fold == own_fold["S07"]]) - {"S07"}

    def turned(table: pd.DataFrame) -> pd.DataFrame:
        other = table["label"].map({"pd": "control", "control": "pd"})
        return table.assign(label=other.where(table["scan_id"].isin(in_fold), table["label"]))

    score = _score(inputs.root / "second", "S07")
    for path in ("splits.csv", "images/subjects.csv"):
        inputs.edit(path, turned)
    assert _score(inputs.run("third"), "S07") == score


def _score(reports: Path, scan_id: str) -> float:
    table = read_table(reports / "predictions.csv")
    rows = table[(table["baseline"] == "network_and_sbr") & (table["scan_id"] == scan_id)]
    return float(rows["score"].iloc[0])
