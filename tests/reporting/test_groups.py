"""Everybody is counted in the right group."""

import numpy as np
import pandas as pd

from datspect.evaluation.intervals import wilson_interval
from datspect.reporting.groups import (
    MOST_SITES,
    accuracy_by_group,
    errors_table,
    excluded_table,
    people_table,
    quality_flags,
    sites_table,
)

SUBJECTS = pd.DataFrame(
    {
        "scan_id": list("abcdef"),
        "subject_id": list("ABCDEF"),
        "label": ["pd", "pd", "pd", "control", "control", "control"],
        "sex": ["male", "female", "", "male", "female", "female"],
        "age": [49.9, 50.0, np.nan, 59.9, 69.9, 70.0],
        "site": ["s1", "s1", "", "s1", "s2", "s1"],
    }
)
PREDICTIONS = SUBJECTS[["scan_id", "label"]].assign(
    prediction=["pd", "control", "pd", "control", "pd", "control"],
    probability=[0.9, 0.4, 0.8, 0.1, 0.99, 0.2],
    fold=[1, 2, 1, 2, 1, 2],
)


def rows(table: str) -> dict[str, list[str]]:
    """Return the cells of each row by its first."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    return {line[0]: line[1:] for line in lines}


def share(n_right: int, n: int) -> str:
    low, high = wilson_interval(n_right, n)
    return f"{n_right / n:.4f} ({low:.4f} to {high:.4f})"


def test_people_are_counted_by_label_and_sex() -> None:
    table = rows(people_table(SUBJECTS))
    assert table["PD"] == ["3", "1", "1", "1", "50.0 ± 0.1", "50 to 50", "1"]  # female, male, unknown
    assert table["all"][:4] == ["6", "3", "2", "1"]


def test_a_birthday_begins_the_next_age_band() -> None:
    table = rows(accuracy_by_group(SUBJECTS, PREDICTIONS))
    ages = {name.removeprefix("age: "): cells[:2] for name, cells in table.items() if name.startswith("age")}
    assert ages == {
        "\\< 50": ["0", "1"],
        "50-59": ["1", "1"],
        "60-69": ["1", "0"],
        ">= 70": ["1", "0"],
        "unknown": ["0", "1"],
    }


def test_accuracy_of_a_group_is_of_its_members_alone() -> None:
    table = rows(accuracy_by_group(SUBJECTS, PREDICTIONS))
    assert table["sex: female"] == ["2", "1", share(1, 3), share(0, 1), share(1, 2)]
    assert table["sex: unknown"] == ["0", "1", share(1, 1), share(1, 1), ""]


def test_sites_come_by_size_and_one_without_a_name_is_unknown() -> None:
    table = rows(sites_table(SUBJECTS, PREDICTIONS))
    assert list(table) == ["s1", "s2", "unknown"]
    assert table["s1"] == ["2", "2", share(3, 4)]


def test_small_sites_beyond_the_most_are_one_row() -> None:
    n = MOST_SITES + 5
    sites = ["big", "big", *(f"s{i:02d}" for i in range(n - 1))]
    subjects = pd.DataFrame({"scan_id": range(n + 1), "label": "pd", "site": sites})
    predictions = pd.DataFrame({"scan_id": range(n + 1), "prediction": "pd"})
    table = rows(sites_table(subjects, predictions))
    assert len(table) == MOST_SITES
    assert table["big"] == ["0", "2", share(2, 2)]
    assert table["6 smaller sites"] == ["0", "6", share(6, 6)]


def test_excluded_scans_are_counted_by_reason_whatever_ids_it_names() -> None:
    excluded = pd.DataFrame(
        {
            "scan_id": ["x1", "x2", "x3"],
            "reason": ["same voxels as a, x2: keep one", "same voxels as x1: keep one", "every voxel is 0"],
        }
    )
    table = rows(excluded_table(excluded, SUBJECTS))
    assert table == {"same voxels as …: keep one": ["2"], "every voxel is 0": ["1"]}


def test_errors_come_by_how_certain_they_were() -> None:
    quality = pd.DataFrame({"scan_id": list("abcdef"), "sbr_putamen_left": 2.0, "sbr_putamen_right": 1.0})
    table = rows(errors_table(PREDICTIONS, SUBJECTS, quality))
    assert table == {"e": ["control", "s2", "1", "0.9900", "1.00"], "b": ["PD", "s1", "2", "0.4000", "1.00"]}
    assert list(table) == ["e", "b"]


def test_a_scan_may_carry_several_flags() -> None:
    quality = pd.DataFrame({"flags": ["low_contrast negative_values", "", "low_contrast"]})
    assert quality_flags(quality) == {"low_contrast": 2, "negative_values": 1}
