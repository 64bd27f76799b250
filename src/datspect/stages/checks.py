"""Stage `checks`: stop the graph before any training if a split leaks, or if the label can be had without the image."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.cohort.kind import CohortKind
from datspect.cohort.scope import Scope
from datspect.cohort.table import LABELS, targets
from datspect.errors import CohortError, LeakageError
from datspect.evaluation.baselines import (
    Baseline,
    age_sex_columns,
    fold_parts,
    held_out_predictions,
    logistic_regression,
)
from datspect.evaluation.leakage import (
    Check,
    check_feature_overlap,
    check_image_overlap,
    check_label_from,
    check_permuted_labels,
    check_subject_overlap,
    fit_group_share,
    permuted_labels,
)
from datspect.io.arrays import read_array
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table
from datspect.modeling.ensemble import SlabMaterial, fit_ensemble
from datspect.modeling.heads import FittedHead, Head
from datspect.params.base import PARAMS_PATH, Sections, read_params
from datspect.params.data import NO_GROUP, SIGNATURE, SplitParams
from datspect.params.judging import ChecksParams
from datspect.params.network import ClassifierParams, TrainingParams
from datspect.params.recipes import read_recipe_in_force
from datspect.params.striatum import Model, StriatumParams
from datspect.running.launch import launch
from datspect.running.progress import progress
from datspect.training import crossval
from datspect.training.bank import read_bank
from datspect.training.data import TrainingInputs, in_order, read_lowered
from datspect.training.splitting import NO_FOLD

AGE_SEX_C = 1.0
"""Inverse strength of the ridge on age and sex: too few columns for it to matter."""
MOST_DETAILS = 20
"""Lines of one check in an error message."""

_SEEN = {"paper": ("features", "clean images"), "striatum": ("slabs", "unaltered scans")}
"""What the heads or networks of a model see, and of what."""
_TRAINING = "checks: permuted labels"

log = logging.getLogger("datspect.checks")


class Read(Sections):
    """The sections that the stage reads."""

    classifier: ClassifierParams
    training: TrainingParams
    checks: ChecksParams
    split: SplitParams
    model: Model
    striatum: StriatumParams


@dataclass(frozen=True)
class _Evidence:
    """What is checked.

    scope : what the findings are of
    subjects, images : N rows, and shape (N, H, W, 3), both in the order of `bank`, shape (draws + 1, N, F)
    splits : the table as it is, with group and grouped_fold beside it where there are grouped folds
    cameras : columns signature and group, in the order of `subjects`
    folds : shape (N,), the first fold that the table gives a scan, `NO_FOLD` for none
    lowered : controls that count as pd in a draw, shape (draws, N); None where the bank holds no slabs
    """

    scope: Scope
    subjects: pd.DataFrame
    splits: pd.DataFrame
    cameras: pd.DataFrame
    folds: NDArray[np.int64]
    images: FloatArray
    bank: NDArray[np.float16]
    lowered: BoolArray | None

    @property
    def targets(self) -> NDArray[np.int64]:
        """Return 1 for PD and 0 for control, shape (N,)."""
        return targets(self.subjects["label"])


def main(
    images_folder: Path,
    features_folder: Path,
    splits_path: Path,
    cameras_path: Path,
    reports_folder: Path,
    params_path: Path = PARAMS_PATH,
) -> None:
    """Run every check and write what they found; only if all have passed, write passed.json too.

    Raises
    ------
    LeakageError : a check has failed; the message holds every fault of every check.
    """
    params = read_params(Read, params_path)
    passed_path = reports_folder / "passed.json"
    passed_path.unlink(missing_ok=True)
    recipe = read_recipe_in_force(params_path).named
    inputs = TrainingInputs.within(images_folder, features_folder, splits_path)
    evidence = _read(images_folder, inputs, cameras_path, recipe)
    checks = _run_checks(evidence, params)
    findings = {check.name: {"passed": check.passed, "finding": check.finding, **check.figures} for check in checks}
    write_json(reports_folder / "metrics.json", {**evidence.scope.record, "checks": findings})
    for check in checks:
        log.info("%s %s: %s", "passed" if check.passed else "FAILED", check.name, check.finding)
    failed = [check for check in checks if not check.passed]
    if failed:
        raise LeakageError(_message(failed, len(checks)))
    # Names alone, so that what depends on this file is not run again when a figure changes.
    write_json(passed_path, {"passed": sorted(check.name for check in checks)})
    log.info("all %d checks passed (%s)", len(checks), evidence.scope.caption)


def _read(images_folder: Path, inputs: TrainingInputs, cameras_path: Path, recipe: str) -> _Evidence:
    subjects = read_table(inputs.subjects, ["scan_id", "subject_id", "label", "sex", "age", "site"])
    splits = read_table(inputs.splits, ["scan_id", "subject_id", "label", "fold", "role", "dev_fold"])
    images, bank = read_array(images_folder / "images.npy", memory_mapped=True), read_bank(inputs.bank)
    if set(subjects["scan_id"]) != set(splits["scan_id"]) or not len(images) == len(subjects) == bank.shape[1]:
        raise CohortError(
            f"{inputs.splits} has {splits['scan_id'].nunique()} scans, {inputs.subjects} {len(subjects)}, images.npy "
            f"{len(images)} and the bank {bank.shape[1]}: they are not of one cohort; run dvc repro"
        )
    # The table may be at fault, which the first check says: the others go on with what it gives first.
    fold_of = splits.drop_duplicates("scan_id").set_index("scan_id")["fold"].loc[subjects["scan_id"]]
    folds = pd.to_numeric(fold_of, errors="coerce").fillna(NO_FOLD).to_numpy(np.int64)
    if len(np.unique(folds[folds != NO_FOLD])) < 2:
        raise CohortError(f"{inputs.splits}: expected two or more folds; make it anew (dvc repro -f split)")
    cameras = read_table(cameras_path, ["scan_id", "signature", "group", "grouped_fold"])
    cameras = in_order(cameras, subjects["scan_id"], cameras_path)
    if (cameras["grouped_fold"] != NO_FOLD).any():
        splits = splits.merge(cameras[["scan_id", "group", "grouped_fold"]], on="scan_id")
    scope = Scope(CohortKind.of(read_json(inputs.cohort)["kind"]), recipe)
    return _Evidence(scope, subjects, splits, cameras, folds, images, bank, read_lowered(inputs))


def _run_checks(evidence: _Evidence, params: Read) -> list[Check]:
    scan_ids, subject_ids = list(evidence.subjects["scan_id"]), list(evidence.subjects["subject_id"])
    return [
        check_subject_overlap(evidence.splits),
        check_image_overlap(scan_ids, evidence.images, evidence.splits),
        check_feature_overlap(scan_ids, subject_ids, evidence.bank[0], *_SEEN[params.model]),
        _check_groups("site", "site", evidence.subjects["site"], evidence, params.checks.site_auc),
        _check_camera(evidence, params.split.group, params.checks.camera_auc),
        _check_age_sex(evidence, params.checks.age_sex_auc),
        _check_training(evidence, params),
    ]


def _check_camera(evidence: _Evidence, group: str, limit: float) -> Check:
    """Check the column that grouped folds go by; else the signature, since sites have a check of their own."""
    if group in (NO_GROUP, "site", SIGNATURE):
        return _check_groups("camera", "camera by its signature", evidence.cameras["signature"], evidence, limit)
    return _check_groups("camera", f"camera by {group}", evidence.cameras["group"], evidence, limit)


def _check_groups(name: str, what: str, groups: "pd.Series[str]", evidence: _Evidence, limit: float) -> Check:
    codes = pd.factorize(groups)[0].astype(np.float64)[:, None]
    said = held_out_predictions(Baseline(name, codes, fit_group_share), evidence.targets, fold_parts(evidence.folds))
    counts = pd.crosstab(groups, evidence.subjects["label"]).reindex(columns=list(LABELS), fill_value=0)
    details = [
        f"{name} {group or 'unknown'}: {n_control} control, {n_pd} pd"
        for group, n_control, n_pd in zip(counts.index.astype(str), *(counts[label] for label in LABELS), strict=True)
    ]
    return check_label_from(f"{name}_predicts_label", what, evidence.targets, said, limit, details)


def _check_age_sex(evidence: _Evidence, limit: float) -> Check:
    columns = age_sex_columns(evidence.subjects)
    said = held_out_predictions(
        Baseline("age_sex", columns, logistic_regression(AGE_SEX_C)), evidence.targets, fold_parts(evidence.folds)
    )
    details = [
        f"{label}: mean age {rows['age'].mean():.1f} years; "
        + ", ".join(f"{count} {sex or 'of unknown sex'}" for sex, count in rows["sex"].value_counts().items())
        for label, rows in evidence.subjects.groupby("label")
    ]
    return check_label_from("age_sex_predicts_label", "age and sex", evidence.targets, said, limit, details)


def _check_training(evidence: _Evidence, params: Read) -> Check:
    """Train as stage `cv` does, but shorter, an ensemble of one network only, and on labels without meaning."""
    labels = permuted_labels(evidence.targets, list(evidence.subjects["subject_id"]), params.checks.seed)
    training = params.training.model_copy(update={"epochs": params.checks.permuted_epochs})
    heads = crossval.cv_heads(evidence.folds, params.classifier, training)
    if params.model == "striatum":
        fitted = _small_networks(heads, evidence, labels, params)
    else:
        fitted = crossval.train(heads, evidence.bank, labels, training.batch_size, _TRAINING)
    return check_permuted_labels(labels, crossval.out_of_fold_logits(heads, fitted, evidence.bank[0]))


def _small_networks(heads: list[Head], evidence: _Evidence, labels: IntArray, params: Read) -> list[FittedHead]:
    if evidence.lowered is None:
        raise CohortError("the bank holds no slabs; run stage features with model: striatum (dvc repro)")
    alone = params.striatum.model_copy(update={"members": 1})
    material = SlabMaterial(evidence.bank, labels, evidence.lowered, alone, params.training.batch_size)
    bar: tqdm[Head] = progress(heads, total=len(heads), what=_TRAINING, unit="heads")
    return [fit_ensemble(head, material) for head in bar]


def _message(failed: list[Check], n_checks: int) -> str:
    lines = [f"{len(failed)} of {n_checks} checks failed; nothing is trained until they pass"]
    for check in failed:
        lines.append(f"{check.name}: {check.finding}")
        lines += [f"  {detail}" for detail in check.details[:MOST_DETAILS]]
        if len(check.details) > MOST_DETAILS:
            lines.append(f"  and {len(check.details) - MOST_DETAILS} more")
        lines.append(f"  what to do: {check.advice}")
    return "\n  ".join(lines)


if __name__ == "__main__":
    launch(main, "reports_folder")
