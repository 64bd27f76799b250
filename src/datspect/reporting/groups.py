"""Who is in the cohort, who was left out, and how well each group is classified."""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from datspect.evaluation.intervals import wilson_interval
from datspect.reporting.markdown import markdown_table

AGE_BANDS = {"< 50": (-np.inf, 50.0), "50-59": (50.0, 60.0), "60-69": (60.0, 70.0), ">= 70": (70.0, np.inf)}
"""Bands of age in whole years, the upper bound not included."""
LABEL_NAMES = {"control": "control", "pd": "PD"}
UNKNOWN = "unknown"
MOST_SITES = 20
MOST_REASONS = 15
MOST_ERRORS = 20

Groups = Iterator[tuple[str, "pd.Series[bool]"]]


def people_table(subjects: pd.DataFrame) -> str:
    """Sex and age of each label."""
    sexes = sorted(set(_sex(subjects)), key=lambda sex: (sex == UNKNOWN, sex))
    rows = [["label", "n", *sexes, "age: mean ± sd", "range", "age unknown"]]
    for label, name in (*LABEL_NAMES.items(), ("", "all")):
        table = subjects[subjects["label"] == label] if label else subjects
        counts = [f"{(_sex(table) == sex).sum()}" for sex in sexes]
        rows.append([name, f"{len(table)}", *counts, *_ages(table["age"])])
    return markdown_table(rows)


def accuracy_by_group(subjects: pd.DataFrame, predictions: pd.DataFrame) -> str:
    """Out-of-fold accuracy, sensitivity and specificity by sex and age band."""
    table = _with_predictions(subjects, predictions)
    rows = [["group", *LABEL_NAMES.values(), "accuracy", "sensitivity", "specificity"]]
    for name, inside in [*_by_sex(table), *_by_age(table)]:
        rows.append([name, *_counts(table[inside]), *_proportions(table[inside])])
    return markdown_table(rows)


def sites_table(subjects: pd.DataFrame, predictions: pd.DataFrame) -> str:
    """Controls, PD and out-of-fold accuracy by site, the larger ones first, those beyond `MOST_SITES` as one row."""
    table = _with_predictions(subjects, predictions)
    sites = table["site"].where(table["site"] != "", UNKNOWN)
    sizes = sorted(sites.value_counts().items(), key=lambda item: (-item[1], str(item[0])))
    shown = [str(site) for site, _ in (sizes if len(sizes) <= MOST_SITES else sizes[: MOST_SITES - 1])]
    groups = [(site, sites == site) for site in shown]
    if len(sizes) > len(shown):
        groups.append((f"{len(sizes) - len(shown)} smaller sites", ~sites.isin(shown)))
    rows = [["site", *LABEL_NAMES.values(), "accuracy"]]
    rows += [[name, *_counts(table[inside]), _proportions(table[inside])[0]] for name, inside in groups]
    return markdown_table(rows)


def excluded_table(excluded: pd.DataFrame, subjects: pd.DataFrame) -> str:
    """How many scans were left out for which reason, ids in the reasons taken out."""
    ids = {*excluded["scan_id"], *subjects["scan_id"], *subjects["subject_id"]}
    counts = excluded["reason"].map(lambda reason: _without_ids(reason, ids)).value_counts()
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    rows = [["reason", "scans"], *([str(reason), f"{count}"] for reason, count in ordered[:MOST_REASONS])]
    if len(ordered) > MOST_REASONS:
        rest = sum(count for _, count in ordered[MOST_REASONS:])
        rows.append([f"{len(ordered) - MOST_REASONS} other reasons", f"{rest}"])
    return markdown_table(rows)


def errors_table(predictions: pd.DataFrame, subjects: pd.DataFrame, quality: pd.DataFrame) -> str:
    """The subjects that were misclassified out of fold, most certain errors first, at most `MOST_ERRORS`."""
    wrong = predictions[predictions["prediction"] != predictions["label"]]
    wrong = wrong.merge(subjects[["scan_id", "site"]], on="scan_id").merge(quality, on="scan_id")
    # How far the network was on the wrong side of its threshold.
    distance = (wrong["probability"] - 0.5).abs()
    wrong = wrong.assign(distance=distance).sort_values(["distance", "scan_id"], ascending=[False, True])
    rows = [["scan", "label", "site", "fold", "P(PD)", "SBR, worse putamen"]]
    for _, scan in wrong.head(MOST_ERRORS).iterrows():
        sbr = min(scan["sbr_putamen_left"], scan["sbr_putamen_right"])
        place = [scan["scan_id"], LABEL_NAMES[scan["label"]], scan["site"] or UNKNOWN]
        rows.append([*place, f"{scan['fold']}", f"{scan['probability']:.4f}", f"{sbr:.2f}"])
    return markdown_table(rows, n_text_columns=3)


def quality_flags(quality: pd.DataFrame) -> dict[str, int]:
    """How many scans carry each flag, by name."""
    flags = quality["flags"].str.split().explode().dropna()
    return {str(flag): int(count) for flag, count in sorted(flags.value_counts().items())}


def _with_predictions(subjects: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    table = subjects.merge(predictions[["scan_id", "prediction"]], on="scan_id", validate="one_to_one")
    return table.assign(right=table["prediction"] == table["label"])


def _by_sex(table: pd.DataFrame) -> Groups:
    sexes = _sex(table)
    for sex in sorted(set(sexes), key=lambda sex: (sex == UNKNOWN, sex)):
        yield f"sex: {sex}", sexes == sex


def _by_age(table: pd.DataFrame) -> Groups:
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


def _counts(table: pd.DataFrame) -> list[str]:
    return [f"{(table['label'] == label).sum()}" for label in LABEL_NAMES]


def _proportions(table: pd.DataFrame) -> list[str]:
    pd_rows, control_rows = table["label"] == "pd", table["label"] == "control"
    return [_share_right(part) for part in (table["right"], table["right"][pd_rows], table["right"][control_rows])]


def _share_right(right: "pd.Series[bool]") -> str:
    if right.empty:
        return ""
    low, high = wilson_interval(int(right.sum()), len(right))
    return f"{right.mean():.4f} ({low:.4f} to {high:.4f})"


def _without_ids(reason: str, ids: set[str]) -> str:
    words = [word.replace(name, "…") if (name := word.strip(",:;")) in ids else word for word in reason.split()]
    return re.sub("…(, …)+", "…", " ".join(words))
