"""Check before anything is trained that no subject or image is on both sides of a split, and no easy way round exists.

A finding is one sentence with figures and without ids, so that it may be published. The details hold the ids; only an
error message shows them.
"""

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from datspect.arrays import FloatArray, IntArray
from datspect.evaluation.baselines import Fitted
from datspect.evaluation.comparison import Predictions
from datspect.evaluation.intervals import delong_interval
from datspect.evaluation.metrics import predicted_labels

SPLIT_COLUMNS = ("fold", "role", "dev_fold")
"""Each value of each column is a side; what lies on two sides of one column has leaked."""
GROUPED_COLUMN = "grouped_fold"
"""The same, in a split table that has grouped folds too."""
CHANCE_COVERAGE = 0.999
"""Share of permutations whose area under the ROC curve stays below the limit."""


@dataclass(frozen=True)
class Check:
    """What a check found. `details`: a line a fault, with ids. `advice`: what to do about them."""

    name: str
    passed: bool
    finding: str
    figures: Mapping[str, float] = field(default_factory=dict)
    details: tuple[str, ...] = ()
    advice: str = ""


def check_subject_overlap(splits: pd.DataFrame) -> Check:
    """Check that no subject lies in two folds, two roles or two development folds, and that the three agree.

    `splits`: columns scan_id, subject_id, fold, role, dev_fold, as read: somebody may have edited them. Where there are
    grouped folds, columns group and grouped_fold too: no group lies in two either.
    """
    faults = [fault for column in _columns(splits) for fault in _subjects_on_two_sides(splits, column)]
    faults += [*_impossible_places(splits), *_groups_on_two_sides(splits)]
    n_subjects = splits["subject_id"].nunique()
    finding = f"each of {n_subjects} subjects lies on one side of every split"
    if faults:
        finding = f"{len(faults)} faults in the places of {n_subjects} subjects in the split table"
    figures = {"n_subjects": n_subjects, "n_folds": splits["fold"].nunique(), "n_faults": len(faults)}
    advice = "make the split table anew (dvc repro -f split); it is not to be edited"
    return Check("subject_overlap", not faults, finding, figures, tuple(faults), advice)


def check_image_overlap(scan_ids: list[str], images: NDArray[Any], splits: pd.DataFrame) -> Check:
    """Check that no image, mirrored or not, and no single slice of one lies on two sides of a split.

    Mirrored images count, since the augmentation mirrors. Slices count, since neighbours of one volume may have been
    taken for two scans. Slices of one value, as above the head, do not count.

    `scan_ids`: one for each image. `images`: shape (N, H, W, 3), columns from left to right. `splits`: columns scan_id,
    fold, role, dev_fold, and grouped_fold where there are grouped folds.
    """
    prints = {scan_id: _ImagePrint.of(image) for scan_id, image in zip(scan_ids, images, strict=True)}
    whole = _shared((scan_id, one.image) for scan_id, one in prints.items())
    slices = _shared((scan_id, content) for scan_id, one in prints.items() for content in one.slices)
    faults = [
        f"{_scans(scans)} hold the same image{_if_mirrored(prints, scans)}: {sides}"
        for scans in whole
        if (sides := _sides(splits, scans))
    ]
    faults += [
        f"{_scans(scans)} share a slice: {sides}"
        for scans in slices
        if scans not in whole and (sides := _sides(splits, scans))
    ]
    finding = f"no two of {len(images)} images on different sides are equal, mirrored or not, whole or in a slice"
    if faults:
        finding = f"{len(faults)} images or slices of {len(images)} images lie on two sides of a split"
    advice = "find out whose they are, and remove or correct the scans in the cohort folder"
    figures = {"n_images": len(images), "n_faults": len(faults)}
    return Check("image_overlap", not faults, finding, figures, tuple(faults), advice)


def check_feature_overlap(
    scan_ids: list[str], subject_ids: list[str], clean: NDArray[Any], what: str = "features", of: str = "clean images"
) -> Check:
    """Check that no two subjects have the same features, whatever their images: they are all that the heads see.

    `clean`: shape (N, F), features of the clean images, or `what` is seen of another thing.
    """
    subject_of = dict(zip(scan_ids, subject_ids, strict=True))
    groups = _shared((scan_id, _digest(row)) for scan_id, row in zip(scan_ids, clean, strict=True))
    faults = [
        f"{_scans(scans)} have the same {what}, subjects {', '.join(sorted({subject_of[scan] for scan in scans}))}"
        for scans in groups
        if len({subject_of[scan] for scan in scans}) > 1
    ]
    finding = f"the {what} of {len(clean)} {of} differ from subject to subject"
    if faults:
        finding = f"{len(faults)} rows of {what} belong to more than one of {len(set(subject_ids))} subjects"
    advice = (
        "make the bank anew (dvc repro -f features); if it stays so, compare these scans and the backbone's weights"
    )
    figures = {"n_images": len(clean), "n_faults": len(faults)}
    return Check("feature_overlap", not faults, finding, figures, tuple(faults), advice)


def permuted_labels(labels: IntArray, subject_ids: list[str], seed: int) -> IntArray:
    """Deal the labels, shape (N,), out anew among the subjects; scans of one subject stay alike. Return shape (N,)."""
    _, first, member = np.unique(np.asarray(subject_ids), return_index=True, return_inverse=True)
    return np.asarray(np.random.default_rng(seed).permutation(labels[first])[member])


def check_permuted_labels(labels: IntArray, scores: FloatArray) -> Check:
    """Check that a training on labels without meaning does not predict them beyond chance: if so, it has seen them.

    Only too high a value fails. Values below 0.5 are a known effect of cross-validation: the held-out class is the
    rarer one among those left to train on.

    `labels`: the permuted ones, shape (N,), 1 for PD. `scores`: shape (N,), out-of-fold scores of the training on them;
    NaN for a scan that no fold holds out.
    """
    from sklearn.metrics import roc_auc_score  # here, as in `fit_regression`

    held_out = np.isfinite(scores)
    labels, scores = labels[held_out], scores[held_out]
    auc, limit = float(roc_auc_score(labels, scores)), chance_limit(labels)
    passed = auc < limit
    finding = (
        f"trained on permuted labels, out-of-fold ROC AUC is {auc:.3f}, "
        f"{'below' if passed else 'not below'} the {limit:.3f} that chance may give"
    )
    detail = f"expected ROC AUC below {limit:.3f} on {len(labels)} scans with labels dealt by chance, found {auc:.3f}"
    advice = "held-out labels reach the training: look for copies of subjects under other ids, and at the trainer"
    figures = {"roc_auc": auc, "limit": limit}
    return Check("permuted_labels", passed, finding, figures, () if passed else (detail,), advice)


def chance_limit(labels: IntArray) -> float:
    """Return the limit below which `CHANCE_COVERAGE` of all permutations leave the out-of-fold ROC AUC; labels (N,).

    For scores that do not depend on the labels the area is the Mann-Whitney statistic over m n, of standard deviation
    s = sqrt((m + n + 1) / (12 m n)) for m of PD and n controls. Out-of-fold scores do depend on them: subject i is
    scored by what was learnt from j, and j by what was learnt from i, with about the same weight. Each pair counts
    twice, which doubles the variance: the limit is 0.5 + z sqrt(2) s, or 1 if that is less. Ridge classifiers on the
    phantom's features were measured to spread by 1.3 to 1.5 s.

    References
    ----------
    Mann, Whitney, Annals of Mathematical Statistics 18 (1947), 50-60 (s). The doubling is ours.
    """
    m, n = int(labels.sum()), int(len(labels) - labels.sum())
    return min(1.0, 0.5 + float(ndtri(CHANCE_COVERAGE) * np.sqrt(2 * (m + n + 1) / (12 * m * n))))


def check_label_from(
    name: str, what: str, labels: IntArray, said: Predictions, limit: float, details: list[str]
) -> Check:
    """Check that what should not tell the label does not: the lower bound of its ROC AUC stays within the limit.

    An area that chance may give, see `chance_limit`, passes too: DeLong's interval is for scores that were not learnt
    from the same subjects, and is too short for those of a small cohort.

    `name`: of the check, `<what>_predicts_label`. `labels`: shape (N,), 1 for PD. `said`: out-of-fold predictions from
    `what` alone. `limit`: largest lower bound of DeLong's interval that passes. `details`: how `what` is spread over
    the labels, for the message.
    """
    from sklearn.metrics import roc_auc_score  # here, as in `fit_regression`

    auc = float(roc_auc_score(labels, said.scores))
    low, high = delong_interval(labels, said.scores)
    by_chance = chance_limit(labels)
    passed = low <= limit or auc < by_chance
    if low <= limit:
        verdict = f"the lower bound is within the limit of {limit:g}"
    elif passed:
        verdict = f"the lower bound is above {limit:g}, but chance alone may give so few subjects up to {by_chance:.3f}"
    else:
        verdict = f"the lower bound is above the limit of {limit:g}"
    finding = f"{what} alone: out-of-fold ROC AUC for the label {auc:.3f} ({low:.3f} to {high:.3f}); {verdict}"
    figures = {"roc_auc": auc, "roc_auc_low": low, "roc_auc_high": high, "limit": limit, "chance_limit": by_chance}
    advice = (
        f"a network that only recognises {what} would look as good: balance the cohort, or, knowing this, raise "
        f"checks.{name.removesuffix('_predicts_label')}_auc"
    )
    return Check(name, passed, finding, figures, () if passed else tuple(details), advice)


def fit_group_share(columns: FloatArray, labels: IntArray) -> Fitted:
    """Fit the share of PD in each group of the training part, shrunk by one subject towards the share of all.

    `columns`: the number of the group, shape (N, 1). A group without anyone to train on gets the share of all.
    """
    of_all = (labels.sum() + 1) / (len(labels) + 2)
    shares = {
        group: (labels[columns[:, 0] == group].sum() + of_all) / (np.sum(columns[:, 0] == group) + 1)
        for group in np.unique(columns[:, 0])
    }

    def fitted(columns: FloatArray) -> Predictions:
        share = np.array([shares.get(group, of_all) for group in columns[:, 0]])
        return Predictions(predicted_labels(share), share, share)

    return fitted


@dataclass(frozen=True)
class _ImagePrint:
    """Digests of an image and of its slices. `direct` changes when the image is mirrored; the others do not."""

    image: Hashable
    slices: frozenset[Hashable]
    direct: Hashable

    @classmethod
    def of(cls, image: NDArray[Any]) -> "_ImagePrint":
        slices = [image[:, :, channel] for channel in range(image.shape[2])]
        direct = tuple(_digest(one) for one in slices)
        mirrored = tuple(_digest(one[:, ::-1]) for one in slices)
        either_way = [min(pair) for pair in zip(direct, mirrored, strict=True)]
        varying = [digest for digest, one in zip(either_way, slices, strict=True) if one.min() < one.max()]
        return cls(min(direct, mirrored), frozenset(varying), direct)


def _digest(values: NDArray[Any]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(values).data).digest()


def _shared(contents: Iterable[tuple[str, Hashable]]) -> list[tuple[str, ...]]:
    """Return groups of two or more scans with one content, each group once; sorted."""
    scans_of: dict[Hashable, set[str]] = {}
    for scan_id, content in contents:
        scans_of.setdefault(content, set()).add(scan_id)
    return sorted({tuple(sorted(scans)) for scans in scans_of.values() if len(scans) > 1})


def _sides(splits: pd.DataFrame, scans: tuple[str, ...]) -> str:
    """Return on which sides the scans lie, for each split of which they touch more than one; "" if there is none."""
    rows = splits[splits["scan_id"].isin(scans)]
    apart = [column for column in _columns(splits) if len(rows[column].unique()) > 1]
    return "; ".join(f"{column} {_listed(rows[column])}" for column in apart)


def _if_mirrored(prints: dict[str, _ImagePrint], scans: tuple[str, ...]) -> str:
    return ", one of them mirrored" if len({prints[scan].direct for scan in scans}) > 1 else ""


def _scans(scans: Iterable[str]) -> str:
    return f"scans {', '.join(scans)}"


def _listed(values: "pd.Series[Any]") -> str:
    return " and ".join(str(value) for value in sorted(set(values), key=str))


def _columns(splits: pd.DataFrame) -> list[str]:
    return [*SPLIT_COLUMNS, *([GROUPED_COLUMN] if GROUPED_COLUMN in splits else [])]


def _groups_on_two_sides(splits: pd.DataFrame) -> list[str]:
    if GROUPED_COLUMN not in splits:
        return []
    sides = splits.groupby("group")[GROUPED_COLUMN].unique()
    return [
        f"group {group}: {GROUPED_COLUMN} {_listed(pd.Series(found))}; expected one only"
        for group, found in sides.items()
        if len(found) > 1
    ]


def _subjects_on_two_sides(splits: pd.DataFrame, column: str) -> list[str]:
    n_sides = splits.groupby("subject_id")[column].nunique(dropna=False)
    return [
        f"subject {subject_id} ({_scans(sorted(set(rows['scan_id'])))}): {column} {_listed(rows[column])}; "
        "expected one only"
        for subject_id, rows in splits[splits["subject_id"].isin(n_sides.index[n_sides > 1])].groupby("subject_id")
    ]


def _impossible_places(splits: pd.DataFrame) -> list[str]:
    fold, dev_fold = (pd.to_numeric(splits[column], errors="coerce") for column in ("fold", "dev_fold"))
    faults = {
        "fold: expected a number from 1": ~(fold >= 1),
        "role: expected train or test": ~splits["role"].isin(["train", "test"]),
        "dev_fold: expected 0 for the role test": (splits["role"] == "test") & (dev_fold != 0),
        "dev_fold: expected a number from 1 for the role train": (splits["role"] == "train") & ~(dev_fold >= 1),
    }
    return [
        f"scan {row.scan_id}: {what}, found fold {row.fold}, role {row.role}, dev_fold {row.dev_fold}"
        for what, wrong in faults.items()
        for row in splits[wrong].itertuples()
    ]
