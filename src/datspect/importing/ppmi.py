"""Plan the import of a PPMI download: who is imported, and in which order their scans are tried."""

import datetime
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from datspect.importing.plan import Candidate, Exclusion, Plan, PlannedSubject, kept_age
from datspect.importing.ppmi_collection import COLUMNS
from datspect.importing.ppmi_fields import OTHER_DESCRIPTION, OTHER_MODALITY
from datspect.importing.ppmi_matching import Image, Matching, match_files
from datspect.importing.pseudonyms import Pseudonyms
from datspect.io.sources import Source, UnusableSource

NO_GROUP = "no CSV gives the subject's group; add the CSV of the collection"
MASKED_DATE = (
    "the date of one of its scans is masked, so the earliest cannot be told; leave the later ones out of the CSV"
)


def plan_ppmi(
    sources: Sequence[Source],
    unusable: Sequence[UnusableSource],
    collection: pd.DataFrame,
    groups: Sequence[str],
    names: Pseudonyms,
) -> Plan:
    """Plan to import every subject of `groups` (labels), with all their scans, the earliest first.

    A scan without a file keeps its place (after those of its day that have one), so that no later scan silently takes
    the place of the earliest.
    """
    images = [Image(*row) for row in collection[list(COLUMNS)].itertuples(index=False, name=None)]
    matching = match_files(sources, images)
    exclusions = [Exclusion(names.file(what.name), what.reason) for what in unusable]
    exclusions += [Exclusion(names.file(name), reason) for name, reason in matching.problems]
    scans = _scans_of_subjects(images)
    planned = []
    for subject, own in scans.items():
        reason = _subject_problem(own, groups, matching.file_of)
        if reason:
            exclusions.append(Exclusion(names.subject(subject), reason))
        elif own[0].group in groups:
            planned.append(_planned(own, matching.file_of, names))
    counts = {"files found": len(sources) + len(unusable), "files that must not be opened": len(unusable)}
    counts |= _counts(matching, images, len(scans), planned, groups)
    return Plan(tuple(planned), tuple(exclusions), counts)


def whole_years(age: float) -> float | None:
    """Return an age as a cohort holds it; None for NaN."""
    return None if math.isnan(age) else kept_age(age)


def _scans_of_subjects(images: Sequence[Image]) -> dict[str, list[Image]]:
    scans: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        if not image.left_out:
            scans[image.subject].append(image)
    return dict(sorted(scans.items(), key=lambda item: (len(item[0]), item[0])))


def _subject_problem(scans: Sequence[Image], groups: Sequence[str], file_of: Mapping[str, Source]) -> str:
    if not scans[0].group:
        # A search result may list the whole archive; it means only subjects whose files were downloaded.
        return NO_GROUP if any(scan.image_id in file_of for scan in scans) else ""
    masked = len(scans) > 1 and any(scan.date is None for scan in scans)
    return MASKED_DATE if masked and scans[0].group in groups else ""


def _planned(scans: Sequence[Image], file_of: Mapping[str, Source], names: Pseudonyms) -> PlannedSubject:
    def order(scan: Image) -> tuple[datetime.date, bool, int]:
        return scan.date or datetime.date.max, scan.image_id not in file_of, int(scan.image_id)

    candidates = tuple(
        Candidate(names.scan(scan.image_id), scan.visit, whole_years(scan.age), file_of.get(scan.image_id))
        for scan in sorted(scans, key=order)
    )
    return PlannedSubject(names.subject(scans[0].subject), scans[0].group, scans[0].sex, "", candidates)


def _counts(
    matching: Matching,
    images: Sequence[Image],
    n_subjects: int,
    planned: Sequence[PlannedSubject],
    groups: Sequence[str],
) -> dict[str, int]:
    left_out = Counter(image.left_out for image in images)
    labels = Counter(subject.label for subject in planned)
    return {
        "scan files": matching.n_scan_files,
        "scan files matched to the CSV": len(matching.file_of),
        "copies of matched files": matching.n_duplicates,
        "scan files not matched": len(matching.problems),
        "images in the CSV": len(images),
        "images in the CSV of another modality": left_out[OTHER_MODALITY],
        "images in the CSV not reconstructed": left_out[OTHER_DESCRIPTION],
        "subjects in the CSV with a DaT scan": n_subjects,
        "subjects to be imported": len(planned),
        **{f"subjects to be imported: {label}": labels[label] for label in groups},
    }
