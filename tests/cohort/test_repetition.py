import numpy as np
import pandas as pd
import pytest

from datspect.cohort.repetition import bad_scans
from datspect.cohort.screening import ScreenedScan
from datspect.imaging.likeness import fingerprint


def _bad(*rows, reasons=()):
    scans = pd.DataFrame(rows, columns=["scan_id", "subject_id", "label", "visit", "content"])
    screened = [ScreenedScan(row[0], reason=dict(reasons).get(row[0], ""), content_sha256=row[4]) for row in rows]
    return bad_scans(scans.drop(columns="content"), screened)


def test_a_clean_cohort_has_no_bad_scan():
    assert _bad(("S1", "P1", "pd", "BL", "a"), ("S2", "P2", "control", "BL", "b")) == {}


def test_of_a_subjects_scans_the_first_visit_stays():
    bad = _bad(("S1", "P1", "pd", "V04", "a"), ("S2", "P1", "pd", "BL", "b"), ("S3", "P1", "pd", "V06", "c"))
    assert bad == dict.fromkeys(["S1", "S3"], "subject P1 has 3 scans: one is used, here S2")


def test_the_second_visit_comes_before_the_tenth():
    bad = _bad(("S1", "P1", "pd", "V10", "a"), ("S2", "P1", "pd", "V2", "b"))
    assert bad == {"S1": "subject P1 has 2 scans: one is used, here S2"}


def test_an_unusable_scan_does_not_displace_a_usable_one_and_both_faults_are_named():
    bad = _bad(("S1", "P1", "pd", "BL", ""), ("S2", "P1", "pd", "V04", "b"), reasons={"S1": "file not found"}.items())
    assert bad == {"S1": "file not found; subject P1 has 2 scans: one is used, here S2"}


def test_one_volume_under_two_subjects_is_refused_twice():
    bad = _bad(("S1", "P1", "pd", "BL", "a"), ("S2", "P2", "pd", "BL", "a"), ("S3", "P3", "pd", "BL", "b"))
    assert bad == {
        "S1": "same voxels as S2: find out whose they are, the same scan under two ids is leakage",
        "S2": "same voxels as S1: find out whose they are, the same scan under two ids is leakage",
    }


def test_one_volume_twice_under_one_subject_stays_once():
    bad = _bad(("S1", "P1", "pd", "BL", "a"), ("S2", "P1", "pd", "BL", "a"))
    assert list(bad) == ["S2"]
    assert bad["S2"].startswith("same voxels as S1: keep one; subject P1 has 2 scans")


def test_a_subject_with_two_labels_loses_all_scans():
    bad = _bad(("S1", "P1", "pd", "BL", "a"), ("S2", "P1", "control", "V04", "b"))
    assert list(bad) == ["S1", "S2"]
    assert "subject P1 has two labels" in bad["S1"]


def test_scans_that_could_not_be_read_are_no_duplicates_of_each_other():
    reasons = {"S1": "file not found", "S2": "file not found"}
    bad = _bad(("S1", "P1", "pd", "BL", ""), ("S2", "P2", "pd", "BL", ""), reasons=reasons.items())
    assert bad == reasons


@pytest.fixture(scope="module")
def prints():
    """Return fingerprints of two scans, and of an export of the first with other grey values."""
    noise = np.random.default_rng(0).normal(size=(2, 91, 109, 91))
    return {"a": fingerprint(noise[0]), "b": fingerprint(noise[1]), "a again": fingerprint(3 * noise[0] + 5)}


def _bad_with_prints(prints, *rows):
    scans = pd.DataFrame(rows, columns=["scan_id", "subject_id", "label", "visit", "content"])
    screened = [ScreenedScan(row[0], content_sha256=row[4], fingerprint=prints[row[4]]) for row in rows]
    return bad_scans(scans.drop(columns="content"), screened)


def test_a_near_copy_under_another_subject_spoils_both(prints):
    bad = _bad_with_prints(
        prints, ("S1", "P1", "pd", "BL", "a"), ("S2", "P2", "pd", "BL", "a again"), ("S3", "P3", "pd", "BL", "b")
    )
    advice = "(smoothed, shifted or exported anew): find out whose they are, the same scan under two ids is leakage"
    assert bad == {"S1": f"near-copy of S2 {advice}", "S2": f"near-copy of S1 {advice}"}


def test_a_near_copy_of_one_subject_stays_once(prints):
    bad = _bad_with_prints(prints, ("S1", "P1", "pd", "V04", "a"), ("S2", "P1", "pd", "BL", "a again"))
    assert list(bad) == ["S1"]
    assert bad["S1"].startswith("near-copy of S2 (smoothed, shifted or exported anew): keep one; subject P1 has 2")


def test_exact_and_near_copies_of_one_scan_are_told_apart(prints):
    bad = _bad_with_prints(
        prints, ("S1", "P1", "pd", "BL", "a"), ("S2", "P2", "pd", "BL", "a"), ("S3", "P3", "pd", "BL", "a again")
    )
    assert bad["S1"].startswith("same voxels as S2: find out whose they are")
    assert "near-copy of S3 (" in bad["S1"]
    assert bad["S3"].startswith("near-copy of S1, S2 (")


def test_a_cohort_of_one_scan_has_no_copy(prints):
    assert _bad_with_prints(prints, ("S1", "P1", "pd", "BL", "a")) == {}
