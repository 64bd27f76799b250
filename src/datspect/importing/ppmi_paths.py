"""Read what the path of a file says about its image, in a PPMI download and in copies made from one."""

import datetime
import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import PurePosixPath

from datspect.importing.ppmi_fields import MASKED_YEAR

_SCAN_ENDINGS = (".dcm", ".dicom", ".ima", ".nii", ".gz", "")
_DATE_FOLDER = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})_[0-9]{2}_[0-9]{2}_[0-9]{2}(?:\.[0-9]+)?")
_IMAGE_FOLDER = re.compile(r"I0*([0-9]{3,})", re.IGNORECASE)
_IMAGE_IN_NAME = re.compile(r"(?:^|[_.\s-])I0*([0-9]{3,})(?=[_.\s-]|$)", re.IGNORECASE)
_SUBJECT_IN_NAME = re.compile(r"PPMI_([0-9]+)_", re.IGNORECASE)


@dataclass(frozen=True)
class PathClaims:
    """What a path claims: image id ("" if none), every subject it names, and the day (None if absent or masked)."""

    image_id: str
    subjects: frozenset[str]
    date: datetime.date | None


def is_scan_file(name: str) -> bool:
    """Return whether a file may hold a scan, by its ending; DICOM files often have none."""
    return PurePosixPath(name).suffix.lower() in _SCAN_ENDINGS


def path_claims(name: str, known_subjects: AbstractSet[str]) -> PathClaims:
    """Return what the path `name` claims, in the archive's tree or with known subject ids as words of it.

    The 17 digits of the archive's file names are an upload stamp, so no date is taken from a file name. The file name
    goes before the folders in naming the image: several images may have come to lie in one folder.
    """
    *folders, file_name = name.split("/")
    dated = [place for place, folder in enumerate(folders) if _DATE_FOLDER.fullmatch(folder)]
    subjects = set(_SUBJECT_IN_NAME.findall(file_name)[:1])
    if dated:
        above = [folder for folder in folders[max(dated[-1] - 2, 0) : dated[-1]] if folder.isdecimal()]
        subjects |= set(above[-1:])
    if not subjects:
        words = {word for part in (*folders, file_name) for word in (part, *re.split(r"[_.\s-]", part))}
        subjects = {word for word in words if word in known_subjects}
    date = _date(folders[dated[-1]]) if dated else None
    return PathClaims(_image_id(folders, file_name), frozenset(subjects), date)


def _image_id(folders: list[str], file_name: str) -> str:
    in_name = _IMAGE_IN_NAME.findall(file_name)
    in_folders = [found[1] for folder in folders if (found := _IMAGE_FOLDER.fullmatch(folder))]
    return str((in_name or in_folders or [""])[-1])


def _date(folder: str) -> datetime.date | None:
    found = _DATE_FOLDER.fullmatch(folder)
    if found is None or int(found[1]) == MASKED_YEAR:
        return None
    try:
        return datetime.date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:  # 0000-00-00 is another way to mask it
        return None
