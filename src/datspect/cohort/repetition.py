"""Find scans of a cohort that repeat each other: the same voxels, one acquisition, or one subject."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from datspect.cohort.screening import ScreenedScan
from datspect.cohort.visits import visit_places
from datspect.imaging.likeness import near_copies


def bad_scans(scans: pd.DataFrame, screened: list[ScreenedScan]) -> dict[str, str]:
    """Return every scan that cannot be used, with all its reasons, sorted by scan_id.

    Screening refused a scan, or it repeats another. Of scans with the same voxels, and of copies of one acquisition,
    all but the first are bad; if they belong to several subjects, all are, since nobody can tell whose they are. Of a
    subject's scans all but the first are bad; if their labels differ, all are. Scans without another fault come first,
    then they are ordered by visit (V2 before V10) and by scan_id, as text.

    `scans`: columns scan_id, subject_id, label, visit. `screened`: one for each scan.
    """
    bad = {scan.scan_id: scan.reason for scan in screened if scan.reason}
    contents = scans["scan_id"].map({scan.scan_id: scan.content_sha256 for scan in screened})
    scans = scans.assign(
        content=contents,
        acquisition=contents.map(_shared_acquisitions(screened)),
        place=visit_places(scans["visit"]),
    )
    for find in (_repeated_volumes, _repeated_acquisitions, _repeated_subjects):
        ordered = scans.assign(bad=scans["scan_id"].isin(bad)).sort_values(["bad", "place", "scan_id"])
        for scan_id, reason in find(ordered).items():
            bad[scan_id] = f"{bad[scan_id]}; {reason}" if scan_id in bad else reason
    return dict(sorted(bad.items()))


def _shared_acquisitions(screened: Iterable[ScreenedScan]) -> dict[str, int]:
    """Return a number for each acquisition that has near-copies, by the content of the copies."""
    prints = {scan.content_sha256: scan.fingerprint for scan in screened if scan.fingerprint is not None}
    out_of_view = {scan.content_sha256: scan.out_of_view for scan in screened}
    contents = sorted(prints)
    fingerprints = [prints[content] for content in contents]
    pairs = near_copies(np.stack(fingerprints), [out_of_view[content] for content in contents]) if contents else []
    if not pairs:
        return {}
    rows, columns = zip(*pairs, strict=True)
    graph = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(len(contents), len(contents)))
    acquisitions = connected_components(graph, directed=False)[1]
    return {contents[index]: int(acquisitions[index]) for index in {*rows, *columns}}


def _repeated_volumes(scans: pd.DataFrame) -> dict[str, str]:
    bad: dict[str, str] = {}
    repeated = scans[(scans["content"] != "") & scans["content"].duplicated(keep=False)]
    for _, group in repeated.groupby("content"):
        doubtful, advice = _doubtful(group)
        for scan_id in doubtful:
            bad[scan_id] = f"same voxels as {', '.join(sorted(set(group['scan_id']) - {scan_id}))}: {advice}"
    return bad


def _repeated_acquisitions(scans: pd.DataFrame) -> dict[str, str]:
    bad: dict[str, str] = {}
    for _, group in scans.groupby("acquisition"):
        doubtful, advice = _doubtful(group)
        for scan_id, content in group.set_index("scan_id")["content"][doubtful].items():
            others = ", ".join(sorted(group["scan_id"][group["content"] != content]))
            bad[str(scan_id)] = f"near-copy of {others} (smoothed, shifted or exported anew): {advice}"
    return bad


def _doubtful(group: pd.DataFrame) -> tuple[list[str], str]:
    """Return those copies of one scan that cannot be used, and what to do about them."""
    ids = list(group["scan_id"])
    if len(group[["subject_id", "label"]].drop_duplicates()) == 1:
        return ids[1:], "keep one"
    return ids, "find out whose they are, the same scan under two ids is leakage"


def _repeated_subjects(scans: pd.DataFrame) -> dict[str, str]:
    bad: dict[str, str] = {}
    for subject_id, group in scans[scans["subject_id"].duplicated(keep=False)].groupby("subject_id"):
        ids = list(group["scan_id"])
        if len(set(group["label"])) > 1:
            bad |= dict.fromkeys(ids, f"subject {subject_id} has two labels: a subject has one diagnosis")
        else:
            bad |= dict.fromkeys(ids[1:], f"subject {subject_id} has {len(ids)} scans: one is used, here {ids[0]}")
    return bad
