"""Plan the import of a PPMI download: who is imported, and in which order their scans are tried."""

import datetime
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from datspect.errors import ImportingError
from datspect.importing.plan import Candidate, Exclusion, Plan, PlannedSubject, kept_age
from datspect.importing.ppmi_collection import COLUMNS, Collection
from datspect.importing.ppmi_fields import OTHER_DESCRIPTION, OTHER_MODALITY
from datspect.importing.ppmi_matching import Image, Matching, match_files
from datspect.importing.ppmi_paths import is_scan_file
from datspect.importing.ppmi_rows import LeftOutRow
from datspect.importing.ppmi_status import Status
from datspect.importing.pseudonyms import Pseudonyms
from datspect.importing.unread import unread_counts, unread_problems
from datspect.io.sources import Source, UnusableSource

NO_GROUP = "no table gives the subject's group; add the CSV of the collection"
MASKED_DATE = (
    "the date of one of its scans is masked, so the earliest cannot be told; leave the later ones out of the CSV"
)


EARLIER_ROW = (
    "a row of what may be its earliest scan was left out, and a later scan is no replacement; mend that row, or leave "
    "the later ones out of the CSV"
)
_NAMED = 10


def plan_ppmi(
    sources: Sequence[Source],
    unusable: Sequence[UnusableSource],
    collection: Collection,
    groups: Sequence[str],
    names: Pseudonyms,
    status: Status | None = None,
) -> Plan:
    """Plan to import every subject of `groups` (labels), with all their scans, the earliest first.

    A scan without a file keeps its place (after those of its day that have one), so that no later scan silently takes
    the place of the earliest.

    Raises
    ------
    ImportingError : dates of folders and CSV differ by exchanged day and month, or `status` is of other people.
    """
    status = status or Status()
    images = [Image(*row) for row in collection.images[list(COLUMNS)].itertuples(index=False, name=None)]
    matching = match_files(sources, images)
    _refuse_foreign_status(status, images)
    _refuse_exchanged(matching)
    exclusions = [Exclusion(names.file(name), reason) for name, reason in unread_problems(sources, unusable)]
    exclusions += [Exclusion(names.file(name), reason) for name, reason in matching.problems]
    exclusions += [Exclusion(_what(row, names), row.reason) for row in collection.left_out]
    scans = _scans_of_subjects(images)
    earlier = _left_out_days(collection.left_out, images)
    planned = []
    for subject, own in scans.items():
        label, reason = _decided(subject, own, status, groups, matching.file_of, earlier.get(subject))
        asked_for = {label, own[0].group, status.cohorts.get(subject, "")} & set(groups)
        if reason and (asked_for or not label):
            exclusions.append(Exclusion(names.subject(subject), reason))
        elif label in groups:
            planned.append(_planned(own, label, matching.file_of, names))
    counts = {"files found": len(sources) + len(unusable), "files that must not be opened": len(unusable)}
    counts |= unread_counts([source for source in sources if not is_scan_file(source.name)]) | _row_counts(
        collection, planned
    )
    counts |= _status_counts(status, scans) | _counts(matching, images, len(scans), planned, groups)
    return Plan(tuple(planned), tuple(exclusions), counts)


def _refuse_foreign_status(status: Status, images: Sequence[Image]) -> None:
    if status.cohorts and not {image.subject for image in images} & set(status.cohorts):
        raise ImportingError(
            "the table of status lists nobody of the collection; see whether its ids are those of the study (PATNO)"
        )


def _refuse_exchanged(matching: Matching) -> None:
    if matching.exchanged:
        rows = sorted({image.place for image in matching.exchanged}, key=_numbers_in)
        more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
        raise ImportingError(
            "dates of the CSV and of the download's folders differ by exchanged day and month: "
            f"{', '.join(rows[:_NAMED])}{more}; a spreadsheet may have saved the CSV with the dates of another "
            "country: download the CSV anew, or write its dates as year-month-day"
        )


def _numbers_in(place: str) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", place)]


def _what(row: LeftOutRow, names: Pseudonyms) -> str:
    subject = names.subject(row.subject) if row.subject else ""
    scan = names.scan(row.image_id) if row.image_id else ""
    return " ".join(filter(None, (subject, scan, row.place)))


def _left_out_days(rows: Sequence[LeftOutRow], images: Sequence[Image]) -> dict[str, datetime.date]:
    """Return, for each subject with an image that was left out by its row, the earliest day that it may be of."""
    listed = {image.image_id for image in images if not image.left_out}
    days: dict[str, datetime.date] = {}
    for row in rows:
        if row.image_id not in listed:
            days[row.subject] = min(row.earliest, days.get(row.subject, row.earliest))
    return days


def _is_earlier(day: datetime.date | None, scans: Sequence[Image]) -> bool:
    """Return whether `day` may lie before all scans, or on the day of the first."""
    return day is not None and day <= min(scan.date or datetime.date.max for scan in scans)


def whole_years(age: float) -> float | None:
    """Return an age as a cohort holds it; None for NaN."""
    return None if math.isnan(age) else kept_age(age)


def _scans_of_subjects(images: Sequence[Image]) -> dict[str, list[Image]]:
    scans: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        if not image.left_out:
            scans[image.subject].append(image)
    return dict(sorted(scans.items(), key=lambda item: (len(item[0]), item[0])))


def _decided(
    subject: str,
    scans: Sequence[Image],
    status: Status,
    groups: Sequence[str],
    file_of: Mapping[str, Source],
    left_out: datetime.date | None,
) -> tuple[str, str]:
    """Return a subject's label, and why they are left out ("" if they are not).

    `left_out`: the earliest day that a scan whose row is of no use may be of, None if there is no such row.
    """
    label, problem = status.decided(subject, scans[0].group)
    if not label:
        # A search result may list the whole archive; it means only subjects whose files were downloaded.
        return "", NO_GROUP if any(scan.image_id in file_of for scan in scans) else ""
    if len(scans) > 1 and label in groups and any(scan.date is None for scan in scans):
        return label, MASKED_DATE
    return label, problem or (EARLIER_ROW if _is_earlier(left_out, scans) else "")


def _planned(scans: Sequence[Image], label: str, file_of: Mapping[str, Source], names: Pseudonyms) -> PlannedSubject:
    def order(scan: Image) -> tuple[datetime.date, bool, int]:
        return scan.date or datetime.date.max, scan.image_id not in file_of, int(scan.image_id)

    candidates = tuple(
        Candidate(names.scan(scan.image_id), scan.visit, whole_years(scan.age), file_of.get(scan.image_id))
        for scan in sorted(scans, key=order)
    )
    return PlannedSubject(names.subject(scans[0].subject), label, scans[0].sex, "", candidates)


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
        **_if_any("scan files in a folder of another date", matching.n_other_dates),
        "images in the CSV": len(images),
        "images in the CSV of another modality": left_out[OTHER_MODALITY],
        "images in the CSV not reconstructed": left_out[OTHER_DESCRIPTION],
        "subjects in the CSV with a DaT scan": n_subjects,
        "subjects to be imported": len(planned),
        **{f"subjects to be imported: {label}": labels[label] for label in groups},
    }


def _row_counts(collection: Collection, planned: Sequence[PlannedSubject]) -> dict[str, int]:
    scans = [who.candidates[0] for who in planned]
    return {
        **_if_any("rows in the CSV that cannot be used", len(collection.left_out)),
        **_if_any("ages unknown or unreadable", sum(scan.age is None for scan in scans)),
        **_if_any("sexes unknown or unreadable", sum(not who.sex for who in planned)),
    }


def _status_counts(status: Status, scans: Mapping[str, Sequence[Image]]) -> dict[str, int]:
    if not status.cohorts:
        return {}
    return {
        "subjects with today's status": sum(subject in status.cohorts for subject in scans),
        "subjects whom the table of status does not list": sum(subject not in status.cohorts for subject in scans),
        "subjects whose status and group differ": sum(status.differs(who, own[0].group) for who, own in scans.items()),
    }


def _if_any(what: str, number: int) -> dict[str, int]:
    return {what: number} if number else {}
