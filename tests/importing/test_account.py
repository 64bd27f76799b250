"""The account of an import has the numbers of the table and says what a person has to do."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from datspect.cohort.table import COLUMNS
from datspect.imaging.head_search import FLIPS
from datspect.importing.account import Account, account_text, orientation_table, registration_table, write_account
from datspect.importing.journal import ImportedScan
from datspect.importing.plan import Exclusion

SCAN = ImportedScan(
    subject_id="P-0",
    scan_id="S-0",
    sha256="0" * 64,
    placed_by="header",
    how="as it is",
    scale=1.0,
    correlations=dict(zip(FLIPS, (0.9, 0.7, 0.8, 0.6), strict=True)),
    best="",
    margin=0.1,
    fixed="",
    z_offset_voxels=3.0,
)
PEOPLE = (
    ("control", "female", 60),
    ("control", "male", 64),
    ("pd", "male", 70),
    ("pd", "", None),
    ("swedd", "female", 90),
)


def account(scans: list[ImportedScan] | None = None, **changes: object) -> Account:
    imported = [replace(SCAN, scan_id=f"S-{n}") for n in range(5)] if scans is None else scans
    rows = [
        (scan.scan_id, scan.scan_id.replace("S", "P"), label, sex, age, "", "SC", "", "")
        for scan, (label, sex, age) in zip(imported, PEOPLE, strict=False)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"age": "Int64"})
    return replace(Account({"files found": 12}, table, tuple(imported), (), 3.0), **changes)  # type: ignore[arg-type]


def line_with(text: str, what: str) -> str:
    [line] = [line for line in text.splitlines() if what in line]
    return line


def test_subjects_ages_and_sexes_are_given_for_each_group() -> None:
    text = account_text(account())
    # ages 60 and 64: mean 62, sample standard deviation sqrt((2^2 + 2^2) / 1) = 2.83
    assert line_with(text, "control ").split() == ["control", "2", "62.0", "(2.8),", "60", "to", "64", "1", "1", "0"]
    assert "70.0 (-), 70 to 70, 1 unknown" in line_with(text, "pd ")
    assert line_with(text, "swedd").split()[-3:] == ["1", "0", "0"]
    assert "90 stands for 90 and above" in text


def test_what_was_seen_comes_in_the_order_in_which_it_was_counted() -> None:
    text = account_text(account(counts={"zebra": 3, "aardvark": 2}))
    assert text.index("zebra") < text.index("aardvark") < text.index("subjects imported")
    assert line_with(text, "subjects imported").endswith(" 5")


def test_what_was_left_out_is_counted_by_reason_from_the_most_frequent() -> None:
    out = [Exclusion("F-1", "rare"), *(Exclusion(f"F-{n}", "frequent") for n in range(3))]
    text = account_text(account(exclusions=tuple(out)))
    assert text.index("3  frequent") < text.index("1  rare")
    assert "Left out: nothing" in account_text(account())


def test_hundreds_of_reasons_do_not_bury_the_rest_and_none_is_lost_from_the_count() -> None:
    out = tuple(Exclusion(f"F-{n}", f"reason {n}") for n in range(300))
    text = account_text(account(exclusions=out))
    assert text.count("reason ") == 20
    assert "280  for 280 further reasons" in text


@pytest.mark.parametrize(
    ("configured", "advice"), [(3.0, False), (3.5, False), (3.6, True), (0.0, True), (None, False)]
)
def test_the_offset_to_set_is_said_when_it_is_more_than_half_a_voxel_away(
    configured: float | None, advice: bool
) -> None:
    text = account_text(account(z_offset_voxels=configured))
    assert "3.0 voxels (median; 3.0 to 3.0)" in text
    assert ("set preprocess.z_offset_voxels: 3.0" in text) == advice


def test_scans_that_seem_flipped_are_counted_apart_from_those_that_were_corrected() -> None:
    scans = [SCAN, replace(SCAN, scan_id="S-1", best="z"), replace(SCAN, scan_id="S-2", best="yz", fixed="yz")]
    text = account_text(account(scans))
    assert line_with(text, "as they are ").endswith(" 1")
    assert line_with(text, "z flipped: LEFT AS THEY ARE").endswith(" 1")
    assert line_with(text, "y and z flipped: corrected").endswith(" 1")
    assert "--fix-orientation" in text


def test_left_and_right_are_never_claimed_to_be_checked() -> None:
    assert "Left and right are NOT checked" in account_text(account())


def test_scans_in_other_units_are_counted() -> None:
    assert "1 scans" in line_with(account_text(account([SCAN, replace(SCAN, scan_id="S-1", scale=0.5)])), "units")


def test_an_import_of_nothing_has_an_account_too() -> None:
    nothing = account([], exclusions=(Exclusion("F-1", "spoilt"),))
    assert "1  spoilt" in account_text(nothing)


def test_the_orientation_table_has_a_row_a_scan_sorted_and_in_words() -> None:
    table = orientation_table([replace(SCAN, scan_id="S-2", best="z", fixed="z"), SCAN])
    assert list(table["scan_id"]) == ["S-0", "S-2"]
    assert list(table["best"]) == ["as_is", "z"]
    assert list(table["fixed"]) == ["no", "z"]
    assert list(table.filter(like="correlation").loc[0]) == [0.9, 0.7, 0.8, 0.6]


def test_the_account_is_written_whole_beside_the_cohort(tmp_path: Path) -> None:
    write_account(tmp_path, account(exclusions=(Exclusion("F-1", "spoilt,\tcut"),)))
    assert (tmp_path / "account.txt").read_text() == account_text(
        account(exclusions=(Exclusion("F-1", "spoilt,\tcut"),))
    )
    excluded = pd.read_csv(tmp_path / "excluded.tsv", sep="\t")
    assert excluded.to_dict("records") == [{"what": "F-1", "reason": "spoilt,\tcut"}]
    assert len(pd.read_csv(tmp_path / "orientation.tsv", sep="\t")) == 5
    written = ["account.txt", "excluded.tsv", "geometry.csv", "orientation.tsv", "registration.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == written


def test_the_account_counts_registered_scans_and_those_to_look_at() -> None:
    measures = {"likeness": 0.99, "margin": 0.8}
    registered = [replace(SCAN, scan_id=f"S-{n}", how="registered", registration=measures) for n in range(3)]
    doubtful = replace(registered[0], scan_id="S-9", registration=measures | {"margin": 0.1})
    text = account_text(account([*registered, doubtful]))
    assert "in another space, registered (registration.csv)" in text
    assert "of these near a limit: look at them (doubtful/)" in text
    table = registration_table((*registered, doubtful)).set_index("scan_id")
    assert table["margin"].to_dict() == {"S-0": 0.8, "S-1": 0.8, "S-2": 0.8, "S-9": 0.1}
