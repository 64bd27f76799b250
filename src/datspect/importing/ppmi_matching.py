"""Match the files of a PPMI download to the images of the collection."""

import datetime
import posixpath
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from datspect.importing.ppmi_paths import PathClaims, is_scan_file, path_claims
from datspect.importing.ppmi_rows import day_and_month_exchanged
from datspect.io.sources import Source

OTHER_SUBJECT = "its file name, its folders and the CSV do not name the same subject; see which is right"
UNKNOWN_IMAGE = "its image id is in no CSV; add the CSV of its collection"
NO_IMAGE = "neither an image id nor subject and date tell which image it is; keep the archive's folders and names"
SEVERAL_FILES = "several different files claim to be the same image; keep the right one"

_FORMS = (".nii", ".gz")
"""Endings of copies, in order of preference; other endings, those of the archive's DICOM, go first."""


class Image(NamedTuple):
    """A row of the collection, as `read_collection` returns it."""

    image_id: str
    subject: str
    group: str
    sex: Literal["female", "male", ""]
    age: float
    visit: str
    modality: str
    description: str
    kind: str
    date: datetime.date | None
    left_out: str
    place: str


@dataclass
class Matching:
    """The file of each image id; `problems`: names of the files that belong to no image, with the reasons.

    `exchanged`: images whose date in the table is that of a folder with day and month exchanged. `n_other_dates`: files
    whose folder has another date than the table.
    """

    n_scan_files: int
    file_of: dict[str, Source] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    n_duplicates: int = 0
    exchanged: list[Image] = field(default_factory=list)
    n_other_dates: int = 0


def match_files(sources: Sequence[Source], images: Sequence[Image]) -> Matching:
    """Give each image its file: by the image id in the file's name or path, else by subject and date of its folders.

    A file belongs to nobody if the CSV leaves its image out or names another subject. If two parts of a download hold
    the same file, one is taken.
    """
    subjects = {image.subject for image in images}
    claims = {source: path_claims(source.name, subjects) for source in sources if is_scan_file(source.name)}
    matching = Matching(len(claims))
    by_id = {image.image_id: image for image in images}
    by_subject = _by_subject(images)
    single = _subjects_of_one_folder(claims)
    files: dict[str, list[Source]] = defaultdict(list)
    for source, claim in claims.items():
        _compare_dates(claim, by_id.get(claim.image_id), by_subject, matching)
        image = by_id.get(claim.image_id) if claim.image_id else _by_path(claim, by_subject, single)
        problem = _problem(image, claim)
        if image is None or problem:
            matching.problems.append((source.name, problem))
        else:
            files[image.image_id].append(source)
    for image_id, claiming in files.items():
        _choose(image_id, claiming, matching)
    return matching


def _compare_dates(
    claim: PathClaims, image: Image | None, by_subject: dict[str, list[Image]], matching: Matching
) -> None:
    """Compare the date of a file's folder with that of its image, or, without an image id, of its subject's images."""
    images = [image] if image else by_subject.get(next(iter(claim.subjects), ""), []) if not claim.image_id else []
    dates = {each.date for each in images if each.date is not None}
    if claim.date is None or not dates or claim.date in dates:
        return
    matching.n_other_dates += 1
    exchanged = day_and_month_exchanged(claim.date)
    matching.exchanged += [each for each in images if each.date == exchanged and each not in matching.exchanged]


def _problem(image: Image | None, claim: PathClaims) -> str:
    if image is None:
        contradicts = not claim.image_id and len(claim.subjects) > 1
        return OTHER_SUBJECT if contradicts else UNKNOWN_IMAGE if claim.image_id else NO_IMAGE
    if image.subject and claim.subjects - {image.subject}:
        return OTHER_SUBJECT
    return image.left_out


def _by_path(claim: PathClaims, by_subject: dict[str, list[Image]], single: set[str]) -> Image | None:
    if len(claim.subjects) != 1:
        return None
    (subject,) = claim.subjects
    images = by_subject.get(subject, [])
    if claim.date is not None:
        images = [image for image in images if image.date == claim.date]
    elif subject not in single:
        return None
    return images[0] if len(images) == 1 else None


def _by_subject(images: Sequence[Image]) -> dict[str, list[Image]]:
    found: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        if not image.left_out:
            found[image.subject].append(image)
    return found


def _subjects_of_one_folder(claims: dict[Source, PathClaims]) -> set[str]:
    """Return subjects whose files all lie in one folder (the same folder in two parts of a download counts once)."""
    folders: dict[str, set[str]] = defaultdict(set)
    for source, claim in claims.items():
        for subject in claim.subjects:
            folders[subject].add(posixpath.dirname(source.name))
    return {subject for subject, places in folders.items() if len(places) == 1}


def _choose(image_id: str, claiming: list[Source], matching: Matching) -> None:
    """Take one of the files of an image, the archive's DICOM before copies; none if they differ in name or size."""
    best = min(map(_form, claiming))
    candidates = [source for source in claiming if _form(source) == best]
    if len({(posixpath.basename(source.name), source.size) for source in candidates}) > 1:
        matching.problems += [(source.name, SEVERAL_FILES) for source in claiming]
        return
    matching.file_of[image_id] = candidates[0]
    matching.n_duplicates += len(claiming) - 1


def _form(source: Source) -> int:
    ending = posixpath.splitext(source.name)[1].lower()
    return _FORMS.index(ending) + 1 if ending in _FORMS else 0
