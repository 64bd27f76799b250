"""Tables of who is in the cohort, who was left out, and how well each group is classified."""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from datspect.cohort.table import CONTROL, PD
from datspect.evaluation.baselines import worse_putamen_sbr
from datspect.evaluation.intervals import wilson_interval, with_bounds
from datspect.evaluation.metrics import THRESHOLD
from datspect.reporting.markdown import markdown_table
from datspect.reporting.paper_tables import with_interval

AGE_BANDS = {"< 50": (-np.inf, 50.0), "50-59": (50.0, 60.0), "60-69": (60.0, 70.0), ">= 70": (70.0, np.inf)}
"""Bands of age in whole years, the upper bound not included."""
LABEL_NAMES = {CONTROL: "control", PD: "PD"}
GROUP_COLUMNS = ["group", *LABEL_NAMES.values(), "accuracy", "sensitivity", "specificity"]
UNKNOWN = "unknown"
MOST_SITES = 20
MOST_REASONS = 15
MOST_ERRORS = 20

Groups = Iterator[tuple[str, "pd.Series[bool]"]]


def people_table(subjects: pd.DataFrame) -> str:
    """Return sex and age of each label."""
    sexes = sorted(set(_sex(subjects)), key=lambda sex: (sex == UNKNOWN, sex))
    rows = [["label", "n", *sexes, "age: mean ± sd", "range", "age unknown"]]
    for label, name in (*LABEL_NAMES.items(), ("", "all")):
        table = subjects[subjects["label"] == label] if label else subjects
        counts = [f"{(_sex(table) == sex).sum()}" for sex in sexes]
        rows.append([name, f"{len(table)}", *counts, *_ages(table["age"])])
    return markdown_table(rows)


def accuracy_by_group(subjects: pd.DataFrame, predictions: pd.DataFrame) -> str:
    """Return out-of-fold accuracy, sensitivity and specificity by sex and age band."""
    table = with_predictions(subjects, predictions)
    groups = [*by_sex(table), *by_age(table)]
    return markdown_table([GROUP_COLUMNS, *([name, *group_cells(table[inside])] for name, inside in groups)])


def sites_table(subjects: pd.DataFrame, predictions: pd.DataFrame) -> str:
    """Return controls, PD and out-of-fold accuracy by site, larger ones first, those beyond `MOST_SITES` in one row."""
    table = with_predictions(subjects, predictions)
    sites = table["site"].where(table["site"] != "", UNKNOWN)
    sizes = sorted(sites.value_counts().items(), key=lambda item: (-item[1], str(item[0])))
    shown = [str(site) for site, _ in (sizes if len(sizes) <= MOST_SITES else sizes[: MOST_SITES - 1])]
    groups = [(site, sites == site) for site in shown]
    if len(sizes) > len(shown):
        groups.append((f"{len(sizes) - len(shown)} smaller sites", ~sites.isin(shown)))
    rows = [["site", *LABEL_NAMES.values(), "accuracy"]]
    rows += [[name, *group_cells(table[inside])[:3]] for name, inside in groups]
    return markdown_table(rows)


def excluded_table(excluded: pd.DataFrame, subjects: pd.DataFrame) -> str:
    """Return how many scans were left out for which reason; the reasons lose their ids."""
    ids = {*excluded["scan_id"], *subjects["scan_id"], *subjects["subject_id"]}
    counts = excluded["reason"].map(lambda reason: _without_ids(reason, ids)).value_counts()
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    rows = [["reason", "scans"], *([str(reason), f"{count}"] for reason, count in ordered[:MOST_REASONS])]
    if len(ordered) > MOST_REASONS:
        rest = sum(count for _, count in ordered[MOST_REASONS:])
        rows.append([f"{len(ordered) - MOST_REASONS} other reasons", f"{rest}"])
    return markdown_table(rows)


def errors_table(predictions: pd.DataFrame, subjects: pd.DataFrame, quality: pd.DataFrame) -> str:
    """Return the subjects that were misclassified out of fold, most certain errors first, at most `MOST_ERRORS`."""
    wrong = predictions[predictions["prediction"] != predictions["label"]]
    wrong = wrong.merge(subjects[["scan_id", "site"]], on="scan_id").merge(quality, on="scan_id")
    distance = (wrong["probability"] - THRESHOLD).abs()
    wrong = wrong.assign(distance=distance, sbr=worse_putamen_sbr(wrong))
    wrong = wrong.sort_values(["distance", "scan_id"], ascending=[False, True])
    rows = [["scan", "label", "site", "fold", "P(PD)", "SBR, worse putamen"]]
    for _, scan in wrong.head(MOST_ERRORS).iterrows():
        place = [scan["scan_id"], LABEL_NAMES[scan["label"]], scan["site"] or UNKNOWN]
        rows.append([*place, f"{scan['fold']}", f"{scan['probability']:.4f}", f"{scan['sbr']:.2f}"])
    return markdown_table(rows, n_text_columns=3)


def quality_flags(quality: pd.DataFrame) -> dict[str, int]:
    """Return how many scans carry each flag, by name."""
    flags = quality["flags"].str.split().explode().dropna()
    return {str(flag): int(count) for flag, count in sorted(flags.value_counts().items())}


def with_predictions(subjects: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the subjects that were predicted, with `prediction` and whether it is `right`."""
    table = subjects.merge(predictions[["scan_id", "prediction"]], on="scan_id", validate="one_to_one")
    return table.assign(right=table["prediction"] == table["label"])


def by_sex(table: pd.DataFrame) -> Groups:
    """Yield name and rows, bool, of each sex, the unknown last."""
    sexes = _sex(table)
    for sex in sorted(set(sexes), key=lambda sex: (sex == UNKNOWN, sex)):
        yield f"sex: {sex}", sexes == sex


def by_age(table: pd.DataFrame) -> Groups:
    """Yield name and rows, bool, of each age band and of unknown ages."""
    for name, (low, high) in AGE_BANDS.items():
        yield f"age: {name}", (table["age"] >= low) & (table["age"] < high)
    if table["age"].isna().any():
        yield f"age: {UNKNOWN}", table["age"].isna()


def _sex(table: pd.DataFrame) -> "pd.Series[str]":
    return table["sex"].where(table["sex"] != "", UNKNOWN)


def _ages(ages: "pd.Series[float]") -> list[str]:
    known = ages.dropna()
    if known.empty:
        return ["", "", f"{len(ages)}"]
    spread = f" ± {known.std():.1f}" if len(known) > 1 else ""
    return [f"{known.mean():.1f}{spread}", f"{known.min():.0f} to {known.max():.0f}", f"{ages.isna().sum()}"]


def group_cells(table: pd.DataFrame, least: int = 1) -> list[str]:
    """Return numbers of controls and PD, then the shares that are right of all, of PD and of controls.

    `table` comes from `with_predictions`. A share of fewer than `least` subjects is left empty.
    """
    right, is_control, is_pd = table["right"], table["label"] == CONTROL, table["label"] == PD
    shares = [_share(part) if len(part) >= least else "" for part in (right, right[is_pd], right[is_control])]
    return [f"{is_control.sum()}", f"{is_pd.sum()}", *shares]


def _share(right: "pd.Series[bool]") -> str:
    n, n_right = len(right), int(right.sum())
    return with_interval(with_bounds("share", n_right / n, wilson_interval(n_right, n)), "share")


def _without_ids(reason: str, ids: set[str]) -> str:
    words = [word.replace(name, "…") if (name := word.strip(",:;")) in ids else word for word in reason.split()]
    return re.sub("…(, …)+", "…", " ".join(words))
